//! A contest: the same work asked of several sides in turns, with what it costs them.

use crate::native::Client;
use crate::peers::work::{self, Work};
use crate::peers::{Running, Side, Yard};
use crate::rounds::{Spread, turns};
use crate::wrk::Load;
use crate::{Plan, process, progress};
use anyhow::{Context, ensure};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// Load before it counts: connections are made, instances and pages are warm. A whole second, since `wrk` knows no part of one.
pub(crate) const WARM_UP: Duration = Duration::from_secs(1);

/// Bytes that `/echo` is sent: those of `bench/peers/wrk/echo.lua`.
const ECHOED: usize = 1 << 20;

/// What is asked of every side, with the path and query that say so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task {
    pub(crate) path: &'static str,
    /// A script of `bench/peers/wrk/`, where it is not a plain GET.
    pub(crate) script: Option<&'static str>,
}

/// What one measurement of one side came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shot {
    /// Requests a second.
    pub(crate) rate: f64,
    /// Microseconds of processor time for each request, of all the side's processes.
    pub(crate) cpu: f64,
    /// The most memory that was resident since they began, in MiB.
    pub(crate) memory: f64,
    /// Percent of the machine's processors that went to processes other than the side and its load: what spoils a measurement.
    pub(crate) others: f64,
}

/// What came out of it.
#[derive(Debug)]
pub(crate) struct Contest {
    sides: Vec<Side>,
    /// Of each side what each round came to; None, if its program is not installed.
    shots: Vec<Option<Vec<Shot>>>,
}

/// A claim: one side makes at least so many times as many requests a second as the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) ours: Side,
    pub(crate) theirs: Side,
    pub(crate) least: f64,
}

impl Contest {
    /// Measures the sides in turns, each time with a server that was just started and that is asked once first, to see that it answers right.
    ///
    /// # Errors
    /// If a side that is installed does not start, or a single answer is wrong.
    pub(crate) async fn hold(plan: &Plan, yard: &Yard, name: &str, task: Task, sides: &[Side]) -> anyhow::Result<Self> {
        let present: Vec<Side> = sides.iter().copied().filter(|side| side.is_installed(yard)).collect();
        let shots = turns(plan.rounds, present.len(), async |round, side| {
            let side = present[side];
            progress(&format!("{name}: round {round} of {}: {side}", plan.rounds));
            task.measure(plan, yard, side).await.with_context(|| side.to_string())
        });
        let mut shots = shots.await?.into_iter();
        let shots = sides.iter().map(|side| present.contains(side).then(|| shots.next()).flatten()).collect();
        Ok(Self { sides: sides.to_vec(), shots })
    }

    /// In the order in which they were named.
    pub(crate) fn sides(&self) -> &[Side] {
        &self.sides
    }

    /// What a side came to, in the median; None, if it was not measured.
    pub(crate) fn spread(&self, side: Side, of: impl Fn(&Shot) -> f64) -> Option<Spread> {
        let shots = self.shots_of(side)?;
        Some(Spread::of(&shots.iter().map(of).collect::<Vec<_>>()))
    }

    /// How many times as many requests a second `ours` made as `theirs`, each round by itself; None, if one was not measured.
    pub(crate) fn ratio(&self, ours: Side, theirs: Side) -> Option<Spread> {
        let rounds = self.shots_of(ours)?.iter().zip(self.shots_of(theirs)?);
        Some(Spread::of(&rounds.map(|(ours, theirs)| ours.rate / theirs.rate).collect::<Vec<_>>()))
    }

    /// Percent of the machine's processors that went to processes that had nothing to do with it.
    ///
    /// # Panics
    /// If no side was measured.
    pub(crate) fn others(&self) -> Spread {
        Spread::of(&self.shots.iter().flatten().flatten().map(|shot| shot.others).collect::<Vec<_>>())
    }

    fn shots_of(&self, side: Side) -> Option<&[Shot]> {
        let place = self.sides.iter().position(|other| *other == side)?;
        self.shots[place].as_deref()
    }
}

impl Claim {
    /// What was measured, and whether it suffices; None, if one of the two is not installed.
    pub(crate) fn judge(&self, contest: &Contest) -> Option<(Spread, bool)> {
        let ratio = contest.ratio(self.ours, self.theirs)?;
        Some((ratio, ratio.median >= self.least))
    }
}

impl Task {
    async fn measure(self, plan: &Plan, yard: &Yard, side: Side) -> anyhow::Result<Shot> {
        let folder = tempfile::tempdir_in(&plan.scratch)?;
        let running = side.start(yard, folder.path()).await?;
        self.check(&running).await?;
        let load = self.load(yard, &running);
        load.run(WARM_UP)?;
        let start = Instant::now();
        let (before, all, loads) = (running.usage(), process::of_all(), process::of_ended_children());
        let score = load.run(plan.duration)?;
        let (after, all, loads) = (running.usage(), process::of_all() - all, process::of_ended_children() - loads);
        let cpu = after.cpu - before.cpu;
        let room = start.elapsed().as_secs_f64() * available_parallelism()?.get() as f64;
        let others = (all - cpu - loads).max(0.0) * 100.0 / room;
        Ok(Shot { rate: score.rate, cpu: cpu * 1e6 / score.requests, memory: after.most, others })
    }

    /// The load that asks this of a running side.
    pub(crate) fn load(self, yard: &Yard, running: &Running) -> Load {
        let script = self.script.map(|script| yard.settings("wrk").join(script));
        Load { url: format!("http://{}{}", running.address, self.path), script }
    }

    /// Asks once, and compares status, type and body with what they have to be.
    ///
    /// # Errors
    /// If they differ.
    pub(crate) async fn check(self, running: &Running) -> anyhow::Result<()> {
        let work = Work::of(self.path).context("a path that the sides know")?;
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
            "{}: another body of {} bytes: {:?}",
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

    fn contest(ours: &[f64], theirs: Option<&[f64]>) -> Contest {
        let shots =
            |rates: &[f64]| rates.iter().map(|rate| Shot { rate: *rate, cpu: 1.0, memory: 1.0, others: 0.0 }).collect();
        Contest { sides: vec![SERVE, ATOLL], shots: vec![theirs.map(shots), Some(shots(ours))] }
    }

    #[test]
    fn a_claim_is_judged_round_by_round() {
        let claim = Claim { ours: ATOLL, theirs: SERVE, least: 2.0 };
        let (ratio, holds) = claim.judge(&contest(&[10.0, 30.0, 20.0], Some(&[5.0, 10.0, 20.0]))).unwrap();
        assert_eq!((ratio.min, ratio.median, ratio.max, holds), (1.0, 2.0, 3.0, true));
        let (_, holds) = claim.judge(&contest(&[10.0], Some(&[5.1]))).unwrap();
        assert!(!holds);
    }

    #[test]
    fn what_is_not_installed_is_not_judged() {
        let contest = contest(&[10.0], None);
        assert!(Claim { ours: ATOLL, theirs: SERVE, least: 2.0 }.judge(&contest).is_none());
        assert!(contest.spread(SERVE, |shot| shot.rate).is_none());
        assert_eq!(contest.spread(ATOLL, |shot| shot.rate).unwrap().median, 10.0);
    }
}
