//! What the host hands to guests in one call, and who watches that.
//!
//! A guest has nothing but its own code and what the host hands to it. So whoever watches all inputs of a call knows
//! all that its answer can depend on, except the order in which a guest's own calls are answered.

use super::error::ErrorKind;
use super::identity::Identity;
use super::name::ServiceName;
use super::read_standing::ReadStanding;
use super::request_id::RequestId;
use std::fmt;
use std::time::Duration;

/// Watches a call and all calls that are made on its behalf. A call without a watcher pays one look at an `Option` for
/// each input.
pub trait InputWatch: Send + Sync + fmt::Debug {
    /// A guest of `service` is handed `input`, and goes on after this returns. It is called on the thread that runs the
    /// guest, so it must not block.
    fn note(&self, service: &ServiceName, input: Input<'_>);

    /// What is to end with the first change of anything that the call reads from a store from now on; `None`: nobody
    /// asks.
    fn standing(&self) -> Option<&ReadStanding> {
        None
    }

    /// Whether guests that are called by HTTP are not to be handed what differs from call to call: the ids of the
    /// request and of its trace.
    fn hides_ids(&self) -> bool {
        false
    }
}

/// Names with their values.
pub type NamedTexts<'a> = &'a [(&'a str, &'a str)];

/// A value of the store with its version; `None`: the key is absent.
pub type StateValue<'a> = Option<(&'a [u8], u64)>;

/// One thing that a guest is handed. Nothing of it outlives the note; whoever wants to keep it copies it.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// The time on the calendar, since 1970.
    WallClock(Duration),
    /// The monotonic clock, in nanoseconds.
    MonotonicClock(u64),
    /// The guest begins to wait for a time: what it does afterwards may depend on what was faster.
    Timer,
    /// Bytes that nobody can foresee.
    Random(&'a [u8]),
    /// Bytes of the fast generator.
    InsecureRandom(&'a [u8]),
    /// The seed for the guest's hash tables. Calls that are watched have the same one as long as the host runs. It is
    /// noted when the guest first asks for anything of the system, whether it asks for the seed or not.
    InsecureSeed(u128),
    /// The environment, at the same moment. May be secret. It is the same in all calls of a revision.
    Environment(NamedTexts<'a>),
    /// The configuration and the secrets of the service, each time it asks for any of them. The same in all calls of a
    /// revision.
    Config(NamedTexts<'a>),
    /// Who calls.
    Caller(Option<&'a Identity>),
    /// The id of the request.
    RequestId(&'a RequestId),
    /// Values of the service's own store.
    StateValues {
        /// What was asked for.
        keys: &'a [Vec<u8>],
        /// What was found, in the same order.
        found: &'a [StateValue<'a>],
    },
    /// One page of a listing of the service's own store.
    StatePage(StatePage<'a>),
    /// The answer to a change of the service's own store, or to the publication of events.
    StateChange {
        /// The function that the guest has called.
        operation: &'static str,
        /// The version of the commit, and the sums of its additions; `None`: it was refused, or it failed.
        committed: Option<(u64, &'a [u64])>,
    },
    /// The store could not be read.
    StateFailure,
    /// The instance has served other calls before, or serves others now: its memory may say something of them.
    KeptMemory,
    /// The guest calls another service. What that is handed is noted for itself.
    ServiceCall(&'a ServiceName),
    /// The guest sends a request to a host outside: scheme, host and port.
    OutsideCall(&'a str),
    /// A call goes to a service of which two revisions serve, by a coin.
    Rollout(&'a ServiceName),
    /// The call of a service or of a host outside has no answer, for this reason.
    FailedCall(ErrorKind),
}

/// One page of a listing.
#[derive(Debug, Clone, Copy)]
pub struct StatePage<'a> {
    /// What all its keys begin with.
    pub prefix: &'a [u8],
    /// The key after which it begins.
    pub after: Option<&'a [u8]>,
    /// The most entries that were asked for.
    pub limit: usize,
    /// The entries; without values if the guest listed keys alone.
    pub items: &'a [(&'a [u8], StateValue<'a>)],
    /// The key after which the next page begins; `None`: nothing follows.
    pub next: Option<&'a [u8]>,
}
