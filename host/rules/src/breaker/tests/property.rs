//! The breaker against the naive model, with generated settings and steps.

use super::model::{Model, Pass};
use super::rig::ms;
use crate::breaker::*;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Ten ticks of 10 ms.
const WINDOW: Duration = ms(100);

#[derive(Debug, Clone)]
enum Step {
    Wait(Duration),
    Acquire,
    /// Acquires and records at once. These calls fill the window.
    Call(Outcome),
    /// Records the outcome of a call under way, at a time before `now` by the last field.
    Record(Index, Outcome, Duration),
    Drop(Index),
    Force(Forced),
    Reset,
}

fn settings() -> impl Strategy<Value = Settings> {
    let full = (1..8_u32, 1..12_u32, 1..101_u8, prop::option::of(Just(ms(20))), 1..101_u8).prop_map(
        |(in_a_row, least_calls, ratio, slow_call, slow_ratio)| {
            Trip::Full(WindowedTrip { in_a_row, window: WINDOW, least_calls, ratio, slow_call, slow_ratio })
        },
    );
    let simple = (1..4_u32).prop_map(|failure_threshold| Trip::Simple { failure_threshold });
    let trip = prop_oneof![4 => full, 1 => simple];
    let open = (1..40_u64, 0..200_u64, 0..101_u8).prop_map(|(least, more, jitter)| OpenTime {
        least: ms(least),
        most: ms(least + more),
        jitter,
    });
    let probes = (1..4_u32, 1..4_u32, select(vec![1, 30, 200])).prop_map(|(at_a_time, successes, lease)| Probes {
        at_a_time,
        successes,
        lease: ms(lease),
    });
    (trip, open, probes).prop_map(|(trip, open, probes)| Settings { trip, open, probes })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let verdict = prop_oneof![
        4 => Just(Verdict::Success),
        2 => Just(Verdict::EndpointFault),
        2 => Just(Verdict::RequestFault),
        1 => Just(Verdict::Throttled),
        1 => Just(Verdict::Neutral),
    ];
    let took = prop_oneof![4 => Just(ms(0)), 1 => Just(ms(20) - Duration::from_nanos(1)), 1 => Just(ms(20))];
    let retry_after = prop_oneof![6 => Just(None), 1 => (0..300_u64).prop_map(|wait| Some(ms(wait)))];
    (verdict, took, retry_after).prop_map(|(verdict, took, retry_after)| Outcome { verdict, took, retry_after })
}

fn step() -> impl Strategy<Value = Step> {
    // Waits that end at the border of a tick or of a window, or a nanosecond to one side of it.
    let border = prop_oneof![3 => Just(ms(10)), 1 => Just(ms(90)), 1 => Just(ms(100)), 1 => Just(ms(1_000_000))];
    let nano = Duration::from_nanos(1);
    let border = (border, 0..3_u8).prop_map(move |(time, side)| match side {
        0 => time - nano,
        1 => time,
        _ => time + nano,
    });
    let earlier =
        prop_oneof![6 => Just(ms(0)), 1 => (0..30_u64).prop_map(ms), 1 => select(vec![ms(89), ms(100), ms(500)])];
    prop_oneof![
        3 => (0..40_u64).prop_map(|time| Step::Wait(ms(time))),
        3 => border.prop_map(Step::Wait),
        8 => Just(Step::Acquire),
        24 => outcome().prop_map(Step::Call),
        8 => (any::<Index>(), outcome(), earlier).prop_map(|(which, outcome, ago)| Step::Record(which, outcome, ago)),
        2 => any::<Index>().prop_map(Step::Drop),
        // These are rare, so that the other transitions have time to happen.
        1 => prop_oneof![
            1 => select(vec![Forced::Open, Forced::Closed]).prop_map(Step::Force),
            2 => Just(Step::Reset),
        ],
    ]
}

/// The breaker, the model, and the calls under way in both.
struct Pair {
    breaker: Arc<Breaker>,
    model: Model,
    calls: Vec<(Permit, Pass)>,
    now: Instant,
}

impl Pair {
    fn acquire(&mut self) -> Result<Option<(Permit, Pass)>, TestCaseError> {
        match (self.breaker.try_acquire(self.now), self.model.acquire(self.now)) {
            (Ok(permit), Ok(pass)) => {
                prop_assert_eq!(permit.is_probe(), pass.probe.is_some());
                Ok(Some((permit, pass)))
            }
            (Err(refused), Err(wait)) => {
                prop_assert_eq!(refused.retry_after, wait);
                Ok(None)
            }
            (real, wanted) => Err(TestCaseError::fail(format!("{real:?} instead of {wanted:?}"))),
        }
    }

    fn take(&mut self, which: Index) -> Option<(Permit, Pass)> {
        (!self.calls.is_empty()).then(|| self.calls.swap_remove(which.index(self.calls.len())))
    }

    fn end(&mut self, (permit, pass): (Permit, Pass), outcome: Outcome, now: Instant) {
        let before = self.breaker.view(now);
        let changed = permit.record(outcome, now);
        let after = self.breaker.view(now);
        assert_eq!(changed, (before != after).then_some(after.state), "whoever changes the state is told so");
        self.model.end(pass, Some(outcome), now);
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Wait(time) => self.now += time,
            Step::Acquire => {
                let call = self.acquire()?;
                self.calls.extend(call);
            }
            Step::Call(outcome) => {
                if let Some(call) = self.acquire()? {
                    self.end(call, outcome, self.now);
                }
            }
            Step::Record(which, outcome, ago) => {
                if let Some(call) = self.take(which) {
                    self.end(call, outcome, self.now - ago);
                }
            }
            Step::Drop(which) => {
                if let Some((permit, pass)) = self.take(which) {
                    drop(permit);
                    self.model.end(pass, None, self.now);
                }
            }
            Step::Force(forced) => {
                self.breaker.force(forced);
                self.model.force(forced);
            }
            Step::Reset => {
                self.breaker.reset();
                self.model.reset();
            }
        }
        prop_assert_eq!(self.breaker.view(self.now), self.model.view(self.now));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Property: for any settings, seed and steps, the breaker grants, refuses, waits and shows its state exactly as
    /// the model does, after every single step.
    #[test]
    fn the_breaker_does_what_the_model_does(
        settings in settings(),
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 0..300),
    ) {
        // An hour after the real clock, so that a step may record an outcome at an earlier time.
        let now = Instant::now() + Duration::from_secs(3_600);
        let breaker = Arc::new(Breaker::new(settings, seed));
        let mut pair = Pair { breaker, model: Model::new(settings, seed), calls: Vec::new(), now };
        for step in &steps {
            pair.step(step)?;
        }
    }
}
