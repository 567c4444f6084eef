//! Guests that misbehave: what each costs its caller, and that it costs nobody else anything.

use super::house::{House, plan, within};
use host::base::ErrorKind;
use host::breaker;
use host::rollout::ServiceSpec;
use std::time::Duration;

/// For what never answers; what fails by itself gets the time that a busy machine may need.
fn impatient(name: &str) -> ServiceSpec {
    within(plan(name), Duration::from_millis(700))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_has_its_kind() {
    let house = House::new(vec![(plan("hostile"), "fixture-hostile"), (impatient("hasty"), "fixture-hostile")]);
    for (service, path, kind) in [
        ("hostile", "/trap", ErrorKind::Trap),
        ("hostile", "/panic", ErrorKind::Trap),
        ("hostile", "/eat", ErrorKind::Memory),
        ("hostile", "/panic-mid-stream", ErrorKind::Trap),
        ("hasty", "/loop", ErrorKind::Timeout),
        ("hasty", "/sleep?ms=60000", ErrorKind::Timeout),
        ("hasty", "/loop-mid-stream", ErrorKind::Timeout),
        ("hasty", "/stall-mid-stream", ErrorKind::Timeout),
    ] {
        assert_eq!(house.failure(service, path).await, kind, "{path}");
    }
    assert_eq!(house.get("hostile", "/ok").await.unwrap().0, 200);
    assert_eq!(house.get("hostile", "/status/500").await.unwrap().0, 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_does_not_start_is_a_failed_instantiation() {
    let house = House::new(vec![(plan("broken"), "fixture-broken-start")]);
    assert_eq!(house.failure("broken", "/").await, ErrorKind::Instantiation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_of_wasi_0_2_runs_unmodified() {
    let house = House::new(vec![(plan("legacy"), "fixture-legacy02")]);
    let (status, body) = house.get("legacy", "/").await.unwrap();
    assert_eq!(status, 200, "{body:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_answer_every_request_meanwhile() {
    let house = House::new(vec![(impatient("hostile"), "fixture-hostile"), (plan("hello"), "fixture-hello")]);
    let attack = async {
        for _ in 0..4 {
            let paths = ["/loop", "/trap", "/eat", "/loop-mid-stream", "/panic-mid-stream", "/loop"];
            futures_util::future::join_all(paths.map(|path| house.failure("hostile", path))).await;
        }
    };
    let neighbour = async {
        for _ in 0..200 {
            assert_eq!(house.get("hello", "/").await.unwrap().0, 200);
        }
    };
    tokio::join!(attack, neighbour);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_in_a_fresh_instance() {
    let house = House::new(vec![(plan("hostile"), "fixture-hostile")]);
    for _ in 0..5 {
        assert_eq!(house.get("hostile", "/count").await.unwrap().1, "1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_circuit_refuses_and_a_success_closes_it() {
    let plan = plan("hostile");
    let settings = breaker::Settings::simple(3, Duration::from_secs(2), Duration::from_secs(6));
    let house = House::new(vec![(ServiceSpec { breaker: settings, ..plan }, "fixture-hostile")]);
    for _ in 0..3 {
        assert_eq!(house.failure("hostile", "/trap").await, ErrorKind::Trap);
    }
    let refused = house.get("hostile", "/ok").await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::CircuitOpen);
    tokio::time::sleep(refused.retry_after.unwrap()).await;
    assert_eq!(house.get("hostile", "/ok").await.unwrap().0, 200);
    assert_eq!(house.get("hostile", "/ok").await.unwrap().0, 200);
}
