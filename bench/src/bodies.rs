//! Bodies: a large one that comes back, and an answer in many small chunks.

use crate::contest::{Contest, Task};
use crate::peers::{Guest, Life, Side, Wasi, Yard};
use crate::standings::table;
use crate::wrk::CONNECTIONS;
use crate::{Finding, Plan};

const ECHO: Task = Task { path: "/echo", script: Some("echo.lua") };
const STREAM: Task = Task { path: "/stream?100", script: None };

const FRESH_2: Guest = Guest { wasi: Wasi::P2, life: Life::Request };
pub(crate) const FRESH_3: Guest = Guest { wasi: Wasi::P3, life: Life::Request };
const REUSE_3: Guest = Guest { wasi: Wasi::P3, life: Life::Reuse(1) };

/// In the order of the tables.
pub(crate) const SIDES: [Side; 10] = [
    Side::Axum,
    Side::Atoll(FRESH_3),
    Side::Bare(FRESH_3),
    Side::ServeTuned(FRESH_3),
    Side::Atoll(FRESH_2),
    Side::Bare(FRESH_2),
    Side::ServeTuned(FRESH_2),
    Side::Atoll(REUSE_3),
    Side::Bare(REUSE_3),
    Side::ServeTuned(REUSE_3),
];

/// Measures all sides in turns, first the one and then the other.
///
/// # Errors
/// If the load or a side that is installed does not run, or an answer is wrong.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let yard = Yard::prepare(plan)?;
    let echo = Contest::hold(plan, &yard, "bodies, echo", ECHO, &SIDES).await?;
    let stream = Contest::hold(plan, &yard, "bodies, stream", STREAM, &SIDES).await?;
    let tables = [&echo, &stream].map(|contest| table(contest, Side::Axum, Side::ServeTuned(FRESH_3)));
    Ok(Finding::of(format!(
        "Sides, load and figures are those of `http` above, with {CONNECTIONS} connections.\n\n\
         `POST /echo`: a body of 1 MiB, which the guest hands back as its answer, so that it comes and goes at the same time:\n\n{}\n\
         `GET /stream?100`: an answer of a hundred chunks of 64 bytes, each written by itself:\n\n{}",
        tables[0], tables[1],
    )))
}
