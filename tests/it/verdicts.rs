//! What counts for a breaker and what does not, where it shows: in the circuit.

use super::house::{House, plan};
use bytes::Bytes;
use host::base::{BodyError, ErrorKind, empty_body};
use host::breaker;
use host::rollout::ServiceSpec;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::time::Duration;

fn two_strikes() -> ServiceSpec {
    let breaker = breaker::Settings::simple(2, Duration::from_secs(3600), Duration::from_secs(10));
    ServiceSpec { breaker, ..plan("hostile") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_whole_answer_clears_the_count() {
    let house = House::new(vec![(two_strikes(), "fixture-hostile")]);
    for status in [200, 204, 304, 404] {
        assert_eq!(house.failure("hostile", "/trap").await, ErrorKind::Trap);
        let answered = house.get("hostile", &format!("/status/{status}")).await.unwrap().0;
        // 4xx is neutral: it neither counts nor clears.
        let cleared = answered < 400;
        let after = house.failure("hostile", "/trap").await;
        assert_eq!(after, ErrorKind::Trap);
        let now = house.get("hostile", "/status/200").await;
        assert_eq!(now.is_ok(), cleared, "after a trap, {status} and a trap");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_whose_body_breaks_off_is_at_fault_also_after_the_head() {
    let house = House::new(vec![(two_strikes(), "fixture-hostile")]);
    for _ in 0..3 {
        let pieces = [
            Ok(Frame::data(Bytes::from_static(b"some"))),
            Err(BodyError::new(ErrorKind::ClientGone, "the client went away")),
        ];
        let body = BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(pieces)));
        let request = http::Request::post("/echo").header("host", "shop.test").body(body).unwrap();
        assert_eq!(house.send("hostile", request).await.unwrap_err().kind, ErrorKind::ClientGone);
    }
    assert_eq!(house.get("hostile", "/ok").await.unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_names_no_host_is_a_request() {
    let house = House::new(vec![(plan("legacy"), "fixture-legacy02"), (plan("hello"), "fixture-hello")]);
    for service in ["legacy", "hello"] {
        let request = http::Request::get("/").body(empty_body()).unwrap();
        assert_eq!(house.send(service, request).await.unwrap().0, 200, "{service}");
    }
}
