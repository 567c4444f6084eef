//! Planted faults: for each the facts as an operator would find them, and the cause that must come first.

use super::why::FAILURES;
use super::*;
use crate::telemetry::FAILED;
use std::collections::BTreeMap;

fn facts(name: &str) -> ServiceFacts {
    let endpoint = EndpointFacts { id: format!("{name}-0"), ..EndpointFacts::default() };
    ServiceFacts {
        name: name.into(),
        revision: Some("aaaaaaaaaaaa".into()),
        endpoints: vec![endpoint],
        requests: 100,
        in_flight: (1, 10),
        waiting: (0, 5),
        ..ServiceFacts::default()
    }
}

fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
}

fn failure(kind: &str, detail: &str) -> FailureFacts {
    FailureFacts { kind: kind.into(), detail: detail.into(), seconds_ago: 3, count: 1, revision: None }
}

fn endpoint(change: impl FnOnce(&mut EndpointFacts)) -> Vec<EndpointFacts> {
    let mut one = EndpointFacts { id: "users-0".into(), ..EndpointFacts::default() };
    change(&mut one);
    vec![one]
}

/// The first cause of the service `users`, alone on its host.
fn first(users: ServiceFacts) -> ServiceCause {
    let causes = why("users", &[users]).expect("there is such a service");
    causes.into_iter().next().expect("there is a cause")
}

#[test]
fn a_service_that_fares_well_has_no_cause_and_an_unknown_one_no_answer() {
    assert_eq!(why("users", &[facts("users")]), Some(Vec::new()));
    assert_eq!(why("user", &[facts("users")]), None);
}

#[test]
fn each_planted_fault_is_the_first_cause() {
    let base = || facts("users");
    let failed = |kind: &str| ServiceFacts { failed: counts(&[(kind, 7)]), ..base() };
    let table: Vec<(ServiceFacts, CauseKind, &str)> = vec![
        (
            ServiceFacts { faults: vec!["10% errors".into()], ..failed("reset") },
            CauseKind::FaultOnPurpose,
            "10% errors",
        ),
        (ServiceFacts { left_out: Some("no file".into()), endpoints: vec![], ..base() }, CauseKind::LeftOut, "no file"),
        (ServiceFacts { endpoints: endpoint(|one| one.starting = true), ..base() }, CauseKind::Starting, "1 of 1"),
        (
            ServiceFacts { endpoints: endpoint(|one| one.circuit = CircuitFacts::HeldOpen), ..base() },
            CauseKind::OutOfService,
            "users-0",
        ),
        (ServiceFacts { store: Some("the disk is full".into()), ..base() }, CauseKind::StoreUnavailable, "disk"),
        (ServiceFacts { trap: Some(failure("trap", "in get")), ..failed("trap") }, CauseKind::Trap, "in get"),
        (failed("memory-limit"), CauseKind::MemoryLimit, "7 of 100"),
        (failed("connect"), CauseKind::Connect, "7 of 100"),
        (failed("bad-answer"), CauseKind::BadAnswer, "7 of 100"),
        (failed("timeout"), CauseKind::Timeout, "7 of 100"),
        (
            ServiceFacts { timeouts: counts(&[("route", 4)]), ..base() },
            CauseKind::DeadlineTooShort,
            "4 by the deadline `route`",
        ),
        (failed("answered-5xx"), CauseKind::Answered5xx, "7 of 100"),
        (
            ServiceFacts {
                endpoints: endpoint(|one| (one.unready, one.failures) = (true, vec![failure("timeout", "no answer")])),
                ..base()
            },
            CauseKind::Timeout,
            "no answer",
        ),
        (ServiceFacts { endpoints: endpoint(|one| one.unready = true), ..base() }, CauseKind::NotReady, "users-0"),
        (ServiceFacts { endpoints: endpoint(|one| one.ejected = true), ..base() }, CauseKind::Ejected, "users-0"),
        (
            ServiceFacts { pool: PoolFacts { held: 8, waiting: 3 }, refused: counts(&[("overloaded", 2)]), ..base() },
            CauseKind::PoolFull,
            "`users` holds most, 8 slots",
        ),
        (
            ServiceFacts { in_flight: (10, 10), waiting: (5, 5), refused: counts(&[("overloaded", 9)]), ..base() },
            CauseKind::Overloaded,
            "10 of 10 calls under way and 5 of 5 waiting, by its `limits`; 9 were refused",
        ),
        (ServiceFacts { at_gateway: counts(&[("forbidden", 4)]), ..base() }, CauseKind::RefusedByPolicy, "forbidden 4"),
        (ServiceFacts { at_gateway: counts(&[("quota-exceeded", 4)]), ..base() }, CauseKind::RateLimited, "4 requests"),
        (ServiceFacts { refused: counts(&[("denied", 1)]), ..base() }, CauseKind::Denied, "denied 1"),
        (ServiceFacts { refused: counts(&[("too-deep", 1)]), ..base() }, CauseKind::TooDeep, "too-deep 1"),
        (ServiceFacts { at_gateway: counts(&[("slow-body", 2)]), ..base() }, CauseKind::BadRequests, "slow-body 2"),
        (ServiceFacts { left_out_lines: 9_000, ..base() }, CauseKind::LinesLeftOut, "9000 lines about or by `users`"),
        (ServiceFacts { left_out_lines: 9_000, ..failed("trap") }, CauseKind::Trap, "7 of 100"),
        (
            ServiceFacts { endpoints: endpoint(|one| one.circuit = CircuitFacts::Open), ..base() },
            CauseKind::CircuitOpen,
            "1 of 1 endpoints has an open circuit",
        ),
    ];
    for (users, kind, detail) in table {
        let cause = first(users);
        assert_eq!(cause.kind, kind, "{cause:?}");
        assert!(cause.detail.contains(detail), "{cause:?}");
        assert!(!cause.next.is_empty());
    }
}

/// A kind that is called otherwise here than where it is counted would never be found.
#[test]
fn the_causes_of_failed_tries_are_called_as_the_failures_are_counted() {
    let mut counted = FAILED;
    counted.sort_unstable();
    let mut known = FAILURES.map(CauseKind::as_str);
    known.sort_unstable();
    assert_eq!(known, counted);
}

#[test]
fn one_thing_has_the_words_of_one_and_several_those_of_several() {
    type Fill = fn(u64, ServiceFacts) -> ServiceFacts;
    type Change = fn(&mut EndpointFacts);
    let endpoints = |number: usize, change: Change| -> Vec<_> { (0..number).flat_map(|_| endpoint(change)).collect() };
    let base = |number| ServiceFacts { endpoints: endpoints(number, |_| {}), ..facts("users") };
    let table: [(Fill, &str, &str); 8] = [
        (|sum, users| ServiceFacts { left_out_lines: sum, ..users }, "1 line about", "2 lines about"),
        (|sum, users| ServiceFacts { left_out_lines: sum, ..users }, "is only counted", "are only counted"),
        (
            |sum, users| ServiceFacts { pool: PoolFacts { held: sum, waiting: sum }, ..users },
            "1 call of `users` waits for the engine's pool, of which `users` holds most, 1 slot",
            "2 calls of `users` wait for the engine's pool, of which `users` holds most, 2 slots",
        ),
        (
            |sum, users| ServiceFacts { refused: counts(&[("overloaded", sum)]), ..users },
            "1 was refused in",
            "2 were refused in",
        ),
        (
            |sum, users| ServiceFacts { at_gateway: counts(&[("quota-exceeded", sum)]), ..users },
            "1 request to `users` in the last minute was over its rate",
            "2 requests to `users` in the last minute were over their rate",
        ),
        (
            |sum, users| ServiceFacts { refused: counts(&[("denied", sum)]), ..users },
            "went where its service may not",
            "went where their service may not",
        ),
        (|sum, users| ServiceFacts { refused: counts(&[("too-deep", sum)]), ..users }, "was nested", "were nested"),
        (
            |sum, users| ServiceFacts { at_gateway: counts(&[("client-gone", sum)]), ..users },
            "was wrong, too large or too slow, or its client went away",
            "were wrong, too large or too slow, or their client went away",
        ),
    ];
    for (fill, one, more) in table {
        for (sum, words) in [(1, one), (2, more)] {
            let cause = first(fill(sum, base(1)));
            assert!(cause.detail.contains(words), "{words}: {cause:?}");
        }
    }
    let states: [(Change, &str, &str); 5] = [
        (|one| one.starting = true, "1 of 1 endpoints waits", "2 of 2 endpoints wait"),
        (|one| one.circuit = CircuitFacts::HeldOpen, "the circuit of users-0", "the circuits of users-0, users-0"),
        (|one| one.unready = true, "1 of 1 endpoints does not pass its health checks", "2 of 2 endpoints do not pass"),
        (|one| one.ejected = true, "1 of 1 endpoints is ejected: it fails", "2 of 2 endpoints are ejected: they fail"),
        (|one| one.circuit = CircuitFacts::Open, "1 of 1 endpoints has an open", "2 of 2 endpoints have an open"),
    ];
    for (change, one, more) in states {
        for (number, words) in [(1, one), (2, more)] {
            let cause = first(ServiceFacts { endpoints: endpoints(number, change), ..facts("users") });
            assert!(cause.detail.contains(words), "{words}: {cause:?}");
        }
    }
}

/// `next` is a command and nothing else: scripts run it.
#[test]
fn the_next_command_says_whether_it_reads_the_log() {
    let next = |users| {
        let cause = first(users);
        (cause.next, cause.reads_log)
    };
    let base = || facts("users");
    let logs = |arguments: &str| (format!("atoll logs {arguments}"), true);
    let failed = |kind| ServiceFacts { failed: counts(&[(kind, 1)]), ..base() };
    assert_eq!(next(failed("trap")), ("atoll traps users".to_owned(), false));
    assert_eq!(next(failed("reset")), logs("users --level warn --since 5m"));
    assert_eq!(next(ServiceFacts { store: Some("full".into()), ..base() }), logs("--level error"));
    assert_eq!(next(ServiceFacts { left_out_lines: 1, ..base() }), logs("users"));
    let refused = |kind| ServiceFacts { refused: counts(&[(kind, 1)]), ..base() };
    assert_eq!(next(refused("denied")), logs("users"));
    assert_eq!(next(refused("overloaded")), ("atoll top".to_owned(), false));
}

/// The refusals of an open circuit are lines, too, and few of those are written.
#[test]
fn an_open_circuit_comes_before_the_lines_of_its_refusals() {
    let open = endpoint(|one| one.circuit = CircuitFacts::Open);
    let cause = first(ServiceFacts { endpoints: open, left_out_lines: 9_000, ..facts("users") });
    assert_eq!(cause.kind, CauseKind::CircuitOpen, "{cause:?}");
}

#[test]
fn what_failed_is_named_though_another_revision_serves_by_now() {
    let last = |kind: &str, seconds_ago, revision: &str| FailureFacts {
        kind: kind.into(),
        detail: "shop:users/users@1.0.0#get reported `internal`".into(),
        seconds_ago,
        count: 1,
        revision: Some(revision.into()),
    };
    // What came later of another kind takes nothing away.
    let failures = vec![last("function-error", 5, "bbbbbbbbbbbb"), last("reset", 4, "aaaaaaaaaaaa")];
    let after_rollback = |trap| ServiceFacts {
        failed: counts(&[("function-error", 6), ("trap", 1)]),
        endpoints: endpoint(|one| one.failures = failures.clone()),
        trap,
        newest_swap: Some("rolled-back 3 s ago".into()),
        ..facts("users")
    };
    let causes = why("users", &[after_rollback(Some(last("trap", 9, "cccccccccccc")))]).unwrap();
    let found: Vec<_> = causes.iter().map(|cause| (cause.kind, cause.revision.as_deref())).collect();
    let expected = [(CauseKind::Trap, Some("cccccccccccc")), (CauseKind::FunctionError, Some("bbbbbbbbbbbb"))];
    assert_eq!(found, expected);
    assert!(causes[1].detail.contains("(rolled-back 3 s ago)"), "{causes:?}");
    // Of a trap that nothing is remembered of, no revision can be blamed but the one that serves.
    let causes = why("users", &[after_rollback(None)]).unwrap();
    assert_eq!(causes[0].revision.as_deref(), Some("aaaaaaaaaaaa"));
}

#[test]
fn a_cause_in_a_service_that_is_called_comes_first_with_its_path() {
    let orders = ServiceFacts {
        calls: vec!["users".into()],
        failed: counts(&[("trap", 2)]),
        endpoints: vec![EndpointFacts { circuit: CircuitFacts::Open, ..EndpointFacts::default() }],
        ..facts("orders")
    };
    // A circle.
    let users = ServiceFacts { calls: vec!["store".into(), "orders".into()], ..facts("users") };
    let store = ServiceFacts { failed: counts(&[("connect", 5)]), ..facts("store") };
    let causes = why("orders", &[orders, users, store]).unwrap();
    let kinds: Vec<_> = causes.iter().map(|cause| (cause.kind, cause.path.join(">"))).collect();
    let expected =
        [(CauseKind::Connect, "orders>users>store"), (CauseKind::Trap, "orders"), (CauseKind::CircuitOpen, "orders")];
    assert_eq!(kinds, expected.map(|(kind, path)| (kind, path.to_owned())));
}

#[test]
fn a_service_to_which_many_ways_lead_is_told_once_with_the_shortest() {
    // Twenty layers of three services, each of which calls all of the next: 3^19 ways lead to the last.
    let name = |layer: usize, at: usize| format!("s-{layer}-{at}");
    let service = |layer: usize, at: usize| {
        let below: Vec<_> = (0..3).filter(|_| layer < 19).map(|at| name(layer + 1, at)).collect();
        let failed = counts(&[("trap", u64::from(layer == 19 && at == 1))]);
        ServiceFacts { calls: below, failed, ..facts(&name(layer, at)) }
    };
    let mut all: Vec<_> = (0..20).flat_map(|layer| (0..3).map(move |at| service(layer, at))).collect();
    all.push(ServiceFacts { calls: vec![name(0, 0), name(18, 2)], ..facts("edge") });
    let causes = why("edge", &all).unwrap();
    let paths: Vec<_> = causes.iter().map(|cause| cause.path.join(">")).collect();
    assert_eq!(paths, ["edge>s-18-2>s-19-1"]);
    assert_eq!(why_all(&all).len(), 1, "the others fare well themselves");
}

#[test]
fn a_host_outside_that_fails_is_named_and_one_that_has_recovered_is_not() {
    let host = |circuit, seconds_ago| EndpointFacts {
        id: "https://api.example.com".into(),
        circuit,
        failures: vec![FailureFacts {
            kind: "connect".into(),
            detail: "refused".into(),
            seconds_ago,
            count: 1,
            revision: None,
        }],
        ..EndpointFacts::default()
    };
    let users = ServiceFacts { outside: vec![host(CircuitFacts::Open, 500)], ..facts("users") };
    let cause = first(users);
    assert_eq!((cause.kind, cause.path.join(">")), (CauseKind::Connect, "users>https://api.example.com".into()));
    let users = ServiceFacts { outside: vec![host(CircuitFacts::Closed, 500)], ..facts("users") };
    assert_eq!(why("users", &[users]), Some(Vec::new()));
}

#[test]
fn of_all_services_those_that_explain_the_others_come_first() {
    let failed = |kind: &str| ServiceFacts { failed: counts(&[(kind, 7)]), ..facts("") };
    let named = |name: &str, calls: &[&str], facts: ServiceFacts| ServiceFacts {
        name: name.into(),
        calls: calls.iter().map(|callee| (*callee).to_owned()).collect(),
        ..facts
    };
    let all = [
        named("cart", &["orders"], failed("answered-5xx")),
        named("orders", &["users", "stock", "cart"], failed("function-error")),
        named("users", &["store"], facts("")),
        named("stock", &[], facts("")),
        named("store", &["users"], failed("trap")),
        named("mail", &[], ServiceFacts { left_out_lines: 3, ..facts("") }),
        named("held", &["store"], ServiceFacts { faults: vec!["10% errors".into()], ..facts("") }),
    ];
    let found = why_all(&all);
    let first: Vec<_> =
        found.iter().map(|(name, causes)| (&**name, causes[0].kind.as_str(), causes[0].path.join(" -> "))).collect();
    let expected = [
        ("held", "fault-on-purpose", "held"),
        ("store", "trap", "store"),
        ("mail", "lines-left-out", "mail"),
        ("cart", "trap", "cart -> orders -> users -> store"),
        ("orders", "trap", "orders -> users -> store"),
    ];
    assert_eq!(first, expected.map(|(name, kind, path)| (name, kind, path.to_owned())));
    assert_eq!(found[4].1[1].kind, CauseKind::FunctionError, "what is wrong in itself comes after that");
    assert_eq!(why_all(&[facts("users")]), []);
}
