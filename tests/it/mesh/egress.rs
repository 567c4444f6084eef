//! Outbound calls of guests: to hosts that the manifest names in `egress`, and to no others.

use super::super::open_exchange::OpenExchange;
use super::super::plain_server::{Behaviour, DeadAddress, PlainServer};
use super::{Host, NEVER_OPENS, route};
use serde_json::Value;

/// The guests that can call out: one by WASI 0.3, one by WASI 0.2.
const GUESTS: [&str; 2] = ["fixture-hostile", "fixture-legacy02"];

/// A host whose service `guest` is this component, with this line of `egress`.
async fn host_with_egress(component: &str, egress: &str) -> Host {
    let service = format!("[service.guest]\ncomponent = \"{{component:{component}}}\"\n{egress}\n");
    Host::start(&(service + &route("/guest", "guest"))).await
}

/// Makes the guest send a body to `url`. Returns the status and the text of the guest's answer.
async fn fetch(host: &Host, url: &str, body: &'static str) -> (u16, String) {
    let request = http::Request::post(host.url(&format!("/guest/fetch?url={url}")));
    let answer = host.http.send(request, body).await;
    (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned())
}

#[tokio::test]
async fn a_call_without_an_egress_rule_is_denied_and_the_log_names_the_missing_rule() {
    let plain = PlainServer::start("outside").await;
    let url = format!("http://{}", plain.address);
    for guest in GUESTS {
        for egress in ["", "egress = [\"https://api.example.com\", \"http://127.0.0.1:1\"]"] {
            let host = host_with_egress(guest, egress).await;
            let (status, text) = fetch(&host, &format!("{url}/x"), "").await;
            assert_eq!(status, 502, "{guest}: {text}");
            assert!(text.contains("HttpRequestDenied"), "{guest}: {text}");
            let line: Value = serde_json::from_str(&host.atoll.logged("outbound HTTP is denied").await).unwrap();
            let missing_line = format!("it needs `egress = [\"{url}\"]` in [service.guest]");
            assert!(line["message"].as_str().unwrap().contains(&missing_line), "{guest}: {line}");
        }
    }
    assert_eq!(plain.connections(), 0);
}

#[tokio::test]
async fn a_call_with_an_egress_rule_passes_without_the_hosts_own_headers() {
    let plain = PlainServer::start("outside").await;
    let url = format!("http://{}", plain.address);
    for guest in GUESTS {
        for line in [format!("\"{url}\""), format!("{{ to = \"{url}\", private = true }}")] {
            let host = host_with_egress(guest, &format!("egress = [{line}]")).await;
            let (status, text) = fetch(&host, &format!("{url}/x?y=1"), "a question").await;
            assert_eq!(status, 200, "{guest} {line}: {text}");
            let seen: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(
                (&seen["method"], &seen["target"], &seen["body"]),
                (&"POST".into(), &"/x?y=1".into(), &"a question".into())
            );
            let headers = seen["headers"].as_object().unwrap();
            assert_eq!(headers["host"], plain.address.to_string());
            let ours = |name: &&String| name.starts_with("x-") || name.as_str() == "forwarded";
            assert_eq!(headers.keys().find(ours), None, "{guest}: {seen}");
            // Another port of the same host is another destination.
            assert_eq!(fetch(&host, "http://127.0.0.1:1/x", "").await.0, 502);
            // The answer is passed on, whatever its status.
            assert_eq!(fetch(&host, &format!("{url}/status/418"), "").await.0, 418);
        }
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_loopback_needs_private_in_its_egress_rule() {
    let plain = PlainServer::start("inside").await;
    let url = format!("http://localhost:{}", plain.address.port());
    for guest in GUESTS {
        let host = host_with_egress(guest, &format!("egress = [\"{url}\"]")).await;
        let (status, text) = fetch(&host, &format!("{url}/x"), "").await;
        assert_eq!(status, 502, "{guest}: {text}");
        assert!(text.contains("DestinationIpProhibited"), "{guest}: {text}");
        let line = host.atoll.logged("is denied").await;
        for part in ["loopback", "private = true", "localhost", "[service.guest]"] {
            assert!(line.contains(part), "{guest}: {part}: {line}");
        }
    }
    assert_eq!(plain.connections(), 0);
    for guest in GUESTS {
        let host = host_with_egress(guest, &format!("egress = [{{ to = \"{url}\", private = true }}]")).await;
        let (status, text) = fetch(&host, &format!("{url}/x"), "").await;
        assert_eq!(status, 200, "{guest}: {text}");
    }
}

#[tokio::test]
async fn a_rule_for_every_public_host_admits_no_address_that_is_not_public() {
    let plain = PlainServer::start("inside").await;
    let port = plain.address.port();
    for guest in GUESTS {
        let host = host_with_egress(guest, &format!("egress = [\"http://*:{port}\"]")).await;
        for inside in ["localhost", "127.0.0.1"] {
            let (status, text) = fetch(&host, &format!("http://{inside}:{port}/x"), "").await;
            assert_eq!(status, 502, "{guest}: {text}");
            assert!(text.contains("DestinationIpProhibited"), "{guest}: {inside}: {text}");
            // An attack that looks around is seen: each address has its line.
            host.atoll.logged(&format!("outbound HTTP to `http://{inside}:{port}`")).await;
        }
        let line = host.atoll.logged("is denied").await;
        let missing = format!("egress = [{{ to = \\\"http://localhost:{port}\\\", private = true }}]");
        assert!(line.contains(&missing), "{guest}: {line}");
    }
    assert_eq!(plain.connections(), 0);
}

#[tokio::test]
async fn bodies_of_outbound_calls_stream_both_ways_over_reused_connections() {
    let plain = PlainServer::start("outside").await;
    let url = format!("http://{}", plain.address);
    let host = host_with_egress("fixture-hostile", &format!("egress = [\"{url}\"]")).await;
    let mut held = OpenExchange::begin(&host.atoll, &format!("/guest/fetch?url={url}/echo")).await;
    for piece in ["one", "two", "three"] {
        held.echo(piece).await;
    }
    assert!(held.finish().await);
    for guest in GUESTS {
        let host = host_with_egress(guest, &format!("egress = [\"{url}\"]")).await;
        let (status, text) = fetch(&host, &format!("{url}/large/{}", 8 << 20), "").await;
        assert_eq!((status, text.len()), (200, 8 << 20), "{guest}");
    }
    let before = plain.connections();
    let host = host_with_egress("fixture-hostile", &format!("egress = [\"{url}\"]")).await;
    for _ in 0..10 {
        assert_eq!(fetch(&host, &format!("{url}/x"), "").await.0, 200);
    }
    assert!(plain.connections() - before < 5, "instances must share the connections");
}

#[tokio::test]
async fn each_outside_host_has_its_own_circuit() {
    let (ill, well) = (PlainServer::start("ill").await, PlainServer::start("well").await);
    ill.behave(Behaviour::ResetsAfterRequest);
    let [to_ill, to_well] = [&ill, &well].map(|plain| format!("http://{}", plain.address));
    for guest in GUESTS {
        let keys = format!("egress = [\"{to_ill}\", \"{to_well}\"]\nbreaker = {{ open = \"1h\", open_most = \"1h\" }}");
        let host = host_with_egress(guest, &keys).await;
        let before = ill.requests();
        // A POST is sent once.
        for _ in 0..5 {
            let (status, text) = fetch(&host, &to_ill, "").await;
            assert_eq!(status, 502, "{text}");
            assert!(text.contains("ConnectionTerminated"), "{guest}: {text}");
        }
        assert_eq!(ill.requests(), before + 5);
        for _ in 0..3 {
            let (_, text) = fetch(&host, &to_ill, "").await;
            assert!(text.contains("DestinationUnavailable"), "{guest}: {text}");
        }
        assert_eq!(ill.requests(), before + 5, "an open circuit must let no call through");
        assert_eq!(fetch(&host, &to_well, "").await.0, 200, "the circuit of another host must not be affected");
        assert_eq!(host.endpoints("guest", "breaker").await, ["closed"], "{guest}");
    }
}

#[tokio::test]
async fn a_guest_is_told_of_a_refused_connection_by_another_error_than_of_an_open_circuit() {
    let dead = DeadAddress::new();
    let url = format!("http://{}", dead.address());
    for guest in GUESTS {
        let breaker = "breaker = { failure_threshold = 3, recovery_timeout = \"1h\" }";
        let keys = format!("egress = [\"{url}\"]\n{breaker}");
        let host = host_with_egress(guest, &keys).await;
        let mut said = Vec::new();
        for _ in 0..6 {
            let (status, text) = fetch(&host, &format!("{url}/x"), "").await;
            assert_eq!(status, 502, "{guest}: {text}");
            said.push(text);
        }
        let [refused, open] = ["ConnectionRefused", "DestinationUnavailable"]
            .map(|error| said.iter().filter(|text| text.contains(error)).count());
        assert!(refused > 0 && open > 0 && refused + open == said.len(), "{guest}: {said:?}");
        assert!(said[0].contains("ConnectionRefused") && said[5].contains("DestinationUnavailable"), "{said:?}");
    }
}

#[tokio::test]
async fn an_outbound_get_is_retried_and_bounded_by_the_services_timeout() {
    let plain = PlainServer::start("outside").await;
    let url = format!("http://{}", plain.address);
    let keys = format!("egress = [\"{url}\"]\nlimits = {{ timeout = \"10s\" }}\n{NEVER_OPENS}");
    let host = host_with_egress("fixture-hostile", &keys).await;
    plain.behave(Behaviour::ResetsAfterRequest);
    let text = host.get(&format!("/guest/dial?url={url}/x")).await;
    assert_eq!(text.body, "denied: ErrorCode::ConnectionTerminated", "{text:?}");
    assert_eq!(plain.requests(), 2, "a GET is tried again");
    plain.behave(Behaviour::Status(503));
    assert_eq!(host.get(&format!("/guest/dial?url={url}/x")).await.body, "answered: 503");
    assert_eq!(plain.requests(), 4);
    assert_eq!(
        host.metric("atoll_retries_total", "guest").await,
        0.0,
        "the service itself must be called once for each request"
    );

    let keys = keys.replace("10s", "500ms");
    let host = host_with_egress("fixture-hostile", &keys).await;
    plain.behave(Behaviour::Silent);
    let late = host.get(&format!("/guest/dial?url={url}/x")).await;
    let text = String::from_utf8_lossy(&late.body).into_owned();
    // The guest keeps a twentieth of its time to report the timeout. On a busy machine the gateway reports it.
    assert!(text.contains("HttpResponseTimeout") || late.status == 504, "{late:?}");
}

#[tokio::test]
async fn a_guest_whose_outbound_call_fails_counts_no_failure() {
    let ill = PlainServer::start("ill").await;
    ill.behave(Behaviour::ResetsAfterRequest);
    let url = format!("http://{}", ill.address);
    for guest in GUESTS {
        let host = host_with_egress(guest, &format!("egress = [\"{url}\"]\n{NEVER_OPENS}")).await;
        for _ in 0..10 {
            assert_eq!(fetch(&host, &url, "").await.0, 502);
        }
        assert_eq!(host.metric("atoll_failures_total", "guest").await, 0.0, "{guest}");
    }
}
