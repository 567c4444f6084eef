//! Spans, values and lines of guests that speak `wasi:otel`.

use super::super::atoll::eventually;
use super::TracedHost;
use super::collector::{Collector, Mood, ReceivedSpan};
use super::export::{AT_ONCE, start};
use serde_json::Value;

/// A service that speaks `wasi:otel`, and everything goes to this collector.
fn manifest(collector: &Collector) -> String {
    format!(
        "[telemetry]\notlp = \"http://{}\"\nexport = [\"traces\", \"logs\", \"metrics\"]\nsample = 1.0\n\
         service_name = \"shop\"\n\n{SERVICE}",
        collector.address
    )
}

const SERVICE: &str = "[service.otel]\ncomponent = \"{component:fixture-otel}\"\nstate = true\n\
                       limits = { timeout = \"25s\" }\n\n[[route]]\n\
                       prefix = \"/\"\nservice = \"otel\"\n";

/// What the guest answers, and the spans of its trace, once the collector has them.
async fn seen(host: &TracedHost, collector: &Collector, path: &str) -> (Value, Vec<ReceivedSpan>) {
    let answer = host.get(path).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let told = answer.json();
    let trace = told["trace"].as_str().unwrap().to_owned();
    assert_eq!(trace, answer.header("x-request-id"), "the guest is told the host's trace");
    let spans = eventually("the collector has the trace", async || {
        let spans: Vec<_> = collector.spans().into_iter().filter(|span| span.trace == trace).collect();
        spans.iter().any(|span| span.parent.is_empty()).then_some(spans)
    })
    .await;
    (told, spans)
}

fn named<'a>(spans: &'a [ReceivedSpan], name: &str) -> &'a ReceivedSpan {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no `{name}` in {spans:#?}"))
}

#[tokio::test]
async fn a_guests_own_spans_are_in_the_tree_of_its_request() {
    let collector = Collector::start(Mood::Takes).await;
    let often = ("OTEL_METRIC_EXPORT_INTERVAL", "50");
    let host = start(&manifest(&collector), &[AT_ONCE, often]).await;
    let (told, spans) = seen(&host, &collector, "/work").await;
    let (guest, work, write) = (named(&spans, "handle"), named(&spans, "work"), named(&spans, "write"));
    assert_eq!((told["outer"].as_str(), told["current"].as_str()), (Some(&*guest.id), Some(&*write.id)));
    // The host's span of the guest, the guest's two, and the host's of the store below the innermost one.
    assert_eq!((&work.parent, &write.parent, &*work.id), (&guest.id, &work.id, "00000000000000a1"));
    let state = spans.iter().find(|span| span.attribute("db.operation.name") == "set").expect("a use of the store");
    assert_eq!(state.parent, write.id);
    assert_eq!((work.kind, work.service(), work.attribute("otel.scope.name")), (4, "otel", "fixture"));
    assert!(guest.began <= work.began && work.began <= write.began && write.ended <= work.ended);
    assert!(work.ended <= guest.ended);
    assert_eq!((work.attribute("text"), work.attribute("password")), ("a text", "***"));
    assert_eq!((work.attribute("list"), work.attribute("bytes")), ("a list of 2", "the bytes 000102"));
    assert_eq!(work.links, [("2".repeat(32), "3".repeat(16))]);
    assert_eq!((write.status, write.attribute("error.type"), work.status), (2, "error", 0));

    let line = eventually("the line is there", async || {
        collector.lines().into_iter().find(|line| line.body == "an order was placed")
    })
    .await;
    assert_eq!((&*line.severity, &*line.trace), ("WARN", told["trace"].as_str().unwrap()));
    assert_eq!((&*line.attributes["attributes"], &*line.attributes["topic"]), (r#"{"order":7}"#, "order.placed"));
    assert_eq!(line.attributes["span_id"], work.id);

    // Each request has an instance of its own, whose counter begins at 0.
    for _ in 0..2 {
        seen(&host, &collector, "/work").await;
    }
    let point = eventually("three requests are counted", async || {
        collector.points().into_iter().find(|point| point.metric == "orders.placed" && point.value > 5.5)
    })
    .await;
    assert!((point.value - 6.0).abs() < 1e-9 && point.unit == "{order}", "{point:?}");
    assert_eq!(point.attributes["paid"], "true");
    let revision = &guest.resource["service.version"];
    let series = format!(
        "atoll_guest_counter_total{{service=\"otel\",revision=\"{revision}\",name=\"orders.placed\",\
         unit=\"{{order}}\",paid=\"true\"}}"
    );
    assert!((host.metric(&series).await - 6.0).abs() < 1e-9);
}

#[tokio::test]
async fn a_guest_cannot_write_into_other_traces_or_calls_and_ends_with_its_own() {
    let collector = Collector::start(Mood::Takes).await;
    let host = start(&manifest(&collector), &[AT_ONCE]).await;
    let (_, spans) = seen(&host, &collector, "/forged").await;
    let guest = named(&spans, "handle");
    // What names a parent that is none of this call's is below the call.
    assert_eq!(named(&spans, "elsewhere").parent, guest.id);
    for name in ["other trace", "the host's id", "never begun"] {
        assert!(spans.iter().all(|span| span.name != name), "{name}");
    }
    assert!(collector.spans().iter().all(|span| span.trace != "1".repeat(32)));
    let left_out = "atoll_guest_left_out_total{service=\"otel\",signal=\"spans\"}";
    assert!((host.metric(left_out).await - 3.0).abs() < 1e-9);

    let (told, spans) = seen(&host, &collector, "/unended").await;
    let open = named(&spans, "(not ended)");
    assert_eq!((Some(&*open.id), open.service()), (told["current"].as_str(), "otel"));
    assert!(spans.iter().any(|span| span.parent == open.id && span.name == "state"));
}

#[tokio::test]
async fn a_guests_flood_has_bounds_and_without_telemetry_it_is_told_of_no_trace() {
    let collector = Collector::start(Mood::Takes).await;
    let host = start(&manifest(&collector), &[AT_ONCE]).await;
    let (_, spans) = seen(&host, &collector, "/flood?spans=70&points=300").await;
    let own: Vec<_> = spans.iter().filter(|span| span.name == "one").collect();
    assert_eq!(own.len(), 64);
    assert!(own.iter().all(|span| span.attributes.len() <= 34), "32, and those of the scope");
    assert!(own.iter().flat_map(|span| &span.attributes).all(|(name, value)| name.len() + value.len() <= 1024));
    let bytes: usize = own.iter().flat_map(|span| &span.attributes).map(|(name, value)| name.len() + value.len()).sum();
    assert!(bytes <= 256 << 10, "{bytes} bytes");
    let text = host.http.get(&format!("{}/metrics", host.atoll.admin)).await;
    let text = String::from_utf8_lossy(&text.body).into_owned();
    assert!(text.lines().filter(|line| line.starts_with("atoll_guest_counter_total{")).count() <= 240);

    let host = TracedHost::start(SERVICE).await;
    let told = host.get("/work").await.json();
    assert_eq!((told["trace"].as_str(), told["current"].as_str()), (Some(&*"0".repeat(32)), Some(&*"0".repeat(16))));
}
