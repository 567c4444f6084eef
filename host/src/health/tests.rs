//! Health checks of an endpoint whose answers the test sets.

use super::{Schedule, Settings, watch};
use crate::base::{Body, CallContext, ErrorKind, ServiceName, empty_body};
use crate::breaker;
use crate::contract::FunctionName;
use crate::mesh::{
    CallKind, Endpoint, EndpointGroup, HealthProbe, Invoke, OutsideHosts, OutsideSettings, Service, Traffic,
    TrafficSettings, TryError,
};
use crate::registry::Registry;
use crate::runtime::DetachedValues;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Answers checks with `status`; if that is 0, it never answers.
#[derive(Default)]
struct FakeEndpoint {
    status: AtomicU16,
    checks: AtomicUsize,
}

impl Invoke for Arc<FakeEndpoint> {
    fn takes(&self, _way: CallKind) -> bool {
        true
    }

    async fn send(&self, request: http::Request<Body>, _: &CallContext) -> Result<http::Response<Body>, TryError> {
        assert_eq!((request.method().as_str(), request.uri().path()), ("GET", "/healthz"));
        self.checks.fetch_add(1, Relaxed);
        match self.status.load(Relaxed) {
            0 => std::future::pending().await,
            status => Ok(http::Response::builder().status(status).body(empty_body()).unwrap()),
        }
    }

    async fn call(&self, _: &FunctionName, _: DetachedValues, _: &CallContext) -> Result<DetachedValues, TryError> {
        Err(TryError::new(ErrorKind::NoEndpoint, ""))
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_gets_no_calls_after_three_failed_checks_and_again_after_two_passed_ones() {
    let (name, fake) = (ServiceName::new("users").unwrap(), Arc::new(FakeEndpoint::default()));
    fake.status.store(200, Relaxed);
    let endpoint = Endpoint::new(
        "users-0".into(),
        Arc::clone(&fake),
        breaker::Settings::default(),
        1,
        Instant::now().into_std(),
        1,
    );
    let stats = Arc::clone(&endpoint.stats);
    let traffic = Arc::new(Traffic::new(TrafficSettings::default()));
    let group = EndpointGroup::new(name.clone(), vec![Arc::new(endpoint)], traffic);
    let service = Service {
        group: Arc::new(group),
        outside: Arc::new(OutsideHosts::new(name.clone(), OutsideSettings::default())),
        revision: None,
        idempotent: Vec::new(),
        routed: Arc::default(),
        requires: Arc::default(),
        canary: None,
        before: None,
    };
    let registry = Arc::new(Registry::default());
    registry.publish(&name, service);
    let settings = Settings {
        probe: HealthProbe::Path("/healthz".parse().unwrap()),
        schedule: Schedule { interval: Duration::from_secs(5), timeout: Duration::from_secs(2), down: 3, up: 2 },
    };
    let task = tokio::spawn(watch(Arc::clone(&registry), name, settings));
    let round = async |status| {
        fake.status.store(status, Relaxed);
        // Past the next round, and past the timeout of a check that got no answer.
        sleep(Duration::from_secs(5)).await;
        stats.readiness.is_ready()
    };
    sleep(Duration::from_secs(3)).await;
    assert_eq!(fake.checks.load(Relaxed), 1, "the first round is at once");
    let seen = [round(503).await, round(302).await, round(500).await, round(0).await, round(404).await];
    assert_eq!(seen, [true, true, true, true, false], "only three failed checks in a row count");
    assert_eq!([round(200).await, round(0).await, round(204).await, round(399).await], [false, false, false, true]);
    assert_eq!(fake.checks.load(Relaxed), 10);
    assert_eq!(stats.state(Instant::now().into_std()).requests, 0, "a check does not count as a call");
    task.abort();
}
