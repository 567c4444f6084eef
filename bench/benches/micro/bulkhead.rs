//! Takes a slot of a bulkhead that has room, and gives it back: by one thread, and by two at the same bulkhead.

use crate::breaker::at_once;
use criterion::{BenchmarkId, Criterion};
use host::mesh::{Bulkhead, BulkheadSettings};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;

pub(crate) fn bench(criterion: &mut Criterion) {
    let bulkhead = Arc::new(Bulkhead::new(BulkheadSettings::default(), Arc::default()));
    bulkhead.resize(1);
    let mut group = criterion.benchmark_group("bulkhead enter and leave");
    for threads in [1, 2] {
        group.bench_function(BenchmarkId::from_parameter(format!("{threads} threads")), |bencher| {
            bencher.iter_custom(|times| at_once(threads, || calls(&bulkhead, times)));
        });
    }
    group.finish();
}

fn calls(bulkhead: &Arc<Bulkhead>, times: u64) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime starts");
    let deadline = Instant::now() + Duration::from_secs(3600);
    runtime.block_on(async {
        for _ in 0..times {
            drop(bulkhead.enter(deadline).await.expect("there is room"));
        }
    });
}
