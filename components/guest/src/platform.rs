//! What a service uses of the platform, as a trait: state, settings, clock and randomness.

use std::time::Duration;

use crate::events::Event;
use crate::transactions::{Check, Error, Page, Versioned, Write};

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

    /// Applies all of `writes` if all of `checks` hold, and publishes `events`. Returns the version of the commit.
    async fn commit(&self, checks: Vec<Check>, writes: Vec<Write>, events: Vec<Event>) -> Result<u64, Error>;

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
