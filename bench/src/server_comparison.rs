//! Compares servers: gives several sides the same work alternately, and measures rate, processor time and memory.

use crate::native::Client;
use crate::peers::work::{self, Work};
use crate::peers::{PeerSetup, Running, Side};
use crate::rounds::{Spread, alternate};
use crate::wrk::Load;
use crate::{Plan, process, progress};
use anyhow::{Context, ensure};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// Load before the measurement, so that connections exist and instances and pages are warm. A whole second, because
/// `wrk` accepts only whole seconds.
pub(crate) const WARM_UP: Duration = Duration::from_secs(1);

/// The size of the body for `/echo`, as in `bench/peers/wrk/echo.lua`.
const ECHOED: usize = 1 << 20;

/// The work that every side gets, with the path and query that request it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task {
    pub(crate) path: &'static str,
    /// A script of `bench/peers/wrk/`, unless the request is a plain GET.
    pub(crate) script: Option<&'static str>,
}

/// The result of one measurement of one side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measurement {
    /// Requests per second.
    pub(crate) rate: f64,
    /// Microseconds of processor time for each request, of all processes of the side.
    pub(crate) cpu: f64,
    /// The most resident memory of the processes since they began, in MiB.
    pub(crate) memory: f64,
    /// Percent of the machine's processor time that other processes used, besides the side and its load. It spoils a
    /// measurement.
    pub(crate) others: f64,
}

/// The measurements of all sides.
#[derive(Debug)]
pub(crate) struct ServerComparison {
    sides: Vec<Side>,
    /// The measurements of each side, one for each round. `None` if its program is not installed.
    measurements: Vec<Option<Vec<Measurement>>>,
}

/// A claim: one side's rate is at least `least` times the other's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) ours: Side,
    pub(crate) theirs: Side,
    pub(crate) least: f64,
}

impl ServerComparison {
    /// Measures the sides alternately. Each measurement has a newly started server, which is first checked with one
    /// request.
    ///
    /// # Errors
    /// If a side that is installed does not start, or a single answer is wrong.
    pub(crate) async fn run(
        plan: &Plan,
        setup: &PeerSetup,
        name: &str,
        task: Task,
        sides: &[Side],
    ) -> anyhow::Result<Self> {
        let present: Vec<Side> = sides.iter().copied().filter(|side| side.is_installed(setup)).collect();
        let measurements = alternate(plan.rounds, present.len(), async |round, side| {
            let side = present[side];
            progress(&format!("{name}: round {round} of {}: {side}", plan.rounds));
            task.measure(plan, setup, side).await.with_context(|| side.to_string())
        });
        let mut measurements = measurements.await?.into_iter();
        let measurements =
            sides.iter().map(|side| present.contains(side).then(|| measurements.next()).flatten()).collect();
        Ok(Self { sides: sides.to_vec(), measurements })
    }

    /// All sides, in the given order.
    pub(crate) fn sides(&self) -> &[Side] {
        &self.sides
    }

    /// A value of a side over all rounds. `None` if the side was not measured.
    pub(crate) fn spread(&self, side: Side, of: impl Fn(&Measurement) -> f64) -> Option<Spread> {
        let measurements = self.measurements_of(side)?;
        Some(Spread::of(&measurements.iter().map(of).collect::<Vec<_>>()))
    }

    /// The ratio of the two rates within each round. `None` if one side was not measured.
    pub(crate) fn ratio(&self, ours: Side, theirs: Side) -> Option<Spread> {
        let rounds = self.measurements_of(ours)?.iter().zip(self.measurements_of(theirs)?);
        Some(Spread::of(&rounds.map(|(ours, theirs)| ours.rate / theirs.rate).collect::<Vec<_>>()))
    }

    /// Percent of the machine's processor time that unrelated processes used.
    ///
    /// # Panics
    /// If no side was measured.
    pub(crate) fn others(&self) -> Spread {
        Spread::of(
            &self.measurements.iter().flatten().flatten().map(|measurement| measurement.others).collect::<Vec<_>>(),
        )
    }

    fn measurements_of(&self, side: Side) -> Option<&[Measurement]> {
        let place = self.sides.iter().position(|other| *other == side)?;
        self.measurements[place].as_deref()
    }
}

impl Claim {
    /// The measured ratio, and whether it is enough. `None` if a side is not installed.
    pub(crate) fn judge(&self, comparison: &ServerComparison) -> Option<(Spread, bool)> {
        let ratio = comparison.ratio(self.ours, self.theirs)?;
        Some((ratio, ratio.median >= self.least))
    }
}

impl Task {
    async fn measure(self, plan: &Plan, setup: &PeerSetup, side: Side) -> anyhow::Result<Measurement> {
        let folder = tempfile::tempdir_in(&plan.scratch)?;
        let running = side.start(setup, folder.path()).await?;
        self.check(&running).await?;
        let load = self.load(setup, &running);
        load.run(WARM_UP)?;
        let start = Instant::now();
        let (before, all, loads) = (running.usage(), process::of_all(), process::of_ended_children());
        let result = load.run(plan.duration)?;
        let (after, all, loads) = (running.usage(), process::of_all() - all, process::of_ended_children() - loads);
        let cpu = after.cpu - before.cpu;
        let room = start.elapsed().as_secs_f64() * available_parallelism()?.get() as f64;
        let others = (all - cpu - loads).max(0.0) * 100.0 / room;
        Ok(Measurement { rate: result.rate, cpu: cpu * 1e6 / result.requests, memory: after.most, others })
    }

    /// The load that gives this work to a running side.
    pub(crate) fn load(self, setup: &PeerSetup, running: &Running) -> Load {
        let script = self.script.map(|script| setup.settings("wrk").join(script));
        Load { url: format!("http://{}{}", running.address, self.path), script }
    }

    /// Sends one request, and compares status, media type and body with the expected ones.
    ///
    /// # Errors
    /// If they differ.
    pub(crate) async fn check(self, running: &Running) -> anyhow::Result<()> {
        let work = Work::of(self.path).context("the path is one that all sides know")?;
        let sent = if work == Work::Echo { Bytes::from(vec![b'x'; ECHOED]) } else { Bytes::new() };
        let (media_type, body) = match work {
            Work::Json => ("application/json", Bytes::from_static(work::JSON.as_bytes())),
            Work::Echo => ("application/octet-stream", sent.clone()),
            Work::Stream(count) => ("text/plain", Bytes::from(work::CHUNK.repeat(count))),
            Work::Compute => ("application/json", Bytes::from(work::compute())),
        };
        let request = if sent.is_empty() { Request::get(self.path) } else { Request::post(self.path) };
        let answer = Client::connect(&running.address).await?.send(request, sent).await?;
        ensure!(answer.status() == StatusCode::OK, "{}: {}: {:?}", self.path, answer.status(), answer.body());
        let answered = answer.headers().get(CONTENT_TYPE).map(http::HeaderValue::as_bytes).unwrap_or_default();
        ensure!(answered.starts_with(media_type.as_bytes()), "{}: {:?}", self.path, answer.headers());
        ensure!(
            answer.body() == &body,
            "{}: a wrong body of {} bytes: {:?}",
            self.path,
            answer.body().len(),
            answer.body()
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::{Guest, Life, Wasi};

    const SERVE: Side = Side::ServeDefault(Wasi::P2);
    const ATOLL: Side = Side::Atoll(Guest { wasi: Wasi::P2, life: Life::Request });

    fn comparison(ours: &[f64], theirs: Option<&[f64]>) -> ServerComparison {
        let measurements = |rates: &[f64]| {
            rates.iter().map(|rate| Measurement { rate: *rate, cpu: 1.0, memory: 1.0, others: 0.0 }).collect()
        };
        ServerComparison {
            sides: vec![SERVE, ATOLL],
            measurements: vec![theirs.map(measurements), Some(measurements(ours))],
        }
    }

    #[test]
    fn a_claim_compares_the_median_of_the_ratios_of_each_round() {
        let claim = Claim { ours: ATOLL, theirs: SERVE, least: 2.0 };
        let (ratio, holds) = claim.judge(&comparison(&[10.0, 30.0, 20.0], Some(&[5.0, 10.0, 20.0]))).unwrap();
        assert_eq!((ratio.min, ratio.median, ratio.max, holds), (1.0, 2.0, 3.0, true));
        let (_, holds) = claim.judge(&comparison(&[10.0], Some(&[5.1]))).unwrap();
        assert!(!holds);
    }

    #[test]
    fn a_claim_about_a_side_that_is_not_installed_is_not_judged() {
        let comparison = comparison(&[10.0], None);
        assert!(Claim { ours: ATOLL, theirs: SERVE, least: 2.0 }.judge(&comparison).is_none());
        assert!(comparison.spread(SERVE, |measurement| measurement.rate).is_none());
        assert_eq!(comparison.spread(ATOLL, |measurement| measurement.rate).unwrap().median, 10.0);
    }
}
