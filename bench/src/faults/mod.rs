//! Thirteen faults, planted one after the other in random order while a neighbour is used: `./just bench faults`.
//!
//! The claim: no request of the neighbour, which has no fault, fails; its p99 is at most three times that of a quiet
//! host; for each fault a verb of the command line and a metric name the service, the revision, the endpoint and the
//! cause, and one command that needs no name, `atoll why`, names them too; the number by which each was first noticed
//! is within its bound; and what the gateway has counted in the end is what all clients saw. `docs/operations.md` lists
//! the same faults, with the verb and the metric for each.

mod clients;
mod ledger;
mod log_reader;
mod outcome;
mod planted;
mod planting;
mod samples;
mod scene;
mod tally;

use crate::open_loop::{Offer, Sample, Times, ms, offer};
use crate::{Finding, Plan, progress};
use anyhow::{Context, ensure};
use outcome::{Outcome, tables};
use planted::{Command, Planted};
use rand::seq::SliceRandom;
use samples::Samples;
use scene::Scene;
use std::time::Duration;
use tally::Tally;
use tokio::time::{Instant, sleep, sleep_until};

/// Requests per second to the neighbour: enough for a p99 within some seconds, and few beside what a guest can handle.
const RATE: u32 = 200;
/// The same without optimisation: slow clients hold the pool but for one instance of the neighbour, which then takes as
/// long as 5 ms for each.
const UNTIMED_RATE: u32 = 50;
/// Connections to the neighbour.
const CONNECTIONS: usize = 32;
/// The p99 of the neighbour may grow by this factor.
const MOST: f64 = 3.0;
/// A quiet host answers within a millisecond. Three of them are one slice of Linux' scheduler: whoever meets another
/// thread on its core may wait for so long, whatever the host does.
const LEAST_QUIET: Duration = Duration::from_millis(1);
/// From the start of the load to the fault, and between the end of a fault and the next one.
const PAUSE: Duration = Duration::from_millis(500);
/// How much longer than the neighbour is asked a fault lasts. Meanwhile the verbs are run, which would disturb the
/// neighbour.
const LOOK: Duration = Duration::from_secs(2);
/// How long the verbs are tried: the host samples its counters and its log each 5 s.
const LOOKED_FOR: Duration = Duration::from_secs(7);

/// Plants each fault once in each round.
///
/// # Errors
/// If the host does not start or ends.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Finding> {
    let mut scene = Scene::set(plan).await?;
    let (mut outcomes, mut quiet) = (Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        progress(&format!("faults: round {round} of {}: quiet", plan.rounds));
        let samples = neighbour(&scene, Instant::now() + PAUSE, plan.duration).await?;
        see(&mut scene.seen, &samples);
        quiet.extend(samples);
        let mut order = Planted::ALL;
        order.shuffle(&mut rand::rng());
        for fault in order {
            progress(&format!("faults: round {round} of {}: {fault}", plan.rounds));
            outcomes.push(measure(&mut scene, fault, plan.duration).await.with_context(|| fault.to_string())?);
        }
    }
    let quiet = times(&quiet)?;
    let judged = plan.timed.then_some(quiet.p99);
    let mut misses: Vec<String> = outcomes.iter().flat_map(|outcome| outcome.misses(judged)).collect();
    let differences = ledger::differences(&scene).await?;
    let counts = if differences.is_empty() { "and they are equal" } else { "and they differ" };
    misses.extend(differences);
    let [refused, swapped, rolled_back] = scene.changes.counts();
    let text = format!(
        "One host, and {} requests/s to a service without a fault, whose p99 is {:.1} ms while nothing else \
         happens. The faults come in random order, {} s each. The load and the host share the machine. A time counts \
         from the begin of a request, which the load may begin late. \"Before\" is what was measured when the faults \
         were first planted, with other clients.\n\n{}\n\
         All clients together saw the ends of {} requests, over {swapped} swaps, {rolled_back} rollbacks and {refused} \
         refused swaps: compared by route, status and kind with the gateway's counters, and by service with those of \
         tries, retries and refusals, {counts}.\n\n\
         The claim: no request of the neighbour fails, its p99 is at most {MOST} times that of the quiet host (or \
         3 ms, one slice of the scheduler, where that is more), a verb and a metric show each fault, each number is \
         within its bound, and the counts are equal. {}\n",
        scene.rate,
        ms(quiet.p99),
        plan.duration.as_secs(),
        tables(&outcomes, quiet.p99),
        scene.seen.total(),
        match misses.is_empty() {
            true if plan.timed => "It holds.".to_owned(),
            true => "It holds, but for the times, which were not judged.".to_owned(),
            false => format!("It does not hold: {}.", misses.join("; ")),
        },
    );
    Ok(Finding { text, misses })
}

/// Plants one fault for `duration` and a little longer, asks the neighbour meanwhile, and then looks as an operator.
async fn measure(scene: &mut Scene, fault: Planted, duration: Duration) -> anyhow::Result<Outcome> {
    let before = Samples::scrape(&scene.admin).await?;
    let start = Instant::now() + PAUSE;
    let end = start + duration;
    let (samples, planting, unseen) = tokio::join!(
        neighbour(scene, start, duration),
        async {
            sleep_until(start).await;
            fault.plant(scene, end + LOOK).await
        },
        async {
            sleep_until(end).await;
            unseen(scene, fault).await
        }
    );
    let (samples, planting, unseen) = (samples?, planting?, unseen?);
    scene.is_running()?;
    see(&mut scene.seen, &samples);
    scene.seen.merge(planting.tally);
    sleep(PAUSE).await;
    let sign = Samples::scrape(&scene.admin).await?.growth_since(&before, fault.metric());
    Ok(Outcome {
        fault,
        requests: samples.len(),
        errors: samples.iter().filter(|sample| !sample.is_ok()).count(),
        times: times(&samples)?,
        sign,
        figure: planting.figure,
        unseen,
    })
}

/// Runs the verbs of the fault until they have shown it, and returns what they have not shown.
async fn unseen(scene: &Scene, fault: Planted) -> anyhow::Result<Vec<String>> {
    let Command { verb, prints } = fault.command();
    let until = Instant::now() + LOOKED_FOR;
    loop {
        let (text, ps, whole) = (scene.run(verb).await?, scene.run(&["ps"]).await?, scene.run(&["why"]).await?);
        let mut missing: Vec<_> =
            prints.iter().filter(|words| !text.contains(**words)).map(|w| (*w).to_owned()).collect();
        // Who knows nothing needs one command: it leads to service, revision and cause.
        let unnamed = prints.iter().filter(|words| !whole.contains(**words));
        missing.extend(unnamed.map(|words| format!("{words}, in `atoll why` of the whole host: {whole}")));
        if let Some((endpoint, has_revision)) = fault.endpoint() {
            // Name, revision, age, endpoint, place.
            let row = ps.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let row = row.into_iter().find(|row| row.get(3) == Some(&endpoint.as_str()));
            let revision = row.as_ref().and_then(|row| row.get(1)).map_or("", |cell| cell.trim_end_matches('*'));
            let is_revision = revision.len() == 12 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
            if row.is_none() || is_revision != has_revision {
                missing.push(format!("the row of {endpoint} in `atoll ps`"));
            }
        }
        if missing.is_empty() || Instant::now() >= until {
            let verb = verb.join(" ");
            return Ok(missing
                .into_iter()
                .map(|what| format!("`atoll {verb}` did not show `{what}`: {text}"))
                .collect());
        }
        sleep(PAUSE).await;
    }
}

async fn neighbour(scene: &Scene, start: Instant, duration: Duration) -> anyhow::Result<Vec<Sample>> {
    let samples = offer(Offer {
        address: &scene.gateway,
        path: "/neighbour",
        connections: CONNECTIONS,
        rate: scene.rate,
        start,
        duration,
    })
    .await?;
    ensure!(!samples.is_empty(), "nothing was due");
    Ok(samples)
}

/// Adds the neighbour's answers. Those of another status are errors anyhow, whatever their kind.
fn see(seen: &mut Tally, samples: &[Sample]) {
    for sample in samples {
        match sample.status {
            Some(status) => seen.answered("neighbour", status.as_u16(), b""),
            None => seen.broke(),
        }
    }
}

/// From when each request was begun: the load begins some late, which is not the host's doing.
fn times(samples: &[Sample]) -> anyhow::Result<Times> {
    let times = samples.iter().map(|sample| sample.took.saturating_sub(sample.late));
    Times::of(times).context("the neighbour was not asked")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// All claims but that of the times, which a build without optimisation cannot hold.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "it takes a minute, and needs the host's binary: just faults"]
    async fn thirteen_faults_harm_no_neighbour_and_are_seen_and_counted() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        // The test lies in the folder `deps` beside the host.
        let binaries = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
        let scratch = tempfile::tempdir_in(&binaries).unwrap();
        let plan = Plan {
            rounds: 1,
            duration: Duration::from_secs(2),
            host: Some(binaries.join("atoll")),
            workspace: workspace.to_owned(),
            binaries,
            scratch: scratch.path().to_owned(),
            write: false,
            timed: false,
        };
        let Finding { text, misses } = run(&plan).await.unwrap();
        progress(&text);
        assert_eq!(misses, [""; 0]);
    }
}
