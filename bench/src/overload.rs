//! Five times as much load as a guest can handle, for a minute: what is admitted, how fast the rest is refused, and
//! how the host recovers.
//!
//! The claim: admitted requests keep their p99 below their deadline; the others get 503 within 10 ms at p99; memory
//! stays bounded; and within a second after the load the host is well again.

use crate::atoll::{self, Atoll};
use crate::open_loop::{CONNECTIONS, LATEST, Offer, Sample, Times, ms, offer};
use crate::rounds::Spread;
use crate::table::Table;
use crate::{Finding, Plan, progress};
use anyhow::{Context, ensure};
use http::StatusCode;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// The request: the fixture `hostile` answers after 50 ms of sleep.
const PATH: &str = "/sleep?ms=50";
const SLEEP: Duration = Duration::from_millis(50);

/// Requests per second, during the heavy load and during the light one. The light load before it warms up code and
/// memory.
const RATE: u32 = 1600;
const LIGHT: u32 = 50;

/// How long the light load lasts before and after the heavy one.
const BEFORE: Duration = Duration::from_secs(2);
const AFTER: Duration = Duration::from_secs(5);

/// The manifest's limits.
const CONCURRENCY: u32 = 16;
const DEADLINE: Duration = Duration::from_secs(2);

/// The claim's bounds. An answer of a host that is well takes 50 ms plus the host's overhead.
const REFUSED_WITHIN: Duration = Duration::from_millis(10);
const RECOVERED_WITHIN: Duration = Duration::from_secs(1);
const WELL_WITHIN: Duration = Duration::from_millis(100);

/// Memory counts as bounded if its maximum in the second half of the load is at most this many MiB above that in the
/// first half: then nothing accumulates.
const GROWTH: f64 = 16.0;

/// The share of the guest's capacity that must have been admitted: refusing everything is no protection.
const LEAST_ADMITTED: f64 = 0.5;

/// How often memory is read.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The result of one load.
#[derive(Debug, Clone, PartialEq)]
struct Outcome {
    /// Answers with 200 per second.
    admitted: f64,
    admitted_times: Times,
    /// Answers with 503 per second.
    refused: f64,
    /// `None` if nothing was refused.
    refused_times: Option<Times>,
    /// Requests that ended in any other way.
    others: usize,
    /// The p99 of how late the load itself was.
    late: Duration,
    memory: Memory,
    /// From the end of the load until the first request after which all were answered with 200 in time. `None` if
    /// never.
    recovery: Option<Duration>,
    /// Requests after the load that were not answered with 200 in time. One late request is an accident; many mean
    /// that the host has not recovered.
    unwell: usize,
}

/// Resident memory of the host, in MiB.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Memory {
    before: f64,
    first_half: f64,
    second_half: f64,
    after: f64,
}

/// Measures one load in each round, with a new host each time.
///
/// # Errors
/// If the host does not start, or nothing is admitted.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let host = atoll::build(plan)?;
    let component = plan.workspace.join("components/dist/fixture-hostile.wasm");
    ensure!(component.exists(), "{} is missing: ./just build-components", component.display());
    let manifest = manifest(&component, &plan.scratch.join("cache"));
    let mut outcomes = Vec::new();
    for round in 1..=plan.rounds {
        progress(&format!("overload: round {round} of {}", plan.rounds));
        outcomes.push(measure(plan, &host, &manifest).await?);
    }
    let misses: Vec<_> = outcomes.iter().flat_map(Outcome::misses).collect();
    let verdict =
        if misses.is_empty() { "It holds.".to_owned() } else { format!("It does not hold: {}.", misses.join("; ")) };
    let text = format!(
        "A guest that sleeps {} ms, with `concurrency = {CONCURRENCY}`, `waiting = 16`, `wait = \"100ms\"` and \
         `timeout = \"{}s\"`, so it can handle {} requests/s. The load sends {RATE} requests/s over at most \
         {CONNECTIONS} connections, and a request's time counts from when it was due. Afterwards {LIGHT} requests/s \
         continue for {} s. The load and the host share the machine. Each round has a new host.\n\n{}\n\
         The claim: the p99 of admitted requests is below their deadline of {} ms; refused requests get their 503 \
         within {} ms at p99; there is no other result; the maximum of memory in the second half of the load is at \
         most {GROWTH} MiB above that in the first half; and from {} ms after the load's end every request is \
         answered with 200 within {} ms. {verdict}\n",
        SLEEP.as_millis(),
        DEADLINE.as_secs(),
        capacity(),
        AFTER.as_secs(),
        table(&outcomes),
        DEADLINE.as_millis(),
        REFUSED_WITHIN.as_millis(),
        RECOVERED_WITHIN.as_millis(),
        WELL_WITHIN.as_millis(),
    );
    Ok(Finding { text, misses })
}

/// Requests per second that the guest can handle.
fn capacity() -> f64 {
    f64::from(CONCURRENCY) / SLEEP.as_secs_f64()
}

fn manifest(component: &Path, cache: &Path) -> String {
    format!(
        r#"[runtime]
cache = {cache:?}

[service.sleeper]
component = {component:?}
limits = {{ concurrency = {CONCURRENCY}, waiting = 16, wait = "100ms", timeout = "{}s" }}

[[route]]
prefix = "/sleep"
service = "sleeper"
"#,
        DEADLINE.as_secs(),
    )
}

/// One round: a light load, the heavy one, and a light one.
async fn measure(plan: &Plan, host: &Path, manifest: &str) -> anyhow::Result<Outcome> {
    let folder = tempfile::tempdir_in(&plan.scratch)?;
    let atoll = Atoll::start(host, folder.path(), manifest)?;
    let process = atoll.process();
    let address = atoll.gateway.strip_prefix("http://").context("the gateway's address")?;
    let to_host =
        |rate, start, duration| Offer { address, path: PATH, connections: CONNECTIONS, rate, start, duration };
    let warm = offer(to_host(LIGHT, Instant::now(), BEFORE)).await?;
    ensure!(warm.iter().any(Sample::is_ok), "the guest did not answer before the load");
    let before = resident(process)?;

    let start = Instant::now() + POLL_INTERVAL;
    let end = start + plan.duration;
    let light = async {
        // Connect just before the end of the load, because a host closes connections that stay silent.
        sleep_until(end - POLL_INTERVAL * 2).await;
        offer(to_host(LIGHT, end, AFTER)).await
    };
    let (heavy, light, samples_of_memory) =
        tokio::join!(offer(to_host(RATE, start, plan.duration)), light, watch(process, start, end));
    let (heavy, light, samples_of_memory) = (heavy?, light?, samples_of_memory?);
    let most = |second: bool| {
        let half = samples_of_memory.iter().filter(|(at, _)| (*at >= plan.duration / 2) == second);
        half.map(|(_, resident)| *resident).fold(before, f64::max)
    };
    let memory = Memory { before, first_half: most(false), second_half: most(true), after: resident(process)? };
    Outcome::of(&heavy, &light, plan.duration, memory)
}

/// Reads the memory of a process from `start` to `end`. Returns the times since `start` and the MiB.
async fn watch(process: u32, start: Instant, end: Instant) -> anyhow::Result<Vec<(Duration, f64)>> {
    let mut samples_of_memory = Vec::new();
    let mut clock = interval(POLL_INTERVAL);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < end {
        clock.tick().await;
        samples_of_memory.push((start.elapsed(), resident(process)?));
    }
    Ok(samples_of_memory)
}

/// Resident memory of a process, in MiB.
fn resident(process: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("the memory of the host")?;
    resident_in(&status).context("no VmRSS in the status of the host")
}

fn resident_in(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u32 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(f64::from(kib) / 1024.0)
}

impl Outcome {
    fn of(heavy: &[Sample], light: &[Sample], duration: Duration, memory: Memory) -> anyhow::Result<Self> {
        let with = |status| heavy.iter().filter(move |sample| sample.status == Some(status)).map(|sample| sample.took);
        let (admitted, refused) = (with(StatusCode::OK), with(StatusCode::SERVICE_UNAVAILABLE));
        let (ok, unavailable) = (admitted.clone().count(), refused.clone().count());
        let second = duration.as_secs_f64();
        Ok(Self {
            admitted: ok as f64 / second,
            admitted_times: Times::of(admitted).context("nothing was admitted")?,
            refused: unavailable as f64 / second,
            refused_times: Times::of(refused),
            others: heavy.len() - ok - unavailable,
            late: Times::of(heavy.iter().chain(light).map(|sample| sample.late)).context("nothing was offered")?.p99,
            memory,
            recovery: recovery(light),
            unwell: light.iter().filter(|sample| is_unwell(sample)).count(),
        })
    }

    /// Where the claim does not hold, and by how much.
    fn misses(&self) -> Vec<String> {
        let mut misses = Vec::new();
        let mut claim = |holds: bool, miss: String| {
            if !holds {
                misses.push(miss);
            }
        };
        let p99 = self.admitted_times.p99;
        claim(
            p99 <= DEADLINE,
            format!("p99 of the admitted is {:.1} ms, {:.1} ms too much", ms(p99), ms(p99) - ms(DEADLINE)),
        );
        if let Some(Times { p99, .. }) = self.refused_times {
            let over = ms(p99) - ms(REFUSED_WITHIN);
            claim(p99 <= REFUSED_WITHIN, format!("p99 of the refused is {:.1} ms, {over:.1} ms too much", ms(p99)));
        }
        claim(self.refused_times.is_some(), "nothing was refused, so this was no overload".to_owned());
        claim(self.others == 0, format!("{} requests ended neither with 200 nor with 503", self.others));
        let growth = self.memory.second_half - self.memory.first_half;
        claim(
            growth <= GROWTH,
            format!("memory grew by {growth:.1} MiB in the second half, {:.1} too much", growth - GROWTH),
        );
        let share = self.admitted / capacity();
        claim(share >= LEAST_ADMITTED, format!("only {:.0} % of the guest's capacity was admitted", share * 100.0));
        let late =
            format!("the load itself was {:.1} ms late at p99, so the machine was busy; measure again", ms(self.late));
        claim(self.late <= LATEST, late);
        match self.recovery {
            None => claim(false, format!("it did not recover within {} s", AFTER.as_secs())),
            Some(time) => {
                let over = ms(time) - ms(RECOVERED_WITHIN);
                claim(
                    time <= RECOVERED_WITHIN,
                    format!(
                        "it recovered after {:.0} ms, {over:.0} ms too late ({} requests were late or not 200)",
                        ms(time),
                        self.unwell
                    ),
                );
            }
        }
        misses
    }
}

/// Whether a request of the light load was answered late or not with 200.
fn is_unwell(sample: &Sample) -> bool {
    !sample.is_ok() || sample.took > WELL_WITHIN
}

/// When the first request was due after which all were answered with 200 in time. `None` if the last one was not.
fn recovery(light: &[Sample]) -> Option<Duration> {
    let unwell = light.iter().filter(|sample| is_unwell(sample)).map(|sample| sample.due).max();
    light.iter().map(|sample| sample.due).filter(|due| unwell.is_none_or(|unwell| *due > unwell)).min()
}

fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new(["during the load", "measured"]);
    let mut row = |what: &str, decimals: usize, value: &dyn Fn(&Outcome) -> f64| {
        let values: Vec<_> = outcomes.iter().map(value).collect();
        let spread = Spread::of(&values);
        let text =
            if values.len() == 1 { format!("{:.decimals$}", spread.median) } else { format!("{spread:.decimals$}") };
        table.row([what.to_owned(), text]);
    };
    // Without a refusal there was no overload, which is reported as a miss.
    let refused = |pick: fn(&Times) -> Duration| {
        move |outcome: &Outcome| outcome.refused_times.as_ref().map_or(f64::NAN, |times| ms(pick(times)))
    };
    row("admitted (200), requests/s", 0, &|outcome| outcome.admitted);
    row("admitted: p50, ms", 1, &|outcome| ms(outcome.admitted_times.p50));
    row("admitted: p99, ms", 1, &|outcome| ms(outcome.admitted_times.p99));
    row("admitted: maximum, ms", 1, &|outcome| ms(outcome.admitted_times.max));
    row("refused (503), requests/s", 0, &|outcome| outcome.refused);
    row("refused: p50, ms", 2, &refused(|times| times.p50));
    row("refused: p99, ms", 2, &refused(|times| times.p99));
    row("refused: maximum, ms", 1, &refused(|times| times.max));
    row("any other result, requests", 0, &|outcome| outcome.others as f64);
    row("the load's own lateness: p99, ms", 2, &|outcome| ms(outcome.late));
    row("resident memory before, MiB", 1, &|outcome| outcome.memory.before);
    row("resident memory, maximum in the first half, MiB", 1, &|outcome| outcome.memory.first_half);
    row("resident memory, maximum in the second half, MiB", 1, &|outcome| outcome.memory.second_half);
    row("resident memory after, MiB", 1, &|outcome| outcome.memory.after);
    row("after the load: not answered with 200 in time, requests", 0, &|outcome| outcome.unwell as f64);
    row("from the load's end until the host is well, ms", 0, &|outcome| outcome.recovery.map_or(f64::NAN, ms));
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(due: u64, took: u64, status: u16) -> Sample {
        let ms = Duration::from_millis;
        Sample { due: ms(due), late: Duration::ZERO, took: ms(took), status: StatusCode::from_u16(status).ok() }
    }

    const STEADY: Memory = Memory { before: 30.0, first_half: 60.0, second_half: 61.0, after: 50.0 };

    fn outcome(heavy: &[Sample], light: &[Sample], memory: Memory) -> Outcome {
        Outcome::of(heavy, light, Duration::from_millis(10), memory).unwrap()
    }

    #[test]
    fn the_claim_holds_for_an_overload_within_all_bounds() {
        let heavy =
            [sample(0, 52, 200), sample(1, 101, 200), sample(1, 110, 200), sample(2, 110, 200), sample(2, 1, 503)];
        let outcome = outcome(&heavy, &[sample(0, 120, 200), sample(20, 52, 200)], STEADY);
        assert_eq!(outcome.misses(), [""; 0]);
        assert_eq!(outcome.recovery, Some(Duration::from_millis(20)));
        assert!((outcome.admitted - 400.0).abs() < 1e-9 && (outcome.refused - 100.0).abs() < 1e-9);
    }

    #[test]
    fn each_part_of_the_claim_is_reported_when_it_fails() {
        let well = [sample(0, 52, 200)];
        let heavy = |more: Sample| [[sample(0, 52, 200); 4].as_slice(), &[sample(2, 1, 503), more]].concat();
        let fine = heavy(sample(3, 1, 503));
        let cases = [
            (heavy(sample(1, 2500, 200)), &well[..], STEADY, "p99 of the admitted is 2500.0 ms, 500.0 ms too much"),
            (heavy(sample(1, 12, 503)), &well, STEADY, "p99 of the refused is 12.0 ms, 2.0 ms too much"),
            (heavy(sample(1, 5, 504)), &well, STEADY, "1 requests ended neither with 200 nor with 503"),
            (
                fine.clone(),
                &well,
                Memory { second_half: 80.0, ..STEADY },
                "memory grew by 20.0 MiB in the second half, 4.0 too much",
            ),
            (fine.clone(), &[sample(0, 52, 503)], STEADY, "it did not recover within 5 s"),
            (
                fine,
                &[sample(1180, 52, 503), sample(1200, 52, 200)],
                STEADY,
                "it recovered after 1200 ms, 200 ms too late (1 requests were late or not 200)",
            ),
        ];
        for (heavy, light, memory, miss) in cases {
            assert_eq!(outcome(&heavy, light, memory).misses(), [miss]);
        }
        let idle = outcome(&[sample(0, 52, 200); 4], &well, STEADY);
        assert_eq!(idle.misses(), ["nothing was refused, so this was no overload"]);
        let harsh = outcome(&[sample(0, 52, 200), sample(0, 1, 503)], &well, STEADY);
        assert_eq!(harsh.misses(), ["only 31 % of the guest's capacity was admitted"]);
    }

    #[test]
    fn resident_memory_is_read_from_the_process_status() {
        assert_eq!(resident_in("Name:\tatoll\nVmHWM:\t  9216 kB\nVmRSS:\t  5120 kB\n"), Some(5.0));
        assert_eq!(resident_in("Name:\tatoll\n"), None);
    }
}
