//! Reads JSON into values and writes it back, for the bodies of the shop's routes.

use crate::engine_fixture::file;
use criterion::{BenchmarkId, Criterion, Throughput};
use host::contract::{Contract, InterfaceName, Names, Type, json};
use host::runtime::Value;
use std::fs;
use std::hint::black_box;

const PRODUCT: &str =
    r#"{"id":"17","sku":"TEA-100","name":"Green tea, 100 g","price":{"amount":1250,"currency":"EUR"},"stock":240}"#;

fn order(lines: usize) -> String {
    let line = |n| {
        let price = r#"{"amount":1250,"currency":"EUR"}"#;
        format!(r#"{{"product":"{n}","sku":"TEA-{n}","name":"Green tea, 100 g","quantity":2,"price":{price}}}"#)
    };
    let lines = (1..=lines).map(line).collect::<Vec<_>>().join(",");
    let total = r#"{"amount":7500,"currency":"EUR"}"#;
    format!(r#"{{"id":"4711","user":"12","lines":[{lines}],"total":{total},"placed":1764000000000}}"#)
}

/// The type that `function` returns on success.
fn answer(component: &str, interface: &str, function: &str) -> Type {
    let bytes = fs::read(file(component)).expect("the component is there: ./just build-components");
    let contract = Contract::decode(&bytes).expect("a contract");
    match &contract.exports[&InterfaceName::new(interface)].functions[function].result {
        Some(Type::Result { ok: Some(ok), .. }) => Type::clone(ok),
        other => panic!("{other:?} has no `ok`"),
    }
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let product = answer("products", "shop:products/products@1.0.0", "get");
    let order_type = answer("orders", "shop:orders/orders@1.1.0", "get");
    let documents = [
        ("product", &product, PRODUCT.to_owned()),
        ("order of 3 lines", &order_type, order(3)),
        ("order of 100 lines", &order_type, order(100)),
    ];
    let mut group = criterion.benchmark_group("JSON");
    for (name, ty, text) in &documents {
        group.throughput(Throughput::Bytes(text.len() as u64));
        let value: Value = json::read(ty, Names::Snake, text.as_bytes()).expect("the document fits");
        group.bench_function(BenchmarkId::new("read", name), |bencher| {
            bencher.iter(|| json::read::<Value>(ty, Names::Snake, black_box(text.as_bytes())).expect("it fits"));
        });
        let mut out = Vec::with_capacity(2 * text.len());
        group.bench_function(BenchmarkId::new("write", name), |bencher| {
            bencher.iter(|| {
                out.clear();
                json::write(ty, Names::Snake, black_box(&value), &mut out).expect("the value is of the type");
            });
        });
    }
    group.finish();
}
