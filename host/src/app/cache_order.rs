//! What the admin asks of the gateway's cache.

use crate::admin::{CacheView, OperationError, OperationErrorKind, PurgedView};
use crate::cache::{Purge, StoreUse};
use crate::gateway::SharedCache;

/// How full the cache is.
pub(super) fn view(cache: Option<&SharedCache>) -> Result<CacheView, OperationError> {
    let StoreUse { answers, bytes, most_bytes, evicted } = cache.ok_or_else(none)?.usage();
    Ok(CacheView { answers: answers as u64, bytes: bytes as u64, max_bytes: most_bytes as u64, evicted })
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
