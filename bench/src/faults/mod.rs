//! Thirteen faults, planted one after the other in random order while a neighbour is used: `./just bench faults`.
//!
//! The claim: no request of the neighbour, which has no fault, fails; its p99 is at most three times that of a quiet
//! host; and for each fault a metric shows the service and the cause. `docs/operations.md` lists the same faults, with
//! the command and the metric for each.

mod clients;
mod planted;
mod samples;
mod scene;

use crate::open_loop::{Offer, Sample, Times, ms, offer};
use crate::table::Table;
use crate::{Finding, Plan, progress};
use anyhow::{Context, ensure};
use planted::Planted;
use rand::seq::SliceRandom;
use samples::Samples;
use scene::Scene;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Requests per second to the neighbour: enough for a p99 within some seconds, and few beside what a guest can handle.
const RATE: u32 = 200;
/// Connections to the neighbour.
const CONNECTIONS: usize = 32;
/// The p99 of the neighbour may grow by this factor.
const MOST: f64 = 3.0;
/// A quiet host answers within a millisecond; a factor of less than that would be a factor of the timer's noise.
const LEAST_QUIET: Duration = Duration::from_millis(1);
/// From the start of the load to the fault, and between the end of a fault and the next one.
const PAUSE: Duration = Duration::from_millis(500);

/// The neighbour during one fault.
#[derive(Debug)]
struct Outcome {
    fault: Planted,
    requests: usize,
    /// Requests without a 200.
    errors: usize,
    times: Times,
    /// What the fault's metric grew by; `None` if the host has no such metric.
    sign: Option<f64>,
}

/// Plants each fault once in each round.
///
/// # Errors
/// If the host does not start or ends.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let mut scene = Scene::set(plan).await?;
    let (mut outcomes, mut quiet) = (Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        progress(&format!("faults: round {round} of {}: quiet", plan.rounds));
        quiet.extend(neighbour(&scene, Instant::now() + PAUSE, plan.duration).await?);
        let mut order = Planted::ALL;
        order.shuffle(&mut rand::rng());
        for fault in order {
            progress(&format!("faults: round {round} of {}: {fault}", plan.rounds));
            outcomes.push(measure(&mut scene, fault, plan.duration).await.with_context(|| fault.to_string())?);
        }
    }
    let quiet = Times::of(quiet.iter().map(|sample| sample.took)).context("the neighbour was not asked")?;
    let misses: Vec<String> = outcomes.iter().flat_map(|outcome| outcome.misses(quiet.p99)).collect();
    let text = format!(
        "One host, and {RATE} requests/s to a service without a fault, whose p99 is {:.1} ms while nothing else \
         happens. The faults come in random order, {} s each. The load and the host share the machine.\n\n{}\n\
         The claim: no request of the neighbour fails, its p99 is at most {MOST} times that of the quiet host, and the \
         metric of each fault shows it. {}\n",
        ms(quiet.p99),
        plan.duration.as_secs(),
        table(&outcomes, quiet.p99),
        if misses.is_empty() { "It holds.".to_owned() } else { format!("It does not hold: {}.", misses.join("; ")) },
    );
    Ok(Finding { text, misses })
}

/// Plants one fault for `duration`, and asks the neighbour meanwhile.
async fn measure(scene: &mut Scene, fault: Planted, duration: Duration) -> anyhow::Result<Outcome> {
    let before = Samples::scrape(&scene.admin).await?;
    let start = Instant::now() + PAUSE;
    let (samples, planted) = tokio::join!(neighbour(scene, start, duration), async {
        sleep_until(start).await;
        fault.plant(scene, start + duration).await
    });
    let samples = samples?;
    planted?;
    scene.is_running()?;
    sleep_until(Instant::now() + PAUSE).await;
    let sign = Samples::scrape(&scene.admin).await?.growth_since(&before, fault.metric());
    Ok(Outcome {
        fault,
        requests: samples.len(),
        errors: samples.iter().filter(|sample| !sample.is_ok()).count(),
        times: Times::of(samples.iter().map(|sample| sample.took)).context("the neighbour was not asked")?,
        sign,
    })
}

async fn neighbour(scene: &Scene, start: Instant, duration: Duration) -> anyhow::Result<Vec<Sample>> {
    let samples = offer(Offer {
        address: &scene.gateway,
        path: "/neighbour",
        connections: CONNECTIONS,
        rate: RATE,
        start,
        duration,
    })
    .await?;
    ensure!(!samples.is_empty(), "nothing was due");
    Ok(samples)
}

impl Outcome {
    fn factor(&self, quiet: Duration) -> f64 {
        self.times.p99.as_secs_f64() / quiet.max(LEAST_QUIET).as_secs_f64()
    }

    /// Where the claim does not hold.
    fn misses(&self, quiet: Duration) -> Vec<String> {
        let mut misses = Vec::new();
        let fault = self.fault;
        if self.errors > 0 {
            misses.push(format!("{fault}: {} of {} requests of the neighbour failed", self.errors, self.requests));
        }
        let factor = self.factor(quiet);
        if factor > MOST {
            misses.push(format!("{fault}: the neighbour's p99 was {factor:.1} times that of the quiet host"));
        }
        match self.sign {
            None => misses.push(format!("{fault}: there is no metric {}", fault.metric())),
            Some(growth) if growth <= 0.0 => misses.push(format!("{fault}: {} did not grow", fault.metric())),
            Some(_) => {}
        }
        misses
    }
}

fn table(outcomes: &[Outcome], quiet: Duration) -> Table {
    let mut table = Table::new(["fault", "errors", "p50, ms", "p99, ms", "p99 : quiet", "its metric grew by"]);
    for fault in Planted::ALL {
        // The round with the highest p99 stands for the fault.
        let rounds = outcomes.iter().filter(|outcome| outcome.fault == fault);
        let Some(worst) = rounds.max_by_key(|outcome| (outcome.errors, outcome.times.p99)) else { continue };
        table.row([
            format!("{fault}: `{}`", fault.metric()),
            worst.errors.to_string(),
            format!("{:.1}", ms(worst.times.p50)),
            format!("{:.1}", ms(worst.times.p99)),
            format!("{:.1}", worst.factor(quiet)),
            worst.sign.map_or_else(|| "no such metric".to_owned(), |growth| format!("{growth:.0}")),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(errors: usize, p99: u64, sign: Option<f64>) -> Outcome {
        let ms = Duration::from_millis;
        let times = Times { p50: ms(1), p99: ms(p99), p999: ms(p99), max: ms(p99) };
        Outcome { fault: Planted::Traps, requests: 100, errors, times, sign }
    }

    #[test]
    fn the_claim_fails_for_an_error_a_slow_neighbour_and_a_fault_that_nothing_shows() {
        let quiet = Duration::from_millis(2);
        assert_eq!(outcome(0, 6, Some(1.0)).misses(quiet), [""; 0]);
        assert_eq!(outcome(1, 6, Some(1.0)).misses(quiet).len(), 1);
        assert_eq!(outcome(0, 7, Some(1.0)).misses(quiet).len(), 1);
        assert_eq!(outcome(0, 6, Some(0.0)).misses(quiet).len(), 1);
        assert_eq!(outcome(0, 6, None).misses(quiet).len(), 1);
        assert_eq!(outcome(0, 3, Some(1.0)).misses(Duration::from_micros(100)), [""; 0], "below the timer's noise");
    }
}
