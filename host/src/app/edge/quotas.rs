//! The quotas of limits, and the database that keeps what is used up of them.

use super::quota_store::QuotaStore;
use crate::gateway::{KeepQuota, RateLimit};
use crate::state::{StateError, Store};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::sleep;

/// How often the counts of windows that are over are deleted. Until then they take room in the database, nothing else.
const SWEEP: Duration = Duration::from_secs(3600);

/// Whether one of the limits has a quota.
pub(in crate::app) fn are_named(limits: &[Arc<RateLimit>]) -> bool {
    limits.iter().any(|limit| limit.measures().quota.is_some())
}

/// Reads what was used up before the host started, and keeps the counts in `store` from now on. Returns where they are;
/// `None` without a quota.
pub(in crate::app) async fn keep(limits: &[Arc<RateLimit>], store: &Store) -> Result<Option<QuotaStore>, StateError> {
    if !are_named(limits) {
        return Ok(None);
    }
    let counts = QuotaStore::open(store).await?;
    let unix = unix_time();
    for limit in limits {
        let Some(table) = &limit.measures().quota else { continue };
        let quota = table.quota();
        counts.walk(limit.name(), quota.window(), quota.window_at(unix), |entry| table.load(entry)).await?;
        limit.keep_quota(Arc::new(counts.clone()) as Arc<dyn KeepQuota>);
    }
    Ok(Some(counts))
}

/// Deletes the counts of windows that are over, from time to time.
pub(in crate::app) async fn forget_old_counts(limits: Vec<Arc<RateLimit>>, counts: QuotaStore) {
    loop {
        sleep(SWEEP).await;
        let unix = unix_time();
        for limit in &limits {
            let Some(table) = &limit.measures().quota else { continue };
            let quota = table.quota();
            let walked = counts.walk(limit.name(), quota.window(), quota.window_at(unix), |_| ()).await;
            if let Err(error) = walked {
                tracing::warn!(limit = limit.name(), %error, "the old counts of a quota were not deleted");
            }
        }
    }
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
