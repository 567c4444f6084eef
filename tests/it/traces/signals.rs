//! Lines of the log and metrics at a collector, and all signals over gRPC.

use super::super::atoll::eventually;
use super::collector::{Collector, Mood, ReceivedLine, ReceivedPoint};
use super::export::{AT_ONCE, hello, start};
use std::collections::BTreeMap;

fn sends(collector: &Collector, protocol: &str, signals: &str) -> String {
    hello(&format!(
        "otlp = {{ endpoint = \"http://{}\", protocol = \"{protocol}\" }}\nexport = [{signals}]\nsample = 1.0\n\
         service_name = \"shop\"",
        collector.address
    ))
}

/// Metrics are sent twenty times a second.
const OFTEN: (&str, &str) = ("OTEL_METRIC_EXPORT_INTERVAL", "50");

impl Collector {
    async fn line(&self, what: &str, is_meant: impl Fn(&ReceivedLine) -> bool) -> ReceivedLine {
        eventually(what, async || self.lines().into_iter().find(&is_meant)).await
    }

    async fn point(&self, what: &str, is_meant: impl Fn(&ReceivedPoint) -> bool) -> ReceivedPoint {
        eventually(what, async || self.points().into_iter().find(&is_meant)).await
    }
}

fn has(attributes: &BTreeMap<String, String>, pairs: &[(&str, &str)]) -> bool {
    pairs.iter().all(|(name, value)| attributes.get(*name).is_some_and(|own| own == value))
}

#[tokio::test]
async fn lines_of_the_log_reach_the_collector_with_level_service_and_trace() {
    let collector = Collector::start(Mood::Takes).await;
    let host = start(&sends(&collector, "http/protobuf", "\"traces\", \"logs\""), &[AT_ONCE]).await;
    let answer = host.get("/").await;
    let line =
        collector.line("the access line", |line| line.attributes.get("log.target").is_some_and(|own| own == "access"));
    let line = line.await;
    assert_eq!((line.severity.as_str(), line.resource["service.name"].as_str()), ("INFO", "hello"));
    assert_eq!(line.resource["service.namespace"], "shop");
    assert!(has(&line.attributes, &[("method", "GET"), ("status", "200")]), "{line:?}");
    assert_eq!(line.attributes["atoll.request_id"], answer.header("x-request-id"));
    let span = eventually("its spans", async || collector.spans().into_iter().next()).await;
    assert_eq!(line.trace, span.trace);
    let ready = collector.line("a line of the host", |line| line.body == "ready").await;
    assert_eq!(ready.resource["service.name"], "shop");
    // The last lines are sent before the host ends.
    host.atoll.stop().await;
    assert!(collector.lines().iter().any(|line| line.body == "draining"), "{:?}", collector.lines());
}

#[tokio::test]
async fn the_collector_gets_the_metrics_that_a_scraper_would_read() {
    let collector = Collector::start(Mood::Takes).await;
    let host = start(&sends(&collector, "http/protobuf", "\"metrics\""), &[OFTEN]).await;
    for _ in 0..3 {
        host.get("/").await;
    }
    let labels = [("route", "/*"), ("service", "hello"), ("status", "200"), ("kind", "answer")];
    let is_counted = |point: &ReceivedPoint| {
        point.metric == "atoll_gateway_requests" && has(&point.attributes, &labels) && (point.value - 3.0).abs() < 0.5
    };
    collector.point("three requests", is_counted).await;
    let took = |point: &ReceivedPoint| point.metric == "atoll_gateway_duration_seconds" && point.value > 2.5;
    let took = collector.point("their durations", took).await;
    let (counts, bounds) = &took.buckets;
    assert_eq!((took.unit.as_str(), counts.iter().sum::<u64>(), counts.len()), ("s", 3, bounds.len() + 1));
    assert!(collector.spans().is_empty() && collector.lines().is_empty(), "only what `export` names is sent");
    host.get("/").await;
    host.atoll.stop().await;
    let last = collector.points().into_iter().find(|point| has(&point.attributes, &labels)).unwrap();
    assert!((last.value - 4.0).abs() < 0.5, "the last values are sent before the host ends: {last:?}");
}

#[tokio::test]
async fn all_signals_go_over_grpc() {
    let collector = Collector::start_grpc(Mood::Hesitates).await;
    let signals = sends(&collector, "grpc", "\"traces\", \"logs\", \"metrics\"");
    let host = start(&signals, &[AT_ONCE, OFTEN, ("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=geheim")]).await;
    assert_eq!(host.get("/").await.status, 200);
    eventually("spans arrived", async || (!collector.spans().is_empty()).then_some(())).await;
    collector.line("a line", |line| line.body == "ready").await;
    collector.point("a metric", |point| point.metric == "atoll_gateway_requests").await;
    let (path, headers) = collector.requests().into_iter().find(|(path, _)| path.contains("Trace")).unwrap();
    assert_eq!(path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    assert_eq!(
        (&headers["content-type"], &headers["te"]),
        (&"application/grpc".parse().unwrap(), &"trailers".parse().unwrap())
    );
    assert_eq!(headers["x-collector-key"], "geheim");
}

#[tokio::test]
async fn a_status_of_grpc_that_refuses_is_said_and_not_repeated() {
    let collector = Collector::start_grpc(Mood::Status(3)).await;
    let host = start(&sends(&collector, "grpc", "\"traces\""), &[AT_ONCE]).await;
    assert_eq!(host.get("/").await.status, 200);
    let line = host.atoll.logged("the collector takes nothing").await;
    assert!(line.contains("status 3 of gRPC"), "{line}");
    assert_eq!(collector.requests().len(), 1);
    assert!(host.metric("atoll_otlp_spans_dropped_total").await > 2.5);
}
