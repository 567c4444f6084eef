//! What the admin asks of the gateway's cache.

use crate::admin::{CacheDiskView, CacheView, OperationError, OperationErrorKind, PurgedView};
use crate::cache::{Purge, StoreUse};
use crate::gateway::SharedCache;

/// How full the cache is.
pub(super) fn view(cache: Option<&SharedCache>) -> Result<CacheView, OperationError> {
    let cache = cache.ok_or_else(none)?;
    let StoreUse { answers, bytes, most_bytes, stored, stored_bytes, evicted } = cache.usage();
    let disk = cache.disk().map(|disk| CacheDiskView {
        answers: stored as u64,
        bytes: stored_bytes as u64,
        max_bytes: disk.most_bytes(),
    });
    Ok(CacheView { answers: answers as u64, bytes: bytes as u64, max_bytes: most_bytes as u64, disk, evicted })
}

/// Takes answers out.
pub(super) fn purge(cache: Option<&SharedCache>, purge: &Purge) -> Result<PurgedView, OperationError> {
    let purged = cache.ok_or_else(none)?.purge(purge);
    tracing::info!(?purge, purged, "an operator has purged the cache");
    Ok(PurgedView { purged: purged as u64 })
}

fn none() -> OperationError {
    let message = "no route of the manifest has a `cache`, so there is nothing to purge";
    OperationError::new(OperationErrorKind::Conflict, message)
}
