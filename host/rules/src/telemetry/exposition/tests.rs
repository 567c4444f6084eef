//! The exposition as text, family by family.

use super::super::gateway_metrics::CountScope;
use super::*;
use crate::base::DeadlineOwner;
use crate::telemetry::metrics_source::{EndpointSample, OutsideSample, PoolSample, ServiceSample};
use crate::telemetry::{EndpointMetrics, PoolMetrics, ServiceMetrics, StateOperation};
use std::time::Duration;

#[derive(Default, Clone)]
struct One {
    endpoint: Arc<EndpointMetrics>,
    service: Arc<ServiceMetrics>,
    pool: Arc<PoolMetrics>,
    outside: Arc<EndpointMetrics>,
}

impl MetricsSource for One {
    fn endpoints(&self) -> Vec<(EndpointSample, Arc<EndpointMetrics>)> {
        let sample = EndpointSample {
            service: "users".into(),
            endpoint: "users-0".into(),
            breaker: 2,
            forced: true,
            ready: false,
            ejected: true,
            in_flight: 3,
            instances: 2,
        };
        vec![(sample, Arc::clone(&self.endpoint))]
    }

    fn services(&self) -> Vec<(ServiceSample, Arc<ServiceMetrics>)> {
        let pool = PoolSample {
            held: 7,
            waiting: 8,
            longest_wait: Duration::from_millis(250),
            metrics: Arc::clone(&self.pool),
            keeps_state: true,
        };
        let (name, revision, computed) = ("users".into(), "abc".into(), Duration::from_millis(1500));
        let sample = ServiceSample { name, revision, waiting: 4, faults: 5, retry_budget: 6, pool, computed };
        vec![(sample, Arc::clone(&self.service))]
    }

    fn outside(&self) -> Vec<(OutsideSample, Arc<EndpointMetrics>)> {
        let sample =
            OutsideSample { service: "users".into(), host: "https://api.example.com".into(), breaker: 1, in_flight: 7 };
        vec![(sample, Arc::clone(&self.outside))]
    }
}

/// A service of one plain address, to which nothing has happened yet.
struct Quiet;

impl MetricsSource for Quiet {
    fn endpoints(&self) -> Vec<(EndpointSample, Arc<EndpointMetrics>)> {
        let (service, endpoint, breaker) = ("old".into(), "old-0".into(), 0);
        let (forced, ready, ejected, in_flight, instances) = (false, true, false, 0, 0);
        let sample = EndpointSample { service, endpoint, breaker, forced, ready, ejected, in_flight, instances };
        vec![(sample, Arc::default())]
    }

    fn services(&self) -> Vec<(ServiceSample, Arc<ServiceMetrics>)> {
        let (name, revision, pool, computed) = ("old".into(), String::new(), PoolSample::default(), Duration::ZERO);
        let sample = ServiceSample { name, revision, waiting: 0, faults: 0, retry_budget: 9, pool, computed };
        vec![(sample, Arc::default())]
    }

    fn outside(&self) -> Vec<(OutsideSample, Arc<EndpointMetrics>)> {
        let host = "https://api.example.com".into();
        vec![(OutsideSample { service: "old".into(), host, breaker: 0, in_flight: 0 }, Arc::default())]
    }
}

struct Nothing;

impl MetricsSource for Nothing {
    fn endpoints(&self) -> Vec<(EndpointSample, Arc<EndpointMetrics>)> {
        Vec::new()
    }
    fn services(&self) -> Vec<(ServiceSample, Arc<ServiceMetrics>)> {
        Vec::new()
    }
    fn outside(&self) -> Vec<(OutsideSample, Arc<EndpointMetrics>)> {
        Vec::new()
    }
}

/// Asserts that each of `lines` is a whole line of `text`.
fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|own| own == *line), "{line} is missing in\n{text}");
    }
}

#[test]
fn the_exposition_has_every_family_of_endpoints() {
    let one = One::default();
    one.endpoint.request();
    one.endpoint.failure("trap");
    one.endpoint.answered(Duration::from_millis(2));
    assert_lines(
        &Metrics::new(one, Arc::default()).encode(),
        &[
            r#"atoll_requests_total{service="users",endpoint="users-0"} 1"#,
            r#"atoll_failures_total{service="users",endpoint="users-0"} 1"#,
            r#"atoll_failures_by_kind_total{service="users",endpoint="users-0",kind="trap"} 1"#,
            r#"atoll_endpoint_seconds_total{service="users",endpoint="users-0"} 0.002"#,
            r#"atoll_latency_seconds_bucket{le="0.001",service="users"} 0"#,
            r#"atoll_latency_seconds_bucket{le="0.0025",service="users"} 1"#,
            r#"atoll_breaker_state{service="users",endpoint="users-0"} 2"#,
            r#"atoll_breaker_forced{service="users",endpoint="users-0"} 1"#,
            r#"atoll_endpoint_ready{service="users",endpoint="users-0"} 0"#,
            r#"atoll_endpoint_ejected{service="users",endpoint="users-0"} 1"#,
            r#"atoll_in_flight{service="users",endpoint="users-0"} 3"#,
            r#"atoll_instances{service="users",endpoint="users-0"} 2"#,
            "# EOF",
        ],
    );
}

#[test]
fn the_exposition_has_every_family_of_services() {
    let one = One::default();
    one.service.refused("circuit-open");
    one.service.swapped();
    one.service.rolled_back();
    one.service.rolled_back();
    one.service.swap_refused("does-not-start");
    one.service.retried();
    one.service.retry_denied();
    one.service.retry_denied();
    one.service.waited(Duration::from_millis(3));
    one.service.timed_out(DeadlineOwner::Caller);
    one.pool.waited(Duration::from_millis(30));
    for kind in ["error", "trap", "trap"] {
        one.service.injected(kind);
    }
    assert_lines(
        &Metrics::new(one, Arc::default()).encode(),
        &[
            r#"atoll_revision_info{service="users",revision="abc"} 1"#,
            r#"atoll_swaps_total{service="users"} 1"#,
            r#"atoll_rollbacks_total{service="users"} 2"#,
            r#"atoll_swaps_refused_total{service="users",kind="does-not-start"} 1"#,
            r#"atoll_swap_refusals_total{service="users"} 1"#,
            r#"atoll_refused_total{service="users",kind="circuit-open"} 1"#,
            r#"atoll_refusals_total{service="users"} 1"#,
            r#"atoll_deadlines_missed_total{service="users"} 1"#,
            r#"atoll_retries_total{service="users"} 1"#,
            r#"atoll_retries_denied_total{service="users"} 2"#,
            r#"atoll_queue_wait_seconds_bucket{le="0.0025",service="users"} 0"#,
            r#"atoll_queue_wait_seconds_bucket{le="0.005",service="users"} 1"#,
            r#"atoll_waiting{service="users"} 4"#,
            r#"atoll_computed_seconds_total{service="users"} 1.5"#,
            r#"atoll_pool_slots{service="users"} 7"#,
            r#"atoll_pool_waiting{service="users"} 8"#,
            r#"atoll_pool_longest_wait_seconds{service="users"} 0.25"#,
            r#"atoll_pool_wait_seconds_bucket{le="0.025",service="users"} 0"#,
            r#"atoll_pool_wait_seconds_bucket{le="0.05",service="users"} 1"#,
            r#"atoll_timeouts_total{service="users",deadline="caller"} 1"#,
            r#"atoll_faults_standing{service="users"} 5"#,
            r#"atoll_retry_budget{service="users"} 6"#,
            r#"atoll_faults_injected_total{service="users",kind="error"} 1"#,
            r#"atoll_faults_injected_total{service="users",kind="trap"} 2"#,
        ],
    );
}

#[test]
fn what_cannot_happen_and_what_has_not_happened_has_no_series() {
    let quiet = Metrics::new(Quiet, Arc::default()).encode();
    for present in [
        "atoll_requests_total",
        "atoll_endpoint_ready",
        "atoll_breaker_state",
        "atoll_retries_total",
        "atoll_refusals_total",
        "atoll_deadlines_missed_total",
    ] {
        assert!(quiet.contains(&format!("\n{present}{{")), "{present} is missing in\n{quiet}");
    }
    for family in [
        "breaker_forced",
        "endpoint_ejected",
        "latency_seconds",
        "queue_wait_seconds",
        "pool_",
        "swaps",
        "rollbacks",
        "swap_refusals",
        "refused_total",
        "timeouts",
        "faults_",
        "guest_seconds",
        "state_",
        "outside_latency_seconds",
    ] {
        assert!(!quiet.contains(&format!("atoll_{family}")), "{family} is in\n{quiet}");
    }
}

#[test]
fn the_exposition_has_every_family_of_outside_hosts() {
    let one = One::default();
    one.outside.request();
    one.outside.request();
    one.outside.failure("connect");
    one.outside.answered(Duration::from_millis(40));
    assert_lines(
        &Metrics::new(one, Arc::default()).encode(),
        &[
            r#"atoll_outside_requests_total{service="users",host="https://api.example.com"} 2"#,
            r#"atoll_outside_failures_total{service="users",host="https://api.example.com"} 1"#,
            r#"atoll_outside_latency_seconds_bucket{le="0.05",service="users",host="https://api.example.com"} 1"#,
            r#"atoll_outside_breaker_state{service="users",host="https://api.example.com"} 1"#,
            r#"atoll_outside_in_flight{service="users",host="https://api.example.com"} 7"#,
        ],
    );
}

#[test]
fn the_exposition_has_every_family_of_the_gateway() {
    let scope = CountScope { route: "/a/{id}".into(), service: "a".into(), outcomes: vec![&[(502, "trap")]] };
    let gateway = Arc::new(GatewayMetrics::new(vec![scope]));
    gateway.ended(0, 204, "answer", Some(Duration::from_millis(2)));
    assert_lines(
        &Metrics::new(Nothing, gateway).encode(),
        &[
            r#"atoll_gateway_requests_total{route="/a/{id}",service="a",status="200",kind="answer"} 0"#,
            r#"atoll_gateway_requests_total{route="/a/{id}",service="a",status="204",kind="answer"} 1"#,
            r#"atoll_gateway_failures_total{route="/a/{id}",service="a"} 0"#,
            r#"atoll_gateway_duration_seconds_bucket{le="0.0025",route="/a/{id}",service="a",class="2xx"} 1"#,
            r#"atoll_gateway_duration_seconds_bucket{le="+Inf",route="/a/{id}",service="a",class="2xx"} 1"#,
        ],
    );
}

#[test]
fn the_exposition_has_what_services_do_with_their_data() {
    let one = One::default();
    let state = one.pool.state();
    let metrics = Metrics::new(one.clone(), Arc::default());
    assert_lines(
        &metrics.encode(),
        &[
            r#"atoll_state_operations_total{service="users",operation="get"} 0"#,
            r#"atoll_state_operations_total{service="users",operation="scan"} 0"#,
            r#"atoll_state_operations_total{service="users",operation="commit"} 0"#,
            r#"atoll_state_read_bytes_total{service="users"} 0"#,
            r#"atoll_state_written_bytes_total{service="users"} 0"#,
            r#"atoll_state_commit_seconds_total{service="users"} 0.0"#,
        ],
    );
    assert!(!metrics.encode().contains("state_operations_failed"), "a kind comes with its first event");
    for operation in [StateOperation::Get, StateOperation::Get, StateOperation::Commit] {
        state.began(operation);
    }
    state.read(1000);
    state.read(24);
    state.wrote(300);
    state.committed(Duration::from_millis(2));
    state.failed("conflict");
    let text = metrics.encode();
    assert_lines(
        &text,
        &[
            "# TYPE atoll_state_operations counter",
            r#"atoll_state_operations_total{service="users",operation="get"} 2"#,
            r#"atoll_state_operations_total{service="users",operation="scan"} 0"#,
            r#"atoll_state_operations_total{service="users",operation="commit"} 1"#,
            r#"atoll_state_operations_failed_total{service="users",kind="conflict"} 1"#,
            r#"atoll_state_read_bytes_total{service="users"} 1024"#,
            r#"atoll_state_written_bytes_total{service="users"} 300"#,
            r#"atoll_state_commit_seconds_total{service="users"} 0.002"#,
        ],
    );
    assert!(!text.contains(r#"kind="overloaded""#), "{text}");
}

#[test]
fn the_exposition_has_the_store() {
    let (metrics, store) = (Metrics::default(), Arc::<StoreMetrics>::default());
    metrics.add_store(Arc::clone(&store));
    assert_lines(&metrics.encode(), &["state_degraded 0", r#"state_failed_commits_total{cause="full"} 0"#]);
    store.failed("full", 3);
    assert_lines(&metrics.encode(), &["state_degraded 1", r#"state_failed_commits_total{cause="full"} 3"#]);
    store.wrote(Duration::from_millis(2), 8192);
    assert_lines(
        &metrics.encode(),
        &[
            "state_degraded 0",
            r#"state_failed_commits_total{cause="full"} 3"#,
            r#"state_batch_seconds_bucket{le="0.0025"} 1"#,
            "state_file_bytes 8192",
        ],
    );
    store.set_read_only(true);
    assert_lines(&metrics.encode(), &["state_degraded 1"]);
    assert!(!store.is_away());
    store.set_read_only(false);
    assert_lines(&metrics.encode(), &["state_degraded 0"]);
    store.set_damaged(true);
    assert_lines(&metrics.encode(), &["state_degraded 1"]);
    assert!(store.takes_writes(), "what is whole can be written");
    store.refused("damaged", 1);
    store.set_damaged(false);
    assert_lines(&metrics.encode(), &["state_degraded 0", r#"state_failed_commits_total{cause="damaged"} 1"#]);
}

#[test]
fn without_endpoints_services_and_outside_hosts_the_exposition_is_empty() {
    assert_eq!(Metrics::new(Nothing, Arc::default()).encode(), "# EOF\n");
}
