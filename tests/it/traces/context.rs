//! W3C trace context, as a service of `urls`, a host outside and the admin see it.

use super::super::plain_server::PlainServer;
use super::TracedHost;
use http::Request;
use serde_json::Value;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACED: &str = "[telemetry]\nsample = 1\n";

fn manifest(plain: &PlainServer, more: &str) -> String {
    let url = format!("http://{}", plain.address);
    format!(
        "{more}\n[service.legacy]\nurls = [{url:?}]\n\n[[route]]\nprefix = \"/plain\"\nstrip_prefix = \"/plain\"\n\
         service = \"legacy\"\n"
    )
}

/// The headers that the service sees of a request with a trace of its client's.
async fn seen(host: &TracedHost) -> Value {
    let request = Request::get(host.url("/plain/x"))
        .header("traceparent", PARENT)
        .header("tracestate", "rojo=00f067aa0ba902b7")
        .header("baggage", "tenant=acme");
    let answer = host.http.send(request, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["headers"].clone()
}

#[tokio::test]
async fn a_strangers_trace_gets_a_link_and_a_trusted_proxys_is_continued() {
    let plain = PlainServer::start("legacy").await;
    let host = TracedHost::start(&manifest(&plain, TRACED)).await;
    let headers = seen(&host).await;
    let own = headers["traceparent"].as_str().unwrap();
    assert!(own.starts_with("00-") && own.ends_with("-03") && own.len() == 55, "{own}");
    assert_ne!(&own[3..35], TRACE);
    assert_eq!(headers["x-request-id"], own[3..35], "the id of a request names its trace");
    assert_eq!((headers.get("tracestate"), headers.get("baggage")), (None, None));
    let trace = host.admin(&format!("/v1/traces/{}", &own[3..35])).await;
    assert_eq!((&trace["stranger"], &trace["spans"][0]["parent"]), (&TRACE.into(), &Value::Null));
    // The try is what called the service.
    let tried = trace["spans"].as_array().unwrap().iter().find(|span| span["kind"] == "client").unwrap();
    assert_eq!(tried["id"], own[36..52]);

    let trusting = format!("[gateway]\ntrusted_proxies = [\"127.0.0.1\"]\n{TRACED}");
    let host = TracedHost::start(&manifest(&plain, &trusting)).await;
    let headers = seen(&host).await;
    let own = headers["traceparent"].as_str().unwrap();
    // The proxy has not said that the id is random.
    assert_eq!((&own[3..35], own[52..].to_owned()), (TRACE, "-01".to_owned()));
    assert_eq!((&headers["tracestate"], &headers["baggage"]), (&"rojo=00f067aa0ba902b7".into(), &"tenant=acme".into()));
    let trace = host.admin(&format!("/v1/traces/{TRACE}")).await;
    assert_eq!((&trace["stranger"], &trace["rule"]), (&Value::Null, &"parent".into()));
    assert_eq!(trace["spans"][0]["parent"], PARENT[36..52]);
}

#[tokio::test]
async fn without_the_section_headers_pass_as_they_came() {
    let plain = PlainServer::start("legacy").await;
    let host = TracedHost::start(&manifest(&plain, "")).await;
    let headers = seen(&host).await;
    assert_eq!(headers["traceparent"], PARENT);
    assert_eq!((&headers["tracestate"], &headers["baggage"]), (&"rojo=00f067aa0ba902b7".into(), &"tenant=acme".into()));
    let answer = host.http.get(&format!("{}/v1/traces", host.atoll.admin)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.problem()["type"].as_str()),
        (404, Some("urn:atoll:problem:not-traced"))
    );
    let line = host.atoll.logged("\"target\":\"access\"").await;
    assert!(!line.contains("trace_id"), "{line}");
}

#[tokio::test]
async fn a_host_outside_gets_the_trace_and_neither_state_nor_baggage() {
    let plain = PlainServer::start("outside").await;
    let url = format!("http://{}", plain.address);
    let host = TracedHost::start(&format!(
        "{TRACED}[service.guest]\ncomponent = \"{{component:fixture-hostile}}\"\negress = [{url:?}]\n\n[[route]]\n\
         prefix = \"/guest\"\nstrip_prefix = \"/guest\"\nservice = \"guest\"\n"
    ))
    .await;
    let request = Request::post(host.url(&format!("/guest/fetch?url={url}/x")));
    let answer = host.http.send(request, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let headers = answer.json()["headers"].clone();
    let own = headers["traceparent"].as_str().unwrap().to_owned();
    assert_eq!((headers.get("tracestate"), headers.get("baggage"), headers.get("x-request-id")), (None, None, None));
    let trace = host.admin(&format!("/v1/traces/{}", &own[3..35])).await;
    let spans = trace["spans"].as_array().unwrap();
    let fetch = spans.iter().find(|span| span["id"] == own[36..52]).expect("the try at the host outside");
    let guest = spans.iter().find(|span| span["id"] == fetch["parent"]).expect("the guest that called it");
    assert_eq!((&guest["service"], &guest["kind"]), (&"guest".into(), &"server".into()));
    assert_eq!((&fetch["service"], &fetch["attributes"]["atoll.endpoint"]), (&"guest".into(), &url.into()));
}
