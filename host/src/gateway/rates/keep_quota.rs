//! What the gateway needs of the place where the counts of quotas are kept. `app` implements it with the database.

use crate::limit::QuotaEntry;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

/// The answer to [`KeepQuota::save`]; the error is why the count is not on disk.
pub type SavedFuture<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Keeps the counts of quotas over restarts.
pub trait KeepQuota: fmt::Debug + Send + Sync {
    /// The key of what counts together, which is `bytes`: the same after a restart, and nobody outside can foresee
    /// which bytes have the same. It is never that of the shared count.
    fn key(&self, bytes: &[u8]) -> u64;

    /// Writes how much of the quota of the limit `name` is used up in a window of this length. It is on disk when this
    /// is ready.
    fn save<'a>(&'a self, name: &'a str, window: Duration, entry: QuotaEntry) -> SavedFuture<'a>;
}
