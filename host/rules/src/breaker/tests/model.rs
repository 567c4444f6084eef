//! The naive model: what the breaker ought to do, without epochs, buckets or counters. It keeps every stretch of every
//! state for ever, with all its outcomes and their times. A permit knows the stretch that granted it, and every answer
//! is computed from the whole list.

use crate::breaker::splitmix::splitmix;
use crate::breaker::*;
use std::time::{Duration, Instant};

pub(super) struct Model {
    settings: Settings,
    seed: u64,
    stretches: Vec<Stretch>,
    /// The time of each outcome that ever counted in a window, in the order of their arrival.
    times: Vec<Instant>,
}

enum Stretch {
    Closed { outcomes: Vec<(Outcome, Instant)> },
    Open { until: Instant, reopened: u32 },
    HalfOpen { probes: Vec<Probe>, reopened: u32 },
    Forced(Forced),
}

struct Probe {
    until: Instant,
    /// `None`: under way. Then whether the probe passed; the inner `None`: its outcome shows nothing.
    end: Option<Option<bool>>,
}

/// The model's permit: the stretch that granted it, and the probe's index in that stretch if it is a probe.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    stretch: usize,
    pub(super) probe: Option<usize>,
}

impl Model {
    pub(super) fn new(settings: Settings, seed: u64) -> Self {
        Self { settings, seed, stretches: vec![Stretch::Closed { outcomes: Vec::new() }], times: Vec::new() }
    }

    pub(super) fn acquire(&mut self, now: Instant) -> Result<Pass, Option<Duration>> {
        if let Some(Stretch::Open { until, reopened }) = self.stretches.last() {
            if now < *until {
                return Err(Some((*until - now).max(Duration::from_millis(1))));
            }
            let reopened = *reopened;
            self.stretches.push(Stretch::HalfOpen { probes: Vec::new(), reopened });
        }
        let stretch = self.stretches.len() - 1;
        match &mut self.stretches[stretch] {
            Stretch::HalfOpen { probes, .. } => {
                // A probe whose lease is over now has lost its slot for ever, even if its outcome is recorded with an
                // earlier time.
                let over = probes.iter_mut().filter(|probe| probe.end.is_none() && now >= probe.until);
                over.for_each(|probe| probe.end = Some(None));
                let under_way = probes.iter().filter(|probe| probe.end.is_none());
                let ends: Vec<Instant> = under_way.map(|probe| probe.until).collect();
                if ends.len() >= self.settings.probes.at_a_time as usize {
                    let first = ends.into_iter().min().expect("at least one");
                    return Err(Some((first - now).max(Duration::from_millis(1))));
                }
                probes.push(Probe { until: now + self.settings.probes.lease, end: None });
                Ok(Pass { stretch, probe: Some(probes.len() - 1) })
            }
            Stretch::Forced(Forced::Open) => Err(None),
            _ => Ok(Pass { stretch, probe: None }),
        }
    }

    /// The call ended with `outcome`. `None`: its permit was dropped.
    pub(super) fn end(&mut self, pass: Pass, outcome: Option<Outcome>, now: Instant) {
        if pass.stretch + 1 != self.stretches.len() {
            return;
        }
        match (&mut self.stretches[pass.stretch], outcome) {
            (Stretch::Closed { outcomes }, Some(outcome)) if outcome.verdict != Verdict::Neutral => {
                outcomes.push((outcome, now));
                if matches!(self.settings.trip, Trip::Full(_)) {
                    self.times.push(now);
                }
                if self.is_due(outcome) {
                    self.open(0, outcome, now);
                }
            }
            (Stretch::HalfOpen { probes, reopened }, outcome) => {
                let reopened = *reopened;
                let probe = &mut probes[pass.probe.expect("a probe")];
                if probe.end.is_some() {
                    return;
                }
                let slow_call = match self.settings.trip {
                    Trip::Full(full) => full.slow_call.unwrap_or(Duration::MAX),
                    Trip::Simple { .. } => Duration::MAX,
                };
                let passed = match outcome {
                    Some(outcome) if now < probe.until => match outcome.verdict {
                        Verdict::Success => Some(outcome.took < slow_call),
                        Verdict::EndpointFault | Verdict::RequestFault | Verdict::Throttled => Some(false),
                        Verdict::Neutral => None,
                    },
                    _ => None,
                };
                probe.end = Some(passed);
                let successes = probes.iter().filter(|probe| probe.end == Some(Some(true))).count();
                if successes >= self.settings.probes.successes as usize {
                    self.stretches.push(Stretch::Closed { outcomes: Vec::new() });
                } else if let (Some(false), Some(outcome)) = (passed, outcome) {
                    self.open(reopened + 1, outcome, now);
                }
            }
            _ => {}
        }
    }

    pub(super) fn force(&mut self, forced: Forced) {
        self.stretches.push(Stretch::Forced(forced));
    }

    pub(super) fn reset(&mut self) {
        self.stretches.push(Stretch::Closed { outcomes: Vec::new() });
    }

    pub(super) fn view(&self, now: Instant) -> View {
        let (state, forced) = match self.stretches.last().expect("never empty") {
            Stretch::Closed { .. } => (State::Closed, None),
            Stretch::Open { until, .. } if now < *until => (State::Open, None),
            Stretch::Open { .. } | Stretch::HalfOpen { .. } => (State::HalfOpen, None),
            Stretch::Forced(Forced::Open) => (State::Open, Some(Forced::Open)),
            Stretch::Forced(Forced::Closed) => (State::Closed, Some(Forced::Closed)),
        };
        View { state, forced }
    }

    /// Whether the closed stretch must end, when `last` is its last outcome.
    fn is_due(&self, last: Outcome) -> bool {
        let Some(Stretch::Closed { outcomes }) = self.stretches.last() else { return false };
        let verdicts = || outcomes.iter().map(|(outcome, _)| outcome.verdict).rev();
        let full = match self.settings.trip {
            Trip::Simple { failure_threshold } => {
                let streak = verdicts().take_while(|verdict| *verdict != Verdict::Success);
                let faults = streak.filter(|verdict| *verdict != Verdict::Throttled).count();
                return faults >= failure_threshold as usize;
            }
            Trip::Full(full) => full,
        };
        let streak = verdicts().take_while(|verdict| matches!(verdict, Verdict::EndpointFault | Verdict::Throttled));
        if streak.filter(|verdict| *verdict == Verdict::EndpointFault).count() >= full.in_a_row as usize {
            return true;
        }
        let is_slow = |outcome: &Outcome| full.slow_call.is_some_and(|limit| outcome.took >= limit);
        if last.verdict == Verdict::Success && !is_slow(&last) {
            return false;
        }
        // The tenth of a window in which each outcome came, counted from the first outcome of all.
        let tenth =
            |time: &Instant| time.saturating_duration_since(self.times[0]).as_nanos() / (full.window.as_nanos() / 10);
        let newest = self.times.iter().map(tenth).max().expect("one at least");
        let seen: Vec<&Outcome> =
            outcomes.iter().filter(|(_, time)| tenth(time) + 10 > newest).map(|(outcome, _)| outcome).collect();
        let percent = |part: usize| if seen.is_empty() { 0.0 } else { part as f64 * 100.0 / seen.len() as f64 };
        let faults = seen.iter().filter(|outcome| outcome.verdict != Verdict::Success).count();
        let slow = seen.iter().filter(|outcome| is_slow(outcome)).count();
        // The epsilon: with floating point, a share that is exactly the limit may come out slightly below it. It is
        // far smaller than the step to the next percent.
        seen.len() >= full.least_calls as usize
            && (percent(faults) > f64::from(full.ratio) - 1e-9 || percent(slow) > f64::from(full.slow_ratio) - 1e-9)
    }

    fn open(&mut self, reopened: u32, outcome: Outcome, now: Instant) {
        let open = self.settings.open;
        let base = (0..reopened).fold(open.least, |span, _| (span * 2).min(open.most)).min(open.most).as_nanos();
        let epoch = u32::try_from(self.stretches.len() - 1).expect("few");
        let fraction = u128::from(splitmix(self.seed, epoch) >> 48);
        let span = base + base * u128::from(open.jitter) * fraction / 100 / 65_536;
        let mut span = Duration::from_nanos(u64::try_from(span).expect("short"));
        if let Some(asked) = outcome.retry_after {
            span = span.max(asked.min(open.most));
        }
        self.stretches.push(Stretch::Open { until: now + span, reopened });
    }
}
