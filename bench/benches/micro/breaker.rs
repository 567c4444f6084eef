//! Takes a permit of a closed circuit and records its outcome: by one thread, and by two at the same breaker.

use criterion::{BenchmarkId, Criterion};
use host::breaker::{Breaker, Outcome, Settings, Verdict};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn bench(criterion: &mut Criterion) {
    let simple = Settings::simple(5, Duration::from_secs(5), Duration::from_secs(11));
    let mut group = criterion.benchmark_group("breaker acquire and record, closed");
    for (name, settings) in [("full", Settings::default()), ("simple", simple)] {
        for threads in [1, 2] {
            let breaker = Arc::new(Breaker::new(settings, 1));
            group.bench_function(BenchmarkId::new(name, format!("{threads} threads")), |bencher| {
                bencher.iter_custom(|times| at_once(threads, || calls(&breaker, times)));
            });
        }
    }
    group.finish();
}

fn calls(breaker: &Arc<Breaker>, times: u64) {
    let now = Instant::now();
    for _ in 0..times {
        let permit = breaker.try_acquire(now).expect("the circuit is closed");
        let outcome = Outcome { verdict: Verdict::Success, took: Duration::from_micros(50), retry_after: None };
        permit.record(outcome, now);
    }
}

/// Runs `work` in `threads` threads at the same time. Returns how long the slowest took.
pub(crate) fn at_once(threads: usize, work: impl Fn() + Sync) -> Duration {
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        let run = || {
            barrier.wait();
            let start = Instant::now();
            work();
            start.elapsed()
        };
        let runs: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        runs.into_iter().map(|run| run.join().expect("the work does not panic")).max().unwrap_or_default()
    })
}
