//! Looks up a name in the discovery table.

use criterion::{BenchmarkId, Criterion};
use host::base::ServiceName;
use host::registry::Registry;
use std::hint::black_box;
use std::sync::Arc;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("registry snapshot and get");
    for services in [10, 1_000] {
        let names: Vec<_> = (0..services).map(|n| format!("service-{n}")).collect();
        let registry = Registry::default();
        for (n, name) in names.iter().enumerate() {
            registry.publish(&ServiceName::new(name).expect("a name"), n);
        }
        let mut next_names = names.iter().cycle();
        group.bench_function(BenchmarkId::from_parameter(services), |bencher| {
            bencher.iter(|| {
                let name = next_names.next().expect("it goes round");
                // As a call does it: the entry is kept, the snapshot is not.
                registry.snapshot().get(black_box(name)).map(Arc::clone)
            });
        });
    }
    group.finish();
}
