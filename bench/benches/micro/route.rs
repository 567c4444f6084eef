//! Finds the rule for a request among 10, 1,000 and 10,000.

use criterion::{BenchmarkId, Criterion};
use host::base::HostAndPort;
use host::route::{Path, RequestHead, RouteLookup, RoutingTable, Rule};
use http::{HeaderMap, Method};
use std::hint::black_box;

/// As in a manifest: a third each are prefixes, paths with a parameter, and rules for one method.
fn rule(n: usize) -> Rule {
    let rule = match n % 3 {
        0 => Rule::prefix(&format!("/api/service-{n}")),
        1 => Rule::exact(&format!("/api/service-{n}/items/{{id}}")),
        _ => Rule::exact(&format!("/api/service-{n}/items")).and_then(|rule| rule.with_methods(&["GET", "POST"])),
    };
    rule.expect("the rules are right")
}

/// A path that matches the rule `n`.
fn path(n: usize) -> String {
    match n % 3 {
        0 => format!("/api/service-{n}/some/thing"),
        1 => format!("/api/service-{n}/items/42"),
        _ => format!("/api/service-{n}/items"),
    }
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let headers = HeaderMap::new();
    let mut group = criterion.benchmark_group("route match");
    for rules in [10, 1_000, 10_000] {
        let table = RoutingTable::new((0..rules).map(|n| (rule(n), n)).collect());
        // The paths are spread over the whole table. The stride is a prime, so that all three kinds occur.
        let paths: Vec<_> = (0..64).map(|n| n * 157 % rules).map(|n| (n, path(n))).collect();
        let mut next_paths = paths.iter().cycle();
        group.bench_function(BenchmarkId::from_parameter(rules), |bencher| {
            bencher.iter(|| {
                let (n, path) = next_paths.next().expect("it goes round");
                let path = Path::parse(black_box(path)).expect("the paths are right");
                let head = RequestHead {
                    host: HostAndPort::parse("shop.test"),
                    method: &Method::GET,
                    path,
                    headers: &headers,
                };
                let RouteLookup::Route(found) = table.find(&head) else { panic!("{head:?} has a rule") };
                assert_eq!(found.target, n);
            });
        });
    }
    group.finish();
}
