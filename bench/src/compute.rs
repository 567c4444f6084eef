//! A guest that computes: what is left of a processor's speed inside.

use crate::bodies::{FRESH_3, SIDES};
use crate::contest::{Contest, Task};
use crate::peers::{Side, Yard};
use crate::standings::table;
use crate::wrk::CONNECTIONS;
use crate::{Finding, Plan};

const TASK: Task = Task { path: "/compute", script: None };

/// Measures all sides in turns.
///
/// # Errors
/// If the load or a side that is installed does not run, or an answer is wrong.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let yard = Yard::prepare(plan)?;
    let contest = Contest::hold(plan, &yard, "compute", TASK, &SIDES).await?;
    Ok(Finding::of(format!(
        "`GET /compute`: two million steps of a hash, each of which waits for the one before, in the same source for components and the native \
         server. Sides, load and figures are those of `http` above, with {CONNECTIONS} connections.\n\n{}",
        table(&contest, Side::Axum, Side::ServeTuned(FRESH_3)),
    )))
}
