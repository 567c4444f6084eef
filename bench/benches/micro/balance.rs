//! Chooses among 2, 8 and 64 endpoints.

use criterion::{BenchmarkId, Criterion};
use host::balance::{Balancer, Load, LoadSample, Policy, Settings};
use std::hint::black_box;
use std::time::{Duration, Instant};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("balance pick");
    let policies = [
        ("peak-ewma", Policy::PeakEwma),
        ("least-request", Policy::LeastRequest),
        ("round-robin", Policy::RoundRobin),
        ("random", Policy::Random),
    ];
    for (name, policy) in policies {
        for endpoints in [2, 8, 64] {
            let now = Instant::now();
            let loads: Vec<_> = (0..endpoints).map(|_| Load::new(1, now)).collect();
            for (n, load) in loads.iter().enumerate() {
                load.begin();
                load.end(LoadSample::Answered { took: Duration::from_micros(100 + n as u64) }, now);
            }
            let balancer = Balancer::new(Settings { policy, ..Settings::default() });
            let mut state = 0x9e37_79b9_7f4a_7c15_u64;
            let mut random = move |below: usize| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                usize::try_from((u128::from(state) * below as u128) >> 64).expect("below a usize")
            };
            group.bench_function(BenchmarkId::new(name, endpoints), |bencher| {
                bencher.iter(|| {
                    balancer.pick(black_box(endpoints), |n| &loads[n], |_| true, now, &mut random, |_| Some(()))
                });
            });
        }
    }
    group.finish();
}
