//! The one place where the host notes what it hands to a guest: each kind of input has its method here, and whoever
//! watches the call is told ([`InputWatch`]).
//!
//! Most calls are watched by nobody. They have no [`CallNotes`], and nothing is made, copied or counted for them.

use crate::base::{CallContext, ErrorKind, Identity, Input, InputWatch, RequestId, ServiceName, StatePage, StateValue};
use crate::runtime::grants::Grants;
use crate::runtime::tape::taped_sources::GuestSources;
use crate::state::{Bucket, Committed, Entry, Key, KeyWatch, Page, Versioned};
use rand::TryRng;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wasmtime_wasi::random::thread_rng;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// The seed of the hash tables of every guest whose call is watched. A seed for each call would make each answer
/// depend on chance; this one stays secret, and differs with each start of the host, as in a plain process.
static SEED: LazyLock<u128> = LazyLock::new(rand::random);

/// What is noted of one call.
#[derive(Clone)]
pub(crate) struct CallNotes {
    watch: Arc<dyn InputWatch>,
    grants: Arc<Grants>,
}

impl CallNotes {
    /// The notes of the call with this context to a guest with these grants; `None` if nobody watches it.
    pub(crate) fn of(context: &CallContext, grants: &Arc<Grants>) -> Option<Self> {
        let watch = context.watch.clone()?;
        Some(Self { watch, grants: Arc::clone(grants) })
    }

    fn note(&self, input: Input<'_>) {
        self.watch.note(&self.grants.service, input);
    }

    /// Clocks and randomness for the guest, each use of which is noted; its environment is noted now.
    pub(super) fn sources(&self) -> GuestSources {
        self.note(Input::InsecureSeed(*SEED));
        let environment: Vec<_> = self.grants.env().variables().collect();
        self.note(Input::Environment(&environment));
        let clock = || Box::new(NotedClock { notes: self.clone(), origin: Instant::now() });
        let rng = |secure| Box::new(NotedRng { notes: self.clone(), rng: thread_rng(), secure });
        GuestSources { time: clock(), ticks: clock(), random: rng(true), quick: rng(false), seed: *SEED }
    }

    /// The guest asks for values of its configuration.
    pub(crate) fn config(&self) {
        let values: Vec<_> = self.grants.config_values().variables().collect();
        self.note(Input::Config(&values));
    }

    /// The guest begins to wait for a time.
    pub(crate) fn timer(&self) {
        self.note(Input::Timer);
    }

    /// The guest asks who calls.
    pub(crate) fn caller(&self, identity: Option<&Identity>) {
        self.note(Input::Caller(identity));
    }

    /// The guest asks for the id of its request.
    pub(crate) fn request_id(&self, id: &RequestId) {
        self.note(Input::RequestId(id));
    }

    /// The instance is none that was made for this call alone.
    pub(crate) fn kept_memory(&self) {
        self.note(Input::KeptMemory);
    }

    /// The call is about to read `keys`.
    pub(crate) fn before_values(&self, bucket: &Bucket, keys: &[Key]) {
        if let Some(standing) = self.watch.standing() {
            bucket.watch_keys(keys, standing);
        }
    }

    /// The call is about to list the keys with this prefix after this one. The watch is for [`Self::after_page`].
    pub(crate) fn before_page(&self, bucket: &Bucket, prefix: &[u8], after: Option<&[u8]>) -> Option<KeyWatch> {
        bucket.watch_listing(prefix, (after, None), self.watch.standing()?)
    }

    /// The page was read. If others follow, only its own part of the keys matters.
    pub(crate) fn after_page(
        &self,
        bucket: &Bucket,
        (prefix, after): (&[u8], Option<&[u8]>),
        watch: Option<KeyWatch>,
        next: Option<&[u8]>,
    ) {
        let (Some(watch), Some(standing)) = (watch, self.watch.standing()) else { return };
        // The wide watch goes after the narrow one is there: at each moment one of them sees a change.
        let narrow = next.and_then(|last| bucket.watch_listing(prefix, (after, Some(last)), standing));
        let watch = narrow.unwrap_or(watch);
        let (reads, weight) = (watch.reads(), watch.weight());
        standing.hold(watch, reads, weight);
    }

    /// The values of `keys` were `found`.
    pub(crate) fn state_values(&self, keys: &[Key], found: &[Option<Versioned>]) {
        let found: Vec<_> = found.iter().map(|found| found.as_ref().and_then(state_value)).collect();
        self.note(Input::StateValues { keys, found: &found });
    }

    /// This page of entries was found.
    pub(crate) fn state_entries(&self, (prefix, after, limit): (&[u8], Option<&[u8]>, usize), page: &Page<Entry>) {
        let items: Vec<_> = page.items.iter().map(|entry| (&*entry.key, state_value(&entry.value))).collect();
        self.note(Input::StatePage(StatePage { prefix, after, limit, items: &items, next: page.next.as_deref() }));
    }

    /// This page of keys was found.
    pub(crate) fn state_keys(&self, (prefix, after, limit): (&[u8], Option<&[u8]>, usize), page: &Page<Key>) {
        let items: Vec<_> = page.items.iter().map(|key| (key.as_slice(), None)).collect();
        self.note(Input::StatePage(StatePage { prefix, after, limit, items: &items, next: page.next.as_deref() }));
    }

    /// A change of the store has this outcome.
    pub(crate) fn state_change<E>(&self, operation: &'static str, outcome: &Result<Committed, E>) {
        let committed = outcome.as_ref().ok().map(|committed| (committed.version, &*committed.sums));
        self.note(Input::StateChange { operation, committed });
    }

    /// The store could not be read.
    pub(crate) fn state_failure(&self) {
        self.note(Input::StateFailure);
    }

    /// The guest calls `service`.
    pub(crate) fn service_call(&self, service: &ServiceName) {
        self.note(Input::ServiceCall(service));
    }

    /// The guest sends a request to `origin`.
    pub(crate) fn outside_call(&self, origin: &str) {
        self.note(Input::OutsideCall(origin));
    }

    /// A call of the guest has no answer.
    pub(crate) fn failed_call(&self, kind: ErrorKind) {
        self.note(Input::FailedCall(kind));
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a value of the store may be absent, and this one is there")]
fn state_value(found: &Versioned) -> StateValue<'_> {
    Some((&found.value, found.version))
}

/// The host's clocks, each reading of which is noted.
struct NotedClock {
    notes: CallNotes,
    origin: Instant,
}

impl HostWallClock for NotedClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.notes.note(Input::WallClock(now));
        now
    }
}

impl HostMonotonicClock for NotedClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        let now = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.notes.note(Input::MonotonicClock(now));
        now
    }
}

/// A generator, each draw of which is noted.
struct NotedRng<R> {
    notes: CallNotes,
    rng: R,
    secure: bool,
}

impl<R: rand::Rng> NotedRng<R> {
    fn noted(&self, drawn: &[u8]) {
        self.notes.note(if self.secure { Input::Random(drawn) } else { Input::InsecureRandom(drawn) });
    }
}

impl<R: rand::Rng> TryRng for NotedRng<R> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let drawn = self.rng.next_u32();
        self.noted(&drawn.to_le_bytes());
        Ok(drawn)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let drawn = self.rng.next_u64();
        self.noted(&drawn.to_le_bytes());
        Ok(drawn)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.rng.fill_bytes(bytes);
        self.noted(bytes);
        Ok(())
    }
}
