//! Compares servers by a large body that comes back, and by an answer in many small chunks.

use crate::comparison_tables::table;
use crate::peers::{Guest, Life, PeerSetup, Side, Wasi};
use crate::server_comparison::{ServerComparison, Task};
use crate::wrk::CONNECTIONS;
use crate::{Finding, Plan};

const ECHO: Task = Task { path: "/echo", script: Some("echo.lua") };
const STREAM: Task = Task { path: "/stream?100", script: None };

const FRESH_2: Guest = Guest { wasi: Wasi::P2, life: Life::Request };
pub(crate) const FRESH_3: Guest = Guest { wasi: Wasi::P3, life: Life::Request };
const REUSE_3: Guest = Guest { wasi: Wasi::P3, life: Life::Reuse(1) };

/// All sides, in the order of the tables.
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

/// Measures all sides alternately: first with the large body, then with the chunks.
///
/// # Errors
/// If the load or a side that is installed does not run, or an answer is wrong.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let setup = PeerSetup::prepare(plan)?;
    let echo = ServerComparison::run(plan, &setup, "bodies, echo", ECHO, &SIDES).await?;
    let stream = ServerComparison::run(plan, &setup, "bodies, stream", STREAM, &SIDES).await?;
    let tables = [&echo, &stream].map(|comparison| table(comparison, Side::Axum, Side::ServeTuned(FRESH_3)));
    Ok(Finding::of(format!(
        "Sides, load and columns are those of `http` above, with {CONNECTIONS} connections.\n\n\
         `POST /echo`: a body of 1 MiB. The guest returns it as its answer, so both bodies stream at the same \
         time:\n\n{}\n\
         `GET /stream?100`: an answer of a hundred chunks of 64 bytes, each written separately:\n\n{}",
        tables[0], tables[1],
    )))
}
