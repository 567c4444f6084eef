//! A small JSON answer over HTTP: the cost of a fresh instance for each request, and the share of a native server's
//! rate that remains.

use crate::comparison_tables::{judge, table};
use crate::peers::{Guest, Life, PeerSetup, REQUESTS, Side, Wasi};
use crate::server_comparison::{Claim, ServerComparison, Task};
use crate::wrk::CONNECTIONS;
use crate::{Finding, Plan};

const TASK: Task = Task { path: "/json", script: None };

const FRESH_2: Guest = Guest { wasi: Wasi::P2, life: Life::Request };
const FRESH_3: Guest = Guest { wasi: Wasi::P3, life: Life::Request };
const REUSE_2: Guest = Guest { wasi: Wasi::P2, life: Life::Reuse(1) };
const REUSE_3: Guest = Guest { wasi: Wasi::P3, life: Life::Reuse(1) };
/// As many at a time as `wasmtime serve` has by default.
const SHARED_3: Guest = Guest { wasi: Wasi::P3, life: Life::Reuse(16) };

/// The others are compared with a native server, and with `wasmtime serve` by its defaults and an instance for each
/// request.
const NATIVE: Side = Side::Axum;
const SERVE: Side = Side::ServeDefault(Wasi::P2);
/// What a team has without Atoll: a native server, and a gateway in front of it.
const GATEWAY: Side = Side::Nginx;

/// All sides, in the order of the table. The sides that are compared most are neighbours, so they are measured right
/// after each other.
const SIDES: [Side; 23] = [
    NATIVE,
    Side::Atoll(FRESH_3),
    Side::Bare(FRESH_3),
    Side::ServeTuned(FRESH_3),
    Side::Atoll(FRESH_2),
    Side::Bare(FRESH_2),
    Side::ServeTuned(FRESH_2),
    SERVE,
    Side::Typed(Life::Request),
    Side::Atoll(REUSE_3),
    Side::Bare(REUSE_3),
    Side::ServeTuned(REUSE_3),
    Side::Atoll(SHARED_3),
    Side::Bare(SHARED_3),
    Side::ServeTuned(SHARED_3),
    Side::ServeDefault(Wasi::P3),
    Side::Atoll(REUSE_2),
    Side::Bare(REUSE_2),
    Side::ServeTuned(REUSE_2),
    Side::Typed(Life::Reuse(1)),
    Side::Workerd,
    Side::Flask,
    GATEWAY,
];

/// The claims, and further ratios that are worth knowing: a claim of 0 always holds.
fn claims() -> Vec<Claim> {
    let claim = |ours, theirs, least| Claim { ours, theirs, least };
    let mut claims = Vec::new();
    for guest in [FRESH_3, FRESH_2] {
        claims.push(claim(Side::Atoll(guest), Side::ServeTuned(guest), 1.0));
        claims.push(claim(Side::Atoll(guest), Side::Bare(guest), 0.85));
        claims.push(claim(Side::Atoll(guest), GATEWAY, 0.85));
        claims.push(claim(Side::Atoll(guest), SERVE, 0.0));
    }
    for guest in [REUSE_3, SHARED_3, REUSE_2] {
        claims.push(claim(Side::Atoll(guest), GATEWAY, 1.3));
        claims.push(claim(Side::Atoll(guest), NATIVE, 0.5));
        claims.push(claim(Side::Atoll(guest), Side::ServeTuned(guest), 1.3));
        claims.push(claim(Side::Atoll(guest), Side::Bare(guest), 0.0));
    }
    claims.push(claim(Side::Typed(Life::Request), GATEWAY, 1.1));
    claims.push(claim(Side::Typed(Life::Reuse(1)), GATEWAY, 1.6));
    claims.push(claim(Side::Typed(Life::Request), Side::Atoll(FRESH_3), 1.0));
    claims.push(claim(Side::Typed(Life::Reuse(1)), Side::Atoll(REUSE_3), 1.0));
    claims
}

/// Measures all sides alternately.
///
/// # Errors
/// If the load or a side that is installed does not run, or an answer is wrong.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let setup = PeerSetup::prepare(plan)?;
    let comparison = ServerComparison::run(plan, &setup, "http", TASK, &SIDES).await?;
    let (judged, misses) = judge(&comparison, &claims());
    let verdict =
        if misses.is_empty() { "They hold.".to_owned() } else { format!("Not all hold: {}.", misses.join("; ")) };
    let text = format!(
        "`GET /json`: every side answers the same 19 bytes, `{{\"message\":\"hello\"}}`. The load is `wrk` with one \
         thread, pinned to one processor, and {CONNECTIONS} connections. The servers may use all processors, \
         including that one. For each measurement, a new server is started, checked with one request, and loaded for \
         a second before the measurement. 0.3 and 0.2 are the versions of WASI for which the component is built.\n\n\
         - Fresh: one instance for each request.\n\
         - Reuse: {REQUESTS} requests for each instance, one at a time or as many as the row says.\n\
         - Typed route: a function of the same component; the host makes the JSON.\n\
         - Bare: the minimal server around Wasmtime: hyper and `ProxyHandler` with Atoll's engine and pool.\n\
         - `wasmtime serve`: built with thin LTO, Atoll with fat (`bench/peers/install.sh`). By default an instance \
         serves one request of WASI 0.2, or 128 of WASI 0.3, 16 at a time. Tuned: with Atoll's pool \
         (`bench/src/peers/wasmtime_serve.rs`).\n\n\
         No side writes an access log or has `RUST_BACKTRACE` set. Versions: {}. Processor time is that of all \
         processes of the server, for each request. Memory is the most resident memory. Each figure is the median \
         (least–most) of all rounds.\n\n{}\n\
         The claims, with each ratio taken within each round. {verdict}\n\n{judged}",
        setup.versions(),
        table(&comparison, NATIVE, SERVE),
    );
    Ok(Finding { text, misses })
}
