//! Atoll, nginx and HAProxy, one after the other, in front of three upstreams. Under load, one upstream becomes slow
//! and one dies.
//!
//! The claim: Atoll has fewer errors than each of the others, and its p99 is no worse.

use crate::open_loop::{CONNECTIONS, LATEST, Offer, Sample, Times, ms, offer};
use crate::proxy::{self, Program, WORKERS};
use crate::rounds::Spread;
use crate::table::Table;
use crate::upstream::{Upstream, WELL};
use crate::{Finding, Plan, atoll, progress};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Requests per second: far below what any of the three can do, because the comparison is not about speed.
const RATE: u32 = 1000;

/// How long an answer of the slow upstream takes: longer than the timeout of one second, like a server that waits for
/// its database. An upstream that is slow within the timeout costs time and causes no errors.
const SLOW: Duration = Duration::from_secs(3);

/// Load before the measurement, so that connections exist and averages are learnt.
const WARM_UP: Duration = Duration::from_secs(1);

/// The parts of a run, each a third of it.
const PHASES: [&str; 3] = ["All three healthy", "One slow", "One slow, another dead"];

/// A proxy, and its balancing policy.
struct Side {
    what: &'static str,
    program: Program,
    balance: &'static str,
}

/// The first is Atoll, and the claim is about it. nginx and HAProxy each have two policies that consider the load,
/// and both are measured.
const SIDES: [Side; 5] = [
    Side { what: "Atoll, peak-ewma", program: Program::Atoll, balance: "peak-ewma" },
    Side { what: "nginx, least_conn", program: Program::Nginx, balance: "least_conn" },
    Side { what: "nginx, random two least_conn", program: Program::Nginx, balance: "random two least_conn" },
    Side { what: "HAProxy, leastconn", program: Program::Haproxy, balance: "leastconn" },
    Side { what: "HAProxy, random(2)", program: Program::Haproxy, balance: "random(2)" },
];

/// The results of some requests.
#[derive(Debug, Clone, Copy)]
struct Measured {
    requests: usize,
    /// Every result but a 200.
    errors: usize,
    times: Times,
    /// The p99 of how late the load itself was.
    late: Duration,
}

/// One run of one side: first the whole run, then each phase.
type Run = [Measured; 1 + PHASES.len()];

/// Measures all sides alternately.
///
/// # Errors
/// If a proxy or an upstream does not start.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let [nginx, haproxy] = proxy::install()?;
    let host = atoll::build(plan)?;
    let mut runs: Vec<Vec<Run>> = SIDES.iter().map(|_| Vec::new()).collect();
    for round in 1..=plan.rounds {
        for (side, runs) in SIDES.iter().zip(&mut runs) {
            progress(&format!("proxies: round {round} of {}: {}", plan.rounds, side.what));
            runs.push(measure(side, &host, plan).await?);
        }
    }
    let late = Spread::of(&runs.iter().flatten().map(|run| ms(run[0].late)).collect::<Vec<_>>());
    let mut misses = misses(&runs);
    if late.median > ms(LATEST) {
        misses.push(format!("the load itself was {late:.1} ms late at p99, so the machine was busy; measure again"));
    }
    let verdict =
        if misses.is_empty() { "It holds.".to_owned() } else { format!("It does not hold: {}.", misses.join("; ")) };
    let tables = std::iter::once("The whole run").chain(PHASES).enumerate();
    let tables: Vec<_> = tables.map(|(part, title)| format!("{title}:\n\n{}", table(&runs, part))).collect();
    let text = format!(
        "Three plain HTTP upstreams, each a process that answers a small JSON after {} ms of sleep. After a third of \
         the run one of them becomes slow ({} ms for an answer). After two thirds another one is killed and stays \
         dead. In front of them stand, one after the other, Atoll, nginx {nginx} and HAProxy {haproxy}. Each has its \
         own upstreams, {WORKERS} workers, no logs, kept connections, and the same settings where they exist \
         (`bench/proxies/`): 1 s to connect, 1 s to answer, one retry at another upstream, health checks every second \
         at Atoll and HAProxy (nginx has them only in its paid edition), and ejection after 5 failures. The load is \
         an open loop: {RATE} GET requests/s over at most {CONNECTIONS} connections, from the same program for all. A \
         request's time counts from when it was due; the load itself was {:.2} ms late at p99. An error is every \
         result but a 200, and errors count in the times too. Times are in milliseconds: median (least–most) of all \
         rounds.\n\n{}\n\
         The claim: Atoll's error rate is lower (or neither side has an error), and its p99 over the whole run is no \
         worse, round by round. {verdict}\n",
        WELL.as_millis(),
        SLOW.as_millis(),
        late,
        tables.join("\n"),
    );
    Ok(Finding { text, misses })
}

/// One run of one side, with its own upstreams.
async fn measure(side: &Side, host: &Path, plan: &Plan) -> anyhow::Result<Run> {
    let folder = tempfile::tempdir_in(&plan.scratch)?;
    let mut upstreams = [Upstream::start()?, Upstream::start()?, Upstream::start()?];
    let addresses = upstreams.each_ref().map(|upstream| upstream.address.as_str());
    let proxy = side.program.start(host, folder.path(), side.balance, addresses).await?;
    let start = Instant::now() + Duration::from_millis(100);
    let load = Offer {
        address: &proxy.address,
        path: "/",
        connections: CONNECTIONS,
        rate: RATE,
        start,
        duration: WARM_UP + plan.duration,
    };
    let begin = start + WARM_UP;
    let third = plan.duration / 3;
    let trouble = async {
        sleep_until(begin + third).await;
        upstreams[0].take(SLOW)?;
        sleep_until(begin + third * 2).await;
        upstreams[1].kill();
        anyhow::Ok(())
    };
    let (samples, trouble) = tokio::join!(offer(load), trouble);
    trouble?;
    let samples: Vec<_> = samples?.into_iter().filter(|sample| sample.due >= WARM_UP).collect();
    let phase = |number: u32| {
        let from = WARM_UP + third * number;
        // The last phase also has what remains after dividing by three.
        let to = if number == 2 { Duration::MAX } else { from + third };
        Measured::of(samples.iter().filter(|sample| (from..to).contains(&sample.due)))
    };
    Ok([Measured::of(&samples), phase(0), phase(1), phase(2)])
}

impl Measured {
    fn of<'a>(samples: impl IntoIterator<Item = &'a Sample> + Clone) -> Self {
        let all = || samples.clone().into_iter();
        let times = Times::of(all().map(|sample| sample.took)).expect("a run has requests in each of its phases");
        let late = Times::of(all().map(|sample| sample.late)).expect("as above").p99;
        Self { requests: all().count(), errors: all().filter(|sample| !sample.is_ok()).count(), times, late }
    }

    /// Percent of the requests that did not end with 200.
    fn error_rate(&self) -> f64 {
        self.errors as f64 * 100.0 / self.requests as f64
    }
}

/// One part of all runs, with a row for each side.
fn table(runs: &[Vec<Run>], part: usize) -> Table {
    let mut table = Table::new(["in front", "errors, %", "errors of all", "p50", "p99", "p99.9", "max"]);
    for (side, runs) in SIDES.iter().zip(runs) {
        let spread =
            |value: fn(&Measured) -> f64| Spread::of(&runs.iter().map(|run| value(&run[part])).collect::<Vec<_>>());
        table.row([
            side.what.to_owned(),
            format!("{:.3}", spread(Measured::error_rate)),
            format!("{} of {}", errors(runs, part), runs.iter().map(|run| run[part].requests).sum::<usize>()),
            format!("{:.1}", spread(|measured| ms(measured.times.p50))),
            format!("{:.1}", spread(|measured| ms(measured.times.p99))),
            format!("{:.1}", spread(|measured| ms(measured.times.p999))),
            format!("{:.1}", spread(|measured| ms(measured.times.max))),
        ]);
    }
    table
}

/// Errors of all rounds.
fn errors(runs: &[Run], part: usize) -> usize {
    runs.iter().map(|run| run[part].errors).sum()
}

/// Where the claim does not hold, and by how much.
fn misses(runs: &[Vec<Run>]) -> Vec<String> {
    let mut misses = Vec::new();
    let Some((atoll, others)) = runs.split_first() else { return misses };
    let ours = errors(atoll, 0);
    for (side, other) in SIDES[1..].iter().zip(others) {
        let theirs = errors(other, 0);
        // No number of errors is lower than none.
        if ours > 0 && ours >= theirs {
            misses.push(format!("Atoll had {ours} errors and {} had {theirs}", side.what));
        }
        let ratios: Vec<_> = atoll.iter().zip(other).map(|(a, b)| ms(a[0].times.p99) / ms(b[0].times.p99)).collect();
        let ratio = Spread::of(&ratios);
        if ratio.median > 1.0 {
            misses.push(format!("Atoll's p99 is {ratio:.2} times that of {}", side.what));
        }
    }
    misses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_of(errors: usize, p99: u64) -> Run {
        let p99 = Duration::from_millis(p99);
        let times = Times { p50: p99, p99, p999: p99, max: p99 };
        [Measured { requests: 100, errors, times, late: Duration::ZERO }; 4]
    }

    fn sides(atoll: Run, others: Run) -> Vec<Vec<Run>> {
        let mut sides = vec![vec![others]; SIDES.len()];
        sides[0] = vec![atoll];
        sides
    }

    #[test]
    fn the_claim_holds_with_fewer_errors_and_no_worse_p99() {
        assert_eq!(misses(&sides(run_of(1, 10), run_of(2, 10))), [""; 0]);
        assert_eq!(
            misses(&sides(run_of(0, 10), run_of(0, 11))),
            [""; 0],
            "no errors on either side must satisfy the claim"
        );
    }

    #[test]
    fn the_claim_fails_with_as_many_errors_or_a_worse_p99() {
        let missed = misses(&sides(run_of(2, 10), run_of(2, 10)));
        assert_eq!(missed.len(), SIDES.len() - 1);
        assert_eq!(missed[0], "Atoll had 2 errors and nginx, least_conn had 2");
        let missed = misses(&sides(run_of(0, 15), run_of(2, 10)));
        assert_eq!(missed.len(), SIDES.len() - 1);
        assert_eq!(missed[0], "Atoll's p99 is 1.50 (1.50–1.50) times that of nginx, least_conn");
    }

    #[test]
    fn the_table_has_a_row_for_every_side() {
        let text = table(&sides(run_of(1, 10), run_of(50, 20)), 0).to_string();
        assert!(text.contains("| Atoll, peak-ewma | 1.000 (1.000–1.000) | 1 of 100 | 10.0 (10.0–10.0) |"), "{text}");
        assert_eq!(text.lines().count(), 2 + SIDES.len());
    }
}
