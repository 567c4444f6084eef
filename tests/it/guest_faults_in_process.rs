//! Guests that misbehave: the kind of error that each fault becomes, and that no other request is affected. The mesh
//! runs inside the test's process.

use super::in_process_mesh::{InProcessMesh, plan, within};
use host::base::ErrorKind;
use host::breaker;
use host::rollout::ServiceSpec;
use std::time::Duration;

/// A plan with a short timeout, for guests that never answer. Guests that fail by themselves keep the long timeout
/// that a busy machine may need.
fn short_timeout(name: &str) -> ServiceSpec {
    within(plan(name), Duration::from_millis(700))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_guest_fault_becomes_its_own_error_kind() {
    let mesh =
        InProcessMesh::new(vec![(plan("hostile"), "fixture-hostile"), (short_timeout("hasty"), "fixture-hostile")]);
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
        assert_eq!(mesh.failure(service, path).await, kind, "{path}");
    }
    assert_eq!(mesh.get("hostile", "/ok").await.unwrap().0, 200);
    assert_eq!(mesh.get("hostile", "/status/500").await.unwrap().0, 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_whose_start_traps_is_an_instantiation_error() {
    let mesh = InProcessMesh::new(vec![(plan("broken"), "fixture-broken-start")]);
    assert_eq!(mesh.failure("broken", "/").await, ErrorKind::Instantiation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unmodified_wasi_0_2_component_answers() {
    let mesh = InProcessMesh::new(vec![(plan("legacy"), "fixture-legacy02")]);
    let (status, body) = mesh.get("legacy", "/").await.unwrap();
    assert_eq!(status, 200, "{body:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_one_service_misbehaves_its_neighbour_answers_every_request() {
    let mesh =
        InProcessMesh::new(vec![(short_timeout("hostile"), "fixture-hostile"), (plan("hello"), "fixture-hello")]);
    let attack = async {
        for _ in 0..4 {
            let paths = ["/loop", "/trap", "/eat", "/loop-mid-stream", "/panic-mid-stream", "/loop"];
            futures_util::future::join_all(paths.map(|path| mesh.failure("hostile", path))).await;
        }
    };
    let neighbour = async {
        for _ in 0..200 {
            assert_eq!(mesh.get("hello", "/").await.unwrap().0, 200);
        }
    };
    tokio::join!(attack, neighbour);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_instance_keeps_nothing_of_earlier_requests() {
    let mesh = InProcessMesh::new(vec![(plan("hostile"), "fixture-hostile")]);
    for _ in 0..5 {
        assert_eq!(mesh.get("hostile", "/count").await.unwrap().1, "1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_circuit_refuses_and_a_successful_probe_closes_it() {
    let plan = plan("hostile");
    let settings = breaker::Settings::simple(3, Duration::from_secs(2), Duration::from_secs(6));
    let mesh = InProcessMesh::new(vec![(ServiceSpec { breaker: settings, ..plan }, "fixture-hostile")]);
    for _ in 0..3 {
        assert_eq!(mesh.failure("hostile", "/trap").await, ErrorKind::Trap);
    }
    let refused = mesh.get("hostile", "/ok").await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::CircuitOpen);
    tokio::time::sleep(refused.retry_after.unwrap()).await;
    assert_eq!(mesh.get("hostile", "/ok").await.unwrap().0, 200);
    assert_eq!(mesh.get("hostile", "/ok").await.unwrap().0, 200);
}
