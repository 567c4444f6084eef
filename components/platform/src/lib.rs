//! What the shop's services use of the platform: state, settings, clock and randomness.
//!
//! A service's domain code is written against the trait [`Platform`]. In a component the platform is [`Host`]. In
//! native tests it is `memory::Memory`, which can run other requests between any two steps. The domain changes its
//! state only through [`transact`], so every change is stored as a whole or not at all.

mod bindings;
mod host;
mod id;
mod join;
#[cfg(any(test, feature = "memory"))]
pub mod memory;
mod records;
mod transaction;

use std::time::Duration;

pub use bindings::atoll::events::publisher::Event;
pub use bindings::atoll::state0_1_0::transactions;
pub use bindings::wasi::config::store as config;
pub use host::Host;
pub use id::new_id;
pub use join::both;
pub use records::{Listing, MAX_RECORDS, find_many, list, record_key};
pub use transaction::{Failure, Outbox, Transaction, decode, transact, transact_and_publish};

use transactions::{Check, Error, Page, Versioned, Write};

/// The platform on which a service runs.
///
/// Functions of the component model have no `self`, so an implementation of this trait is found by its type, with
/// [`Platform::current`].
#[expect(async_fn_in_trait, reason = "a component has one thread: no future is sent anywhere")]
pub trait Platform: 'static {
    /// The platform that this request runs on.
    fn current() -> Self;

    /// The values of `keys` in one snapshot, in the order of the keys.
    async fn get_many(&self, keys: Vec<String>) -> Result<Vec<Option<Versioned>>, Error>;

    /// Up to `limit` entries whose keys begin with `prefix` and are greater than `after`, in one snapshot.
    async fn scan(&self, prefix: String, after: Option<String>, limit: u32) -> Result<Page, Error>;

    /// Applies all of `writes` if all of `checks` hold. Returns the version of the commit.
    async fn commit(&self, checks: Vec<Check>, writes: Vec<Write>) -> Result<u64, Error>;

    /// A setting of the service from the manifest; `None` if it is not set. The error says why it cannot be read.
    fn setting(&self, key: &str) -> Result<Option<String>, String>;

    /// Milliseconds since 1970 by the wall clock, which may go backwards.
    fn now(&self) -> u64;

    /// 64 random bits that cannot be guessed.
    fn random(&self) -> u64;

    /// Returns after `time`.
    async fn wait(&self, time: Duration);

    /// The result of `future`, or `None` if it takes longer than `time`. On a timeout the future is dropped, which
    /// cancels the call that it waits for. Whether that call did its work is unknown.
    async fn within<T>(&self, time: Duration, future: impl Future<Output = T>) -> Option<T>;
}

/// A platform that takes events. It is a trait of its own: a component that publishes nothing does not import it, and
/// needs no grant.
#[expect(async_fn_in_trait, reason = "a component has one thread: no future is sent anywhere")]
pub trait Publisher: Platform {
    /// As [`Platform::commit`], and publishes `events` in the same commit.
    async fn commit_and_publish(
        &self,
        checks: Vec<Check>,
        writes: Vec<Write>,
        events: Vec<Event>,
    ) -> Result<u64, Error>;
}
