//! A trivial JSON over HTTP: what isolation for each request costs, and what is left of a native server's speed.

use crate::contest::{Claim, Contest, Task};
use crate::peers::{Guest, Life, REQUESTS, Side, Wasi, Yard};
use crate::standings::{judge, table};
use crate::wrk::CONNECTIONS;
use crate::{Finding, Plan};

const TASK: Task = Task { path: "/json", script: None };

const FRESH_2: Guest = Guest { wasi: Wasi::P2, life: Life::Request };
const FRESH_3: Guest = Guest { wasi: Wasi::P3, life: Life::Request };
const REUSE_2: Guest = Guest { wasi: Wasi::P2, life: Life::Reuse(1) };
const REUSE_3: Guest = Guest { wasi: Wasi::P3, life: Life::Reuse(1) };
/// So many at a time as `wasmtime serve` has by default.
const SHARED_3: Guest = Guest { wasi: Wasi::P3, life: Life::Reuse(16) };

/// What the others are compared with: a native server, and `wasmtime serve` as it comes with an instance for each request.
const NATIVE: Side = Side::Axum;
const SERVE: Side = Side::ServeDefault(Wasi::P2);

/// In the order of the table; what is compared most stands together, and is measured one after the other.
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
    Side::Nginx,
];

/// What must hold, and what is worth knowing besides: a claim of 0 always holds.
fn claims() -> Vec<Claim> {
    let claim = |ours, theirs, least| Claim { ours, theirs, least };
    let mut claims = Vec::new();
    for guest in [FRESH_3, FRESH_2] {
        claims.push(claim(Side::Atoll(guest), Side::ServeTuned(guest), 1.0));
        claims.push(claim(Side::Atoll(guest), Side::Bare(guest), 0.85));
        claims.push(claim(Side::Atoll(guest), SERVE, 0.0));
    }
    for guest in [REUSE_3, SHARED_3, REUSE_2] {
        claims.push(claim(Side::Atoll(guest), NATIVE, 0.5));
        claims.push(claim(Side::Atoll(guest), Side::ServeTuned(guest), 1.3));
        claims.push(claim(Side::Atoll(guest), Side::Bare(guest), 0.0));
    }
    claims.push(claim(Side::Typed(Life::Request), Side::Atoll(FRESH_3), 1.0));
    claims.push(claim(Side::Typed(Life::Reuse(1)), Side::Atoll(REUSE_3), 1.0));
    claims
}

/// Measures all sides in turns.
///
/// # Errors
/// If the load or a side that is installed does not run, or an answer is wrong.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let yard = Yard::prepare(plan)?;
    let contest = Contest::hold(plan, &yard, "http", TASK, &SIDES).await?;
    let (judged, misses) = judge(&contest, &claims());
    let verdict =
        if misses.is_empty() { "They hold.".to_owned() } else { format!("Not all hold: {}.", misses.join("; ")) };
    let text = format!(
        "`GET /json`, answered with the 19 bytes `{{\"message\":\"hello\"}}`, from every side the same. The load is `wrk` with one thread, pinned \
         to one processor, and {CONNECTIONS} connections; the servers may use all processors, that one too. Each server is started anew for each \
         measurement, asked once to see that it answers right, and loaded for a second before it counts. 0.3 and 0.2 are the versions of \
         WASI that the component is built for. Fresh: an instance for each request. Reuse: {REQUESTS} requests for each instance, one at a time \
         or as many as it says. Typed route: the same component's function, with the JSON made by the host. Bare is the least that can stand \
         round Wasmtime: hyper and `ProxyHandler` with Atoll's own engine and pool, and nothing else. `wasmtime serve` is built with thin LTO, and \
         Atoll with fat (`bench/peers/install.sh`); by its defaults an instance serves one request of WASI 0.2, or 128 of WASI 0.3, 16 at a time; tuned it has \
         Atoll's pool (`bench/src/peers/serve.rs`). No side writes an access log, or has \
         `RUST_BACKTRACE` set. Versions: {}. The processor's time is that of all processes of the \
         server, for each request; memory is the most that was resident. Each figure is the median (least–most) of all rounds.\n\n{}\n\
         The claims, each ratio taken within each round. {verdict}\n\n{judged}",
        yard.versions(),
        table(&contest, NATIVE, SERVE),
    );
    Ok(Finding { text, misses })
}
