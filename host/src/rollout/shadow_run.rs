//! A shadow: recorded calls are fed to the candidate, and what comes of it is compared and goes nowhere.

use crate::recording::ShadowTally;
use crate::runtime::{InstancePool, Recorder};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::AbortHandle;

/// The comparison under way. It ends with this.
pub(super) struct ShadowRun {
    tally: Arc<Mutex<ShadowTally>>,
    task: AbortHandle,
}

impl ShadowRun {
    /// Compares the calls that `recorder` records from now on with what the candidate of `pool` makes of them: one
    /// after the other, so that the service does not notice. Calls that come meanwhile are skipped.
    pub(super) fn begin(recorder: &Arc<Recorder>, pool: InstancePool) -> Self {
        let tally = Arc::<Mutex<ShadowTally>>::default();
        let (mut calls, rules, counts) = (recorder.shadow(), Arc::clone(recorder.rules()), Arc::clone(&tally));
        let task = tokio::spawn(async move {
            let mut failed = 0;
            while let Some(recording) = calls.next().await {
                let replayed = pool.replay(&recording, &rules).await;
                let mut tally = lock(&counts);
                match replayed {
                    Ok(report) => tally.count(&report, recording.number, &recording.request),
                    // No instance was free for it.
                    Err(error) => {
                        failed += 1;
                        tracing::debug!(request_id = recording.request, %error, "a call is not compared");
                    }
                }
                tally.skipped = calls.skipped() + failed;
            }
        });
        Self { tally, task: task.abort_handle() }
    }

    /// What it has found so far.
    pub(super) fn tally(&self) -> ShadowTally {
        lock(&self.tally).clone()
    }

    /// Compares no further call.
    pub(super) fn end(&self) {
        self.task.abort();
    }
}

impl Drop for ShadowRun {
    fn drop(&mut self) {
        self.end();
    }
}

fn lock(tally: &Mutex<ShadowTally>) -> MutexGuard<'_, ShadowTally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
