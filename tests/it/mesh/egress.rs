//! The ways out of guests: to hosts that the manifest names, and nowhere else.

use super::super::held::Held;
use super::super::plain::{Manner, Plain};
use super::{Host, NEVER_OPENS, route};
use serde_json::Value;

/// The guests that can call out: by WASI 0.3, and by WASI 0.2.
const GUESTS: [&str; 2] = ["fixture-hostile", "fixture-legacy02"];

/// A host with a guest as the service `guest`, with this line of `egress`.
async fn with(component: &str, egress: &str) -> Host {
    let service = format!("[service.guest]\ncomponent = \"{{component:{component}}}\"\n{egress}\n");
    Host::start(&(service + &route("/guest", "guest"))).await
}

/// What the guest says when it is told to send a body to `url`.
async fn fetch(host: &Host, url: &str, body: &'static str) -> (u16, String) {
    let request = http::Request::post(host.url(&format!("/guest/fetch?url={url}")));
    let answer = host.http.send(request, body).await;
    (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned())
}

#[tokio::test]
async fn what_no_line_permits_is_denied_and_the_log_says_which_line() {
    let plain = Plain::start("outside").await;
    let url = format!("http://{}", plain.address);
    for guest in GUESTS {
        for egress in ["", "egress = [\"https://api.example.com\", \"http://127.0.0.1:1\"]"] {
            let host = with(guest, egress).await;
            let (status, said) = fetch(&host, &format!("{url}/x"), "").await;
            assert_eq!(status, 502, "{guest}: {said}");
            assert!(said.contains("HttpRequestDenied"), "{guest}: {said}");
            let line: Value = serde_json::from_str(&host.atoll.logged("outbound HTTP is denied").await).unwrap();
            let lack = format!("it needs `egress = [\"{url}\"]` in [service.guest]");
            assert!(line["message"].as_str().unwrap().contains(&lack), "{guest}: {line}");
        }
    }
    assert_eq!(plain.connections(), 0);
}

#[tokio::test]
async fn what_a_line_permits_is_reached_and_learns_nothing_of_us() {
    let plain = Plain::start("outside").await;
    let url = format!("http://{}", plain.address);
    for guest in GUESTS {
        for line in [format!("\"{url}\""), format!("{{ to = \"{url}\", private = true }}")] {
            let host = with(guest, &format!("egress = [{line}]")).await;
            let (status, said) = fetch(&host, &format!("{url}/x?y=1"), "a question").await;
            assert_eq!(status, 200, "{guest} {line}: {said}");
            let seen: Value = serde_json::from_str(&said).unwrap();
            assert_eq!(
                (&seen["method"], &seen["target"], &seen["body"]),
                (&"POST".into(), &"/x?y=1".into(), &"a question".into())
            );
            let headers = seen["headers"].as_object().unwrap();
            assert_eq!(headers["host"], plain.address.to_string());
            let ours = |name: &&String| name.starts_with("x-") || name.as_str() == "forwarded";
            assert_eq!(headers.keys().find(ours), None, "{guest}: {seen}");
            // Another port of the same host is another host.
            assert_eq!(fetch(&host, "http://127.0.0.1:1/x", "").await.0, 502);
            // What it answers is its answer, whatever it is.
            assert_eq!(fetch(&host, &format!("{url}/status/418"), "").await.0, 418);
        }
    }
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_unless_the_manifest_says_so() {
    let plain = Plain::start("inside").await;
    let url = format!("http://localhost:{}", plain.address.port());
    for guest in GUESTS {
        let host = with(guest, &format!("egress = [\"{url}\"]")).await;
        let (status, said) = fetch(&host, &format!("{url}/x"), "").await;
        assert_eq!(status, 502, "{guest}: {said}");
        assert!(said.contains("DestinationIpProhibited"), "{guest}: {said}");
        let line = host.atoll.logged("is denied").await;
        for part in ["loopback", "private = true", "localhost", "[service.guest]"] {
            assert!(line.contains(part), "{guest}: {part}: {line}");
        }
    }
    assert_eq!(plain.connections(), 0);
    for guest in GUESTS {
        let host = with(guest, &format!("egress = [{{ to = \"{url}\", private = true }}]")).await;
        let (status, said) = fetch(&host, &format!("{url}/x"), "").await;
        assert_eq!(status, 200, "{guest}: {said}");
    }
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let plain = Plain::start("outside").await;
    let url = format!("http://{}", plain.address);
    let host = with("fixture-hostile", &format!("egress = [\"{url}\"]")).await;
    let mut held = Held::begin(&host.atoll, &format!("/guest/fetch?url={url}/echo")).await;
    for piece in ["one", "two", "three"] {
        held.echo(piece).await;
    }
    assert!(held.finish().await);
    for guest in GUESTS {
        let host = with(guest, &format!("egress = [\"{url}\"]")).await;
        let (status, said) = fetch(&host, &format!("{url}/large/{}", 8 << 20), "").await;
        assert_eq!((status, said.len()), (200, 8 << 20), "{guest}");
    }
    let before = plain.connections();
    let host = with("fixture-hostile", &format!("egress = [\"{url}\"]")).await;
    for _ in 0..10 {
        assert_eq!(fetch(&host, &format!("{url}/x"), "").await.0, 200);
    }
    assert!(plain.connections() - before < 5, "connections are used again, by whichever instance");
}

#[tokio::test]
async fn the_circuit_of_a_host_outside_is_its_own() {
    let (ill, well) = (Plain::start("ill").await, Plain::start("well").await);
    ill.behave(Manner::Resets);
    let [to_ill, to_well] = [&ill, &well].map(|plain| format!("http://{}", plain.address));
    for guest in GUESTS {
        let keys = format!("egress = [\"{to_ill}\", \"{to_well}\"]\nbreaker = {{ open = \"1h\", open_most = \"1h\" }}");
        let host = with(guest, &keys).await;
        let before = ill.requests();
        // A POST is sent once.
        for _ in 0..5 {
            let (status, said) = fetch(&host, &to_ill, "").await;
            assert_eq!(status, 502, "{said}");
            assert!(said.contains("ConnectionTerminated"), "{guest}: {said}");
        }
        assert_eq!(ill.requests(), before + 5);
        for _ in 0..3 {
            let (_, said) = fetch(&host, &to_ill, "").await;
            assert!(said.contains("DestinationUnavailable"), "{guest}: {said}");
        }
        assert_eq!(ill.requests(), before + 5, "its circuit is open");
        assert_eq!(fetch(&host, &to_well, "").await.0, 200, "a neighbour's is its own");
        assert_eq!(host.endpoints("guest", "breaker").await, ["closed"], "{guest}");
    }
}

#[tokio::test]
async fn what_may_be_asked_twice_is_and_the_manifest_bounds_the_time() {
    let plain = Plain::start("outside").await;
    let url = format!("http://{}", plain.address);
    let keys = format!("egress = [\"{url}\"]\nlimits = {{ timeout = \"10s\" }}\n{NEVER_OPENS}");
    let host = with("fixture-hostile", &keys).await;
    plain.behave(Manner::Resets);
    let said = host.get(&format!("/guest/dial?url={url}/x")).await;
    assert_eq!(said.body, "denied: ErrorCode::ConnectionTerminated", "{said:?}");
    assert_eq!(plain.requests(), 2, "a GET is tried again");
    plain.behave(Manner::Status(503));
    assert_eq!(host.get(&format!("/guest/dial?url={url}/x")).await.body, "answered: 503");
    assert_eq!(plain.requests(), 4);
    assert_eq!(host.metric("atoll_retries_total", "guest").await, 0.0, "the service itself was asked once each time");

    let keys = keys.replace("10s", "500ms");
    let host = with("fixture-hostile", &keys).await;
    plain.behave(Manner::Holds);
    let late = host.get(&format!("/guest/dial?url={url}/x")).await;
    let said = String::from_utf8_lossy(&late.body).into_owned();
    // The guest keeps a twentieth of its time to say so; on a busy machine the gateway says it.
    assert!(said.contains("HttpResponseTimeout") || late.status == 504, "{late:?}");
}

#[tokio::test]
async fn a_guest_that_is_let_down_is_not_at_fault() {
    let ill = Plain::start("ill").await;
    ill.behave(Manner::Resets);
    let url = format!("http://{}", ill.address);
    for guest in GUESTS {
        let host = with(guest, &format!("egress = [\"{url}\"]\n{NEVER_OPENS}")).await;
        for _ in 0..10 {
            assert_eq!(fetch(&host, &url, "").await.0, 502);
        }
        assert_eq!(host.metric("atoll_failures_total", "guest").await, 0.0, "{guest}");
    }
}
