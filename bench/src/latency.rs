//! How long answers take at half of a server's highest rate.
//!
//! The claim: the p99 of Atoll is less than three times its p50.

use crate::pacer::{Offer, Pace};
use crate::peers::{Guest, Life, PeerSetup, Side, Wasi};
use crate::processors::{ButTheLast, Pauses};
use crate::rounds::{Spread, alternate};
use crate::server_comparison::{Task, WARM_UP};
use crate::table::Table;
use crate::{Finding, Plan, progress};
use anyhow::Context;
use std::time::Duration;

const TASK: Task = Task { path: "/json", script: None };

/// Connections, used one after the other: as many as the load has that finds the highest rate.
const CONNECTIONS: usize = crate::wrk::CONNECTIONS;

/// The claim's bound on p99 : p50.
const MOST: f64 = 3.0;

/// The highest rate that is requested, per second. The load can make twice as many; beyond that its own processor
/// would be what is measured.
const HIGHEST: f64 = 25_000.0;

/// How late the load itself may be at p99. If it is later, the times say little about the server.
const LATEST: Duration = Duration::from_millis(1);

const fn guest(wasi: Wasi, life: Life) -> Guest {
    Guest { wasi, life }
}

/// All sides. The claim is about Atoll only.
const SIDES: [Side; 7] = [
    Side::Atoll(guest(Wasi::P3, Life::Request)),
    Side::ServeTuned(guest(Wasi::P3, Life::Request)),
    Side::Atoll(guest(Wasi::P2, Life::Request)),
    Side::ServeTuned(guest(Wasi::P2, Life::Request)),
    Side::Atoll(guest(Wasi::P3, Life::Reuse(1))),
    Side::ServeTuned(guest(Wasi::P3, Life::Reuse(1))),
    Side::Axum,
];

/// One measurement of one side.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// Requests per second that were sent.
    rate: u32,
    pace: Pace,
}

/// Measures all sides alternately.
///
/// # Errors
/// If the load or a side that is installed does not run, or an answer is wrong or missing.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let setup = PeerSetup::prepare(plan)?;
    let pauses = Pauses::now();
    let sides: Vec<Side> = SIDES.into_iter().filter(|side| side.is_installed(&setup)).collect();
    let runs = alternate(plan.rounds, sides.len(), async |round, side| {
        progress(&format!("latency: round {round} of {}: {}", plan.rounds, sides[side]));
        measure(plan, &setup, sides[side]).await.with_context(|| sides[side].to_string())
    });
    let runs = runs.await?;
    let mut misses = Vec::new();
    let mut table = Table::new([
        "server",
        "requests/s",
        "p50, µs",
        "p99, µs",
        "p99.9, µs",
        "p99 : p50",
        "the load late at p99, µs",
    ]);
    for (side, runs) in sides.iter().zip(&runs) {
        let of = |value: fn(&Run) -> f64| Spread::of(&runs.iter().map(value).collect::<Vec<_>>());
        let (ratio, late) = (of(Run::ratio), of(|run| micros(run.pace.late)));
        if matches!(side, Side::Atoll(_)) && ratio.median >= MOST {
            misses.push(format!("the p99 of {side} is {ratio:.2} times its p50"));
        }
        if late.median > micros(LATEST) {
            misses.push(format!(
                "the load of {side} was {late:.0} µs late at p99, so the machine was busy; measure again"
            ));
        }
        table.row([
            side.to_string(),
            of(|run| f64::from(run.rate)).to_string(),
            format!("{:.0}", of(|run| micros(run.pace.times.p50))),
            format!("{:.0}", of(|run| micros(run.pace.times.p99))),
            format!("{:.0}", of(|run| micros(run.pace.times.p999))),
            format!("{ratio:.2}"),
            format!("{late:.0}"),
        ]);
    }
    let verdict =
        if misses.is_empty() { "It holds.".to_owned() } else { format!("It does not hold: {}.", misses.join("; ")) };
    let text = format!(
        "`GET /json` at half of the rate that the same server has just reached with `wrk` and {CONNECTIONS} \
         connections (see `http` above, which also explains the sides), and at most at {HIGHEST:.0} requests/s. In \
         both measurements the load has the last processor, and the servers use the others (if there is more than \
         one). On a shared processor, load and server would wait for each other's time slices, and those waits would \
         be measured. The load is an open loop: requests are due at equal intervals, {CONNECTIONS} connections serve \
         them one after the other, and a request's time counts from when it was due. So waiting for a connection and \
         the load's own lateness are included. The load is one thread with real-time priority (`chrt --fifo`), which \
         a kernel timer wakes for each request. The machine's own pauses are included too: before the first round, a \
         thread that only read the clock was kept from its processor for {pauses}. Each figure is the median \
         (least–most) of all rounds.\n\n{table}\n\
         The claim: Atoll's p99 is less than {MOST:.0} times its p50. {verdict}\n",
    );
    Ok(Finding { text, misses })
}

impl Run {
    fn ratio(&self) -> f64 {
        micros(self.pace.times.p99) / micros(self.pace.times.p50)
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Measures the highest rate, and then the times at half of it.
async fn measure(plan: &Plan, setup: &PeerSetup, side: Side) -> anyhow::Result<Run> {
    let folder = tempfile::tempdir_in(&plan.scratch)?;
    let running = {
        let _others = ButTheLast::keep()?;
        side.start(setup, folder.path()).await?
    };
    TASK.check(&running).await?;
    let load = TASK.load(setup, &running);
    load.run(WARM_UP)?;
    let peak = load.run(plan.duration)?.rate;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is far below what fits")]
    let rate = (peak / 2.0).clamp(1.0, HIGHEST) as u32;
    let offer =
        Offer { address: &running.address, path: TASK.path, rate, duration: plan.duration, connections: CONNECTIONS };
    Ok(Run { rate, pace: offer.run()? })
}
