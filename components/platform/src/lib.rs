//! What the shop's services use of the platform that they run on: their state, their settings, clock and randomness.
//!
//! A service's domain is written against the trait [`Platform`]. In a component that is [`Host`]; in the native tests
//! it is `memory::Memory`, which can make other requests happen between any two steps. The domain changes its state
//! through [`transact`] alone, so whatever it stores, it stores whole.

mod bindings;
mod host;
mod id;
mod join;
#[cfg(any(test, feature = "memory"))]
pub mod memory;
mod records;
mod transaction;

use std::time::Duration;

pub use bindings::atoll::state::transactions;
pub use bindings::wasi::config::store as config;
pub use host::Host;
pub use id::new_id;
pub use join::both;
pub use records::{Listing, MAX_RECORDS, find_many, list, record_key};
pub use transaction::{Failure, Transaction, decode, transact};

use transactions::{Check, Error, Page, Versioned, Write};

/// The platform under a service.
///
/// The contracts' traits have functions without `self`, as the component model has; so an implementation is found by
/// its type, with [`Platform::current`].
#[expect(async_fn_in_trait, reason = "a component has one thread: no future is sent anywhere")]
pub trait Platform: 'static {
    /// The platform that this request runs on.
    fn current() -> Self;

    /// The values of `keys` in one snapshot, in the order of the keys.
    async fn get_many(&self, keys: Vec<String>) -> Result<Vec<Option<Versioned>>, Error>;

    /// Up to `limit` entries whose keys begin with `prefix` and are greater than `after`, in one snapshot.
    async fn scan(&self, prefix: String, after: Option<String>, limit: u32) -> Result<Page, Error>;

    /// Applies all of `writes` if all of `checks` hold, and answers with the commit's version.
    async fn commit(&self, checks: Vec<Check>, writes: Vec<Write>) -> Result<u64, Error>;

    /// A setting of the service from the manifest; absent if it is not set. An error says why it cannot be read.
    fn setting(&self, key: &str) -> Result<Option<String>, String>;

    /// Milliseconds since 1970 by the wall clock, which may go backwards.
    fn now(&self) -> u64;

    /// 64 bits that nobody can guess.
    fn random(&self) -> u64;

    /// Comes back after `time`.
    async fn wait(&self, time: Duration);

    /// What `future` gives, or nothing if that takes longer than `time`. Then it is dropped where it stands, which cancels
    /// the call that it waits for; whether that call did its work is not known.
    async fn within<T>(&self, time: Duration, future: impl Future<Output = T>) -> Option<T>;
}
