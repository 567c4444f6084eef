//! The way back, rehearsed before a promotion: the revision before reads what the new one has written.

use super::canary_run::CanaryRun;
use super::deployment::Deployment;
use super::error::SwapError;
use super::revision_history::RevisionHistory;
use super::swap::Rollout;
use crate::recording::{Recording, WayBack, WrittenOverlay};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The most recorded calls that are replayed, the last ones first, and how long that may take.
const MOST_CALLS: usize = 200;
const LONGEST: Duration = Duration::from_secs(10);

impl Rollout {
    /// What a rehearsal says of the way back from the canary `run`, in one sentence.
    ///
    /// # Errors
    /// [`SwapError::NoWayBack`], unless `no_way_back` or the order of the rollout says that this may be.
    pub(super) async fn way_back(
        &self,
        deployment: &Deployment,
        history: &RevisionHistory,
        run: &CanaryRun,
        no_way_back: bool,
    ) -> Result<String, SwapError> {
        let service = &deployment.spec.name;
        let Some(stable) = history.stable.as_ref().filter(|_| deployment.spec.record.is_some()) else {
            return Ok("the way back is not rehearsed: the recorder is off (`record` of the service)".into());
        };
        let recordings: Vec<Arc<Recording>> = {
            let kept = self.recordings.store.list().into_iter().map(|(recording, _)| recording);
            kept.filter(|recording| recording.service == service.as_str()).collect()
        };
        let new = run.revision.digest().to_string();
        let overlay = WrittenOverlay::of(recordings.iter().rev().map(|recording| &**recording), &new);
        let mut found = WayBack::new(&overlay);
        let pool = deployment.replay_pool(&self.runtime, stable);
        let rehearsal = async {
            // What had failed before says nothing.
            let calls = recordings.iter().filter(|recording| !recording.has_failed());
            for laid in calls.filter_map(|recording| overlay.laid_over(recording)).take(MOST_CALLS) {
                let laid = Arc::new(laid);
                // An error: no instance was free, or the revision before has no such function.
                if let Ok(report) = pool.replay(&laid, &self.recordings.rules).await {
                    found.count(&overlay, &laid, &report);
                }
            }
        };
        // What was found until then counts.
        let _ = timeout(LONGEST, rehearsal).await;
        let words = found.in_words();
        match found.unreadable() {
            Some(_) if no_way_back || run.order.no_way_back => {
                tracing::warn!(%service, rollout = run.id, found = words, "a revision without a way back is promoted");
                Ok(format!("no way back: {words}"))
            }
            Some(_) => Err(SwapError::NoWayBack(words, service.clone())),
            None => Ok(words),
        }
    }
}
