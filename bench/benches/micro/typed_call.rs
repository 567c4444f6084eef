//! A typed call of the fixture `types`, on a fresh and on a warm instance: the cost of the instance pool, without the
//! mesh.

use crate::engine_fixture::{EngineFixture, function, kept};
use criterion::{BenchmarkId, Criterion};
use host::runtime::{DetachedValues, Isolation, Value};
use std::sync::Arc;

/// The interface of the functions that return their argument.
const ECHO: &str = "atoll:fixture-types/echo@1.0.0";

pub(crate) fn bench(criterion: &mut Criterion) {
    let fixture = EngineFixture::new();
    let point = || Value::Record(vec![("x".into(), Value::S32(1)), ("y".into(), Value::S32(-1))]);
    let calls = [
        ("u32", "echo-u32", Value::U32(7)),
        ("string of 100", "echo-string", Value::String("x".repeat(100))),
        ("10 records", "echo-points", Value::List((0..10).map(|_| point()).collect())),
    ];
    let mut group = criterion.benchmark_group("typed call");
    for (how, isolation) in [("fresh", Isolation::Request), ("warm", kept())] {
        let pool = fixture.pool("fixture-types", &isolation);
        for (what, name, value) in &calls {
            let (function, value) = (Arc::new(function(ECHO, name)), value.clone());
            group.bench_function(BenchmarkId::new(how, what), |bencher| {
                bencher.iter_custom(|times| {
                    let (pool, function, value) = (Arc::clone(&pool), Arc::clone(&function), value.clone());
                    fixture.time(times, move |context| {
                        let (pool, function) = (Arc::clone(&pool), Arc::clone(&function));
                        let arguments = DetachedValues::new(vec![value.clone()]);
                        async move {
                            let answer = pool.call(&function, arguments, &context).await.expect("it answers");
                            assert_eq!(answer.values().len(), 1);
                        }
                    })
                });
            });
        }
    }
    group.finish();
}
