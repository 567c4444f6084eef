//! Which outcomes count for the circuit breaker and which do not, observed by the state of the circuit.

use super::in_process_mesh::{InProcessMesh, plan};
use bytes::Bytes;
use host::base::{BodyError, ErrorKind, empty_body};
use host::breaker;
use host::rollout::ServiceSpec;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::time::Duration;

fn opens_after_two_failures() -> ServiceSpec {
    let breaker = breaker::Settings::simple(2, Duration::from_secs(3600), Duration::from_secs(10));
    ServiceSpec { breaker, ..plan("hostile") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_or_redirect_clears_the_failure_streak_and_a_4xx_does_not() {
    let mesh = InProcessMesh::new(vec![(opens_after_two_failures(), "fixture-hostile")]);
    for status in [200, 204, 304, 404] {
        assert_eq!(mesh.failure("hostile", "/trap").await, ErrorKind::Trap);
        let answered = mesh.get("hostile", &format!("/status/{status}")).await.unwrap().0;
        // A 4xx is neutral: it neither counts as a failure nor clears the streak.
        let cleared = answered < 400;
        let after = mesh.failure("hostile", "/trap").await;
        assert_eq!(after, ErrorKind::Trap);
        let now = mesh.get("hostile", "/status/200").await;
        assert_eq!(now.is_ok(), cleared, "after a trap, {status} and a trap");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_body_that_breaks_off_counts_no_failure_even_after_the_head() {
    let mesh = InProcessMesh::new(vec![(opens_after_two_failures(), "fixture-hostile")]);
    for _ in 0..3 {
        let pieces = [
            Ok(Frame::data(Bytes::from_static(b"some"))),
            Err(BodyError::new(ErrorKind::ClientGone, "the client went away")),
        ];
        let body = BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(pieces)));
        let request = http::Request::post("/echo").header("host", "shop.test").body(body).unwrap();
        assert_eq!(mesh.send("hostile", request).await.unwrap_err().kind, ErrorKind::ClientGone);
    }
    assert_eq!(mesh.get("hostile", "/ok").await.unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_a_host_header_is_served() {
    let mesh = InProcessMesh::new(vec![(plan("legacy"), "fixture-legacy02"), (plan("hello"), "fixture-hello")]);
    for service in ["legacy", "hello"] {
        let request = http::Request::get("/").body(empty_body()).unwrap();
        assert_eq!(mesh.send(service, request).await.unwrap().0, 200, "{service}");
    }
}
