//! The lines of source of trap reports, looked up when somebody asks: a guest that fails pays nothing for them.

use super::HostOperations;
use crate::diagnosis::{SourceLine, source_lines};
use crate::telemetry::{TrapReport, traps};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

/// One looks at a time: the next one finds what this one has found.
static LOOKING: Mutex<()> = Mutex::const_new(());

impl HostOperations {
    /// Looks for the lines of source of all trap reports for which nobody has looked, in the files of their components.
    /// Each file is read once.
    pub(super) async fn find_source_lines(&self) {
        let _looking = LOOKING.lock().await;
        let (Some(runtime), mut unlocated) = (self.runtime.clone(), traps().unlocated()) else { return };
        if unlocated.is_empty() {
            return;
        }
        let work = move || {
            unlocated.sort_by_key(|report| report.revision.0);
            for reports in unlocated.chunk_by(|one, other| one.revision == other.revision) {
                let component = runtime.debug_information(reports[0].revision);
                // A file whose debug information makes the reader panic is as one that has none; others keep theirs.
                let located = catch_unwind(AssertUnwindSafe(|| locate(reports, component.as_deref())));
                if located.is_err() {
                    locate(reports, None);
                }
            }
        };
        // A cancelled task means that the runtime is shutting down.
        let _ = spawn_blocking(work).await;
    }
}

/// Gives reports of one revision the lines that are found in its component's file, if there is one.
fn locate(reports: &[TrapReport], component: Option<&[u8]>) {
    let offsets: Vec<u32> = reports.iter().flat_map(|report| report.offsets.iter().copied()).collect();
    let mut lines = component.map(|component| source_lines(component, &offsets)).unwrap_or_default().into_iter();
    for report in reports {
        // A report that has offsets has one for each frame.
        let stack = report.frames.iter().map(|frame| SourceLine::stack(frame, &lines.next().unwrap_or_default()));
        traps().locate(report, stack.collect());
    }
}
