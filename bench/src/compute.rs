//! Compares servers by a guest that computes: how much of the processor's speed a guest keeps.

use crate::bodies::{FRESH_3, SIDES};
use crate::comparison_tables::table;
use crate::peers::{PeerSetup, Side};
use crate::server_comparison::{ServerComparison, Task};
use crate::wrk::CONNECTIONS;
use crate::{Finding, Plan};

const TASK: Task = Task { path: "/compute", script: None };

/// Measures all sides alternately.
///
/// # Errors
/// If the load or a side that is installed does not run, or an answer is wrong.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let setup = PeerSetup::prepare(plan)?;
    let comparison = ServerComparison::run(plan, &setup, "compute", TASK, &SIDES).await?;
    Ok(Finding::of(format!(
        "`GET /compute`: two million steps of a hash. Each step needs the one before. Components and the native server \
         are built from the same source. Sides, load and columns are those of `http` above, with {CONNECTIONS} \
         connections.\n\n{}",
        table(&comparison, Side::Axum, Side::ServeTuned(FRESH_3)),
    )))
}
