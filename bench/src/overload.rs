//! Five times as much load as a guest can take, for a minute: what is admitted, how fast the rest is refused, and what is left of it after.
//!
//! The claim: what is admitted keeps its p99 under its deadline, the rest get 503 within 10 ms at p99, memory stays bounded, and within
//! a second of the load's end all is well.

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

/// What is asked: the fixture `hostile` answers after 50 ms asleep.
const PATH: &str = "/sleep?ms=50";
const SLEEP: Duration = Duration::from_millis(50);

/// Requests a second, during the load and after it; before it too, so that code and memory are warm.
const RATE: u32 = 1600;
const LIGHT: u32 = 50;

/// How long the light load goes on before, and after.
const BEFORE: Duration = Duration::from_secs(2);
const AFTER: Duration = Duration::from_secs(5);

/// The manifest's limits.
const CONCURRENCY: u32 = 16;
const DEADLINE: Duration = Duration::from_secs(2);

/// The claim's bounds. A well answer takes 50 ms and what the host adds.
const REFUSED_WITHIN: Duration = Duration::from_millis(10);
const RECOVERED_WITHIN: Duration = Duration::from_secs(1);
const WELL_WITHIN: Duration = Duration::from_millis(100);

/// Memory is bounded if its most in the second half of the load is at most this much above its most in the first: nothing accumulates.
const GROWTH: f64 = 16.0;

/// The shares of what the guest can take that must have been admitted: refusing everything is no protection.
const LEAST_ADMITTED: f64 = 0.5;

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What one load came to.
#[derive(Debug, Clone, PartialEq)]
struct Outcome {
    /// Answers with 200, a second.
    admitted: f64,
    admitted_times: Times,
    /// Answers with 503, a second.
    refused: f64,
    /// None: nothing was refused.
    refused_times: Option<Times>,
    /// Requests that ended in any other way.
    others: usize,
    /// p99 of how late the load itself was.
    late: Duration,
    memory: Memory,
    /// From the end of the load until the first request since when every one was answered with 200 in time; None: never.
    recovery: Option<Duration>,
    /// Requests after the load that were not answered with 200 in time: one of them late is a hiccup, many are a host that is still ill.
    ill: usize,
}

/// Resident memory of the host, in MiB.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Memory {
    before: f64,
    first_half: f64,
    second_half: f64,
    after: f64,
}

/// Measures one load after the other, each with a host of its own.
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
        "A guest that sleeps {} ms, behind `concurrency = {CONCURRENCY}`, `waiting = 16`, `wait = \"100ms\"` and `timeout = \"{}s\"`, so that it can \
         take {} requests a second; {RATE} are offered, over at most {CONNECTIONS} connections, and a request's time counts from when it was \
         due. Then {LIGHT} a second go on for {} s. The load and the host share the machine. One host for each round.\n\n{}\n\
         The claim: the admitted keep their p99 under their deadline of {} ms, the refused have their 503 within {} ms at p99, there is no \
         other outcome, memory has its most in the second half of the load at most {GROWTH} MiB above that of the first, and within {} ms of \
         the load's end every request is answered with 200 within {} ms. {verdict}\n",
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

/// Requests a second that the guest can take.
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

/// One load: light, heavy, light.
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

    let start = Instant::now() + LOOK;
    let end = start + plan.duration;
    let light = async {
        // Just before, since a host closes connections that stay silent.
        sleep_until(end - LOOK * 2).await;
        offer(to_host(LIGHT, end, AFTER)).await
    };
    let (heavy, light, looks) =
        tokio::join!(offer(to_host(RATE, start, plan.duration)), light, watch(process, start, end));
    let (heavy, light, looks) = (heavy?, light?, looks?);
    let most = |second: bool| {
        let half = looks.iter().filter(|(at, _)| (*at >= plan.duration / 2) == second);
        half.map(|(_, resident)| *resident).fold(before, f64::max)
    };
    let memory = Memory { before, first_half: most(false), second_half: most(true), after: resident(process)? };
    Outcome::of(&heavy, &light, plan.duration, memory)
}

/// Looks at the memory of a process from `start` to `end`, and answers when, since the start, there was how much, in MiB.
async fn watch(process: u32, start: Instant, end: Instant) -> anyhow::Result<Vec<(Duration, f64)>> {
    let mut looks = Vec::new();
    let mut clock = interval(LOOK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < end {
        clock.tick().await;
        looks.push((start.elapsed(), resident(process)?));
    }
    Ok(looks)
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
            ill: light.iter().filter(|sample| is_ill(sample)).count(),
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
        claim(share >= LEAST_ADMITTED, format!("only {:.0} % of what the guest can take was admitted", share * 100.0));
        let late =
            format!("the load itself was {:.1} ms late at p99, so the machine was busy: measure again", ms(self.late));
        claim(self.late <= LATEST, late);
        match self.recovery {
            None => claim(false, format!("it did not recover within {} s", AFTER.as_secs())),
            Some(time) => {
                let over = ms(time) - ms(RECOVERED_WITHIN);
                claim(
                    time <= RECOVERED_WITHIN,
                    format!(
                        "it recovered after {:.0} ms, {over:.0} ms too late ({} requests were not well)",
                        ms(time),
                        self.ill
                    ),
                );
            }
        }
        misses
    }
}

/// Whether a request of the light load was not answered as one is by a host that is well.
fn is_ill(sample: &Sample) -> bool {
    !sample.is_ok() || sample.took > WELL_WITHIN
}

/// When the first request was due since when all were answered with 200 in time; None, if the last one was not.
fn recovery(light: &[Sample]) -> Option<Duration> {
    let ill = light.iter().filter(|sample| is_ill(sample)).map(|sample| sample.due).max();
    light.iter().map(|sample| sample.due).filter(|due| ill.is_none_or(|ill| *due > ill)).min()
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
    // Without a refusal there is no overload, which is said as a miss.
    let refused = |pick: fn(&Times) -> Duration| {
        move |outcome: &Outcome| outcome.refused_times.as_ref().map_or(f64::NAN, |times| ms(pick(times)))
    };
    row("admitted (200), a second", 0, &|outcome| outcome.admitted);
    row("admitted: p50, ms", 1, &|outcome| ms(outcome.admitted_times.p50));
    row("admitted: p99, ms", 1, &|outcome| ms(outcome.admitted_times.p99));
    row("admitted: most, ms", 1, &|outcome| ms(outcome.admitted_times.max));
    row("refused (503), a second", 0, &|outcome| outcome.refused);
    row("refused: p50, ms", 2, &refused(|times| times.p50));
    row("refused: p99, ms", 2, &refused(|times| times.p99));
    row("refused: most, ms", 1, &refused(|times| times.max));
    row("any other outcome, requests", 0, &|outcome| outcome.others as f64);
    row("the load itself late: p99, ms", 2, &|outcome| ms(outcome.late));
    row("resident memory before, MiB", 1, &|outcome| outcome.memory.before);
    row("resident memory, most in the first half, MiB", 1, &|outcome| outcome.memory.first_half);
    row("resident memory, most in the second half, MiB", 1, &|outcome| outcome.memory.second_half);
    row("resident memory after, MiB", 1, &|outcome| outcome.memory.after);
    row("after the load: not answered with 200 in time, requests", 0, &|outcome| outcome.ill as f64);
    row("from the load's end until all is well, ms", 0, &|outcome| outcome.recovery.map_or(f64::NAN, ms));
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
    fn the_claim_can_hold() {
        let heavy =
            [sample(0, 52, 200), sample(1, 101, 200), sample(1, 110, 200), sample(2, 110, 200), sample(2, 1, 503)];
        let outcome = outcome(&heavy, &[sample(0, 120, 200), sample(20, 52, 200)], STEADY);
        assert_eq!(outcome.misses(), [""; 0]);
        assert_eq!(outcome.recovery, Some(Duration::from_millis(20)));
        assert!((outcome.admitted - 400.0).abs() < 1e-9 && (outcome.refused - 100.0).abs() < 1e-9);
    }

    #[test]
    fn each_part_of_the_claim_can_fail() {
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
                "it recovered after 1200 ms, 200 ms too late (1 requests were not well)",
            ),
        ];
        for (heavy, light, memory, miss) in cases {
            assert_eq!(outcome(&heavy, light, memory).misses(), [miss]);
        }
        let idle = outcome(&[sample(0, 52, 200); 4], &well, STEADY);
        assert_eq!(idle.misses(), ["nothing was refused, so this was no overload"]);
        let harsh = outcome(&[sample(0, 52, 200), sample(0, 1, 503)], &well, STEADY);
        assert_eq!(harsh.misses(), ["only 31 % of what the guest can take was admitted"]);
    }

    #[test]
    fn memory_is_read_from_the_status() {
        assert_eq!(resident_in("Name:\tatoll\nVmHWM:\t  9216 kB\nVmRSS:\t  5120 kB\n"), Some(5.0));
        assert_eq!(resident_in("Name:\tatoll\n"), None);
    }
}
