//! Leases an instance: takes slots of the engine's pool, and makes and ends an instance.

use crate::engine_fixture::EngineFixture;
use criterion::{BenchmarkId, Criterion};
use host::base::ServiceName;
use host::runtime::{DepthClass, Isolation, Slots};
use std::sync::Arc;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("instance lease");
    let slots = Slots::new(1_000);
    let service = slots.service(&ServiceName::new("lease").expect("a legal name"), 1, 1);
    for depth in [0, 3] {
        group.bench_function(BenchmarkId::new("slots, taken and given back, at depth", depth), |bencher| {
            bencher.iter(|| service.try_take(DepthClass::of(depth), 1).expect("there are slots"));
        });
    }
    let fixture = EngineFixture::new();
    for component in ["fixture-hello", "fixture-types"] {
        let pool = fixture.pool(component, &Isolation::Request);
        group.bench_function(BenchmarkId::new("an instance, made and ended", component), |bencher| {
            bencher.iter_custom(|times| {
                let pool = Arc::clone(&pool);
                fixture.time(times, move |context| {
                    let pool = Arc::clone(&pool);
                    async move { pool.rehearse(&context).await.expect("it starts") }
                })
            });
        });
    }
    group.finish();
}
