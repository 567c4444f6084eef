//! The trace of an event's handling has a link to that of its publisher, and its work is in an account.

use super::super::atoll::{Home, eventually};
use super::{Book, MANIFEST};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_try_is_a_trace_with_a_link_to_the_publishers() {
    let home = Home::new(&format!("[telemetry]\nsample = 1.0\n{MANIFEST}"));
    let host = home.start().await;
    let book = Book::of(&host);
    book.entry("e1", "k", "trap-after").await;
    book.settled("entries").await;
    let find = async |name: &str| {
        let traces = book.admin("/v1/traces?limit=100").await;
        let found = traces.as_array().unwrap().iter().filter(|one| one["name"] == name).cloned();
        found.collect::<Vec<Value>>()
    };
    let tries = eventually("both tries are kept", async || {
        Some(find("process entries").await).filter(|tries| tries.len() == 2)
    })
    .await;
    let publisher = find("POST /put/{topic}").await[0]["id"].clone();
    let rules: Vec<_> = tries.iter().map(|one| (one["rule"].as_str().unwrap(), &one["status"])).collect();
    assert_eq!(rules, [("sampled", &Value::from(0)), ("trapped", &Value::from(0))]);
    for (one, attempt) in tries.iter().zip([2, 1]) {
        let trace = book.admin(&format!("/v1/traces/{}", one["id"].as_str().unwrap())).await;
        assert_eq!((&trace["stranger"], &trace["route"]), (&publisher, &Value::from("entries > reader")), "{trace}");
        let root = &trace["spans"][0];
        assert_eq!(
            (&root["kind"], root["attributes"]["atoll.event.attempt"].as_i64()),
            (&"consumer".into(), Some(attempt))
        );
        let of_reader = trace["spans"].as_array().unwrap().iter().any(|span| span["service"] == "reader");
        assert!(of_reader, "{trace}");
    }
    // The event says where it was published, as CloudEvents' extension for tracing has it.
    let page = book.admin("/v1/topics/entries/events").await;
    let parent = page["events"][0]["event"]["traceparent"].as_str().unwrap();
    assert!(parent.contains(publisher.as_str().unwrap()), "{parent}");
    let metrics = book.http.get(&format!("{}/metrics", book.admin)).await;
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    let series = r#"atoll_delivery_cpu_seconds_total{topic="entries",service="reader"} "#;
    let seconds: f64 = metrics.lines().find_map(|line| line.strip_prefix(series)).unwrap().parse().unwrap();
    assert!(seconds > 0.0, "{seconds}");
    host.stop().await;
}
