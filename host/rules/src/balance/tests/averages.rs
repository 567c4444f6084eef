//! The moving average: against a naive model, and what each kind of sample does to it.

use super::*;
use crate::balance::latency::Latency;
use std::sync::Barrier;
use std::thread;

/// The naive model: the definition, in `f64` and with two fields.
#[derive(Default)]
struct Naive {
    /// The average in µs, and the time of its last change in ms.
    average: Option<(f64, u64)>,
}

impl Naive {
    fn expected(&self, now: u64) -> Option<f64> {
        self.average.map(|(average, at)| (average * (-(now.saturating_sub(at) as f64) / 10_000.0).exp()).max(1.0))
    }

    fn sample(&mut self, sample: f64, now: u64) {
        self.average = Some(match self.average {
            None => (sample, now),
            Some((average, at)) if sample > average => (sample, now.max(at)),
            Some((average, at)) => {
                let left = (-(now.saturating_sub(at) as f64) / 1_000.0).exp();
                (average * left + sample * (1.0 - left), now.max(at))
            }
        });
    }

    fn take(&mut self, sample: LoadSample, now: u64) {
        match sample {
            LoadSample::Answered { took } => self.sample(took.as_secs_f64() * 1e6, now),
            LoadSample::Failed { took } => {
                let before = self
                    .average
                    .map_or(0.0, |(average, at)| average * (-(now.saturating_sub(at) as f64) / 10_000.0).exp());
                self.sample((2.0 * before).clamp(1e6, 1e7).max(took.as_secs_f64() * 1e6), now);
            }
            LoadSample::GivenUp { after } => {
                let after = after.as_secs_f64() * 1e6;
                if self.average.is_none_or(|(average, _)| after > average) {
                    self.sample(after, now);
                }
            }
            LoadSample::Unused => {}
        }
    }
}

fn sample() -> impl Strategy<Value = LoadSample> {
    let took = prop_oneof![1..1_000_u64, 1..20_000_000_u64].prop_map(Duration::from_micros);
    prop_oneof![
        4 => took.clone().prop_map(|took| LoadSample::Answered { took }),
        1 => took.clone().prop_map(|took| LoadSample::Failed { took }),
        1 => took.prop_map(|after| LoadSample::GivenUp { after }),
        1 => Just(LoadSample::Unused),
    ]
}

fn close(built: f64, naive: f64) -> bool {
    (built - naive).abs() <= naive * 1e-4
}

proptest! {
    /// Property: after any samples at any times, the average and the expected latency are those of the naive model,
    /// within 0.01 %.
    #[test]
    fn the_average_is_that_of_the_naive_model(
        // Clocks of threads may lie behind: a step of less than 3 ms goes back in time.
        steps in prop::collection::vec((0..2_000_u64, sample()), 1..200),
        idle in 0..100_000_u64,
    ) {
        let start = Instant::now();
        let (load, mut naive, mut now) = (Load::new(1, start), Naive::default(), 0_u64);
        for (step, sample) in steps {
            now = (now + step).saturating_sub(3);
            let at = start + Duration::from_millis(now);
            load.begin();
            load.end(sample, at);
            naive.take(sample, now);
            prop_assert_eq!(load.latency().is_some(), naive.average.is_some());
            if let (Some(built), Some((average, _))) = (load.latency(), naive.average) {
                prop_assert!(close(built.as_secs_f64() * 1e6, average), "{:?} is not {} µs", built, average);
            }
        }
        let later = now + idle;
        let built = load.expected_latency(start + Duration::from_millis(later));
        prop_assert_eq!(built.is_some(), naive.expected(later).is_some());
        if let (Some(built), Some(naive)) = (built, naive.expected(later)) {
            prop_assert!(close(f64::from(built), naive), "{} is not {}", built, naive);
        }
    }
}

#[test]
fn a_peak_counts_at_once_and_is_forgotten_over_a_second() {
    let start = Instant::now();
    let load = Load::new(1, start);
    load.end(LoadSample::Answered { took: 10 * MS }, start);
    load.end(LoadSample::Answered { took: 200 * MS }, start + MS);
    assert_eq!(load.latency(), Some(200 * MS));
    load.end(LoadSample::Answered { took: 10 * MS }, start + 11 * MS);
    let after = load.latency().expect("measured");
    assert!(after > 198 * MS && after < 199 * MS, "{after:?}");
    for later in 12..=2_000 {
        load.end(LoadSample::Answered { took: 10 * MS }, start + later * MS);
    }
    let after = load.latency().expect("measured");
    assert!(after > 35 * MS && after < 37 * MS, "{after:?} of 10 + 190 / e²");
}

#[test]
fn a_failure_counts_as_slow_and_consecutive_failures_as_slower() {
    let start = Instant::now();
    let load = Load::new(1, start);
    let seconds: Vec<u64> = (0..6)
        .map(|_| {
            load.end(LoadSample::Failed { took: MS }, start);
            load.latency().expect("measured").as_secs()
        })
        .collect();
    assert_eq!(seconds, [1, 2, 4, 8, 10, 10]);
    load.end(LoadSample::Failed { took: 30 * SECOND }, start);
    assert_eq!(load.latency(), Some(30 * SECOND), "the time that the failure took counts if it is longer");
}

#[test]
fn a_call_that_the_caller_gave_up_can_only_raise_the_average() {
    let start = Instant::now();
    let load = Load::new(1, start);
    load.end(LoadSample::Answered { took: 100 * MS }, start);
    load.end(LoadSample::GivenUp { after: MS }, start + 5 * SECOND);
    assert_eq!(load.latency(), Some(100 * MS));
    load.end(LoadSample::GivenUp { after: 300 * MS }, start + 5 * SECOND);
    assert_eq!(load.latency(), Some(300 * MS));
}

#[test]
fn latencies_are_clamped_to_one_microsecond_and_one_hour() {
    let start = Instant::now();
    let load = Load::new(1, start);
    load.end(LoadSample::Answered { took: Duration::MAX }, start);
    assert_eq!(load.latency(), Some(3_600 * SECOND));
    let load = Load::new(1, start);
    load.end(LoadSample::Answered { took: Duration::ZERO }, start);
    assert_eq!(load.expected_latency(start + 1_000 * SECOND), Some(1.0), "no latency is 0");
}

#[test]
fn the_average_fades_correctly_across_the_wrap_of_its_stamp() {
    let wrap = 1_u64 << 32;
    let latency = Latency::default();
    latency.answered(100 * MS, wrap - 5);
    assert_eq!(latency.expected(wrap - 10), Some(100_000.0), "a clock that lies behind");
    let soon = latency.expected(wrap + 5).expect("measured");
    assert!((99_800.0..99_950.0).contains(&soon), "{soon}");
    assert!(latency.expected(wrap + 100_000).expect("measured") < 10.0);
}

#[test]
fn many_threads_lose_no_call_and_no_peak() {
    let start = Instant::now();
    let loads: Vec<Load> = (0..2_000).map(|_| Load::new(1, start)).collect();
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for thread in 1..=4_u32 {
            let (loads, barrier) = (&loads, &barrier);
            scope.spawn(move || {
                for load in loads {
                    barrier.wait();
                    for call in 1..=20 {
                        load.begin();
                        load.end(LoadSample::Answered { took: thread * call * MS }, start);
                    }
                }
            });
        }
    });
    assert!(loads.iter().all(|load| (load.in_flight(), load.latency()) == (0, Some(80 * MS))));
}
