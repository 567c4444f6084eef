//! The rooms up to the mesh, built inside the test's process: for tests that need more than HTTP shows.

use super::components::component;
use bytes::Bytes;
use host::balance::{self, Policy};
use host::base::{Body, CallContext, ErrorKind, RequestId, ServiceName, empty_body};
use host::breaker;
use host::mesh::{CallError, Mesh, TrafficSettings};
use host::registry::Registry;
use host::retry;
use host::rollout::{ReplicaSettings, Rollout, ServiceSpec, WantedService};
use host::runtime::{Limits, Runtime, Settings};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A mesh whose services are fixtures.
pub struct InProcessMesh {
    mesh: Mesh,
    runtime: Arc<Runtime>,
    rollout: Rollout,
}

/// A plan for the service `name` with limits that suit a test, no retries, and a breaker that never opens.
pub fn plan(name: &str) -> ServiceSpec {
    let plan = ServiceSpec::new(ServiceName::new(name).unwrap());
    let retry = retry::Settings { tries: 0, ..retry::Settings::default() };
    let balance = balance::Settings { policy: Policy::Random, ..balance::Settings::default() };
    let limits = Limits { memory: 16 << 20, concurrency: 64, ..plan.replicas.limits };
    let plan = ServiceSpec {
        replicas: ReplicaSettings { limits, ..plan.replicas },
        breaker: breaker::Settings::simple(1_000_000, Duration::from_secs(5), Duration::from_secs(6)),
        traffic: TrafficSettings { retry, balance, ..plan.traffic },
        ..plan
    };
    within(plan, Duration::from_secs(5))
}

/// The same plan with another timeout.
pub fn within(plan: ServiceSpec, timeout: Duration) -> ServiceSpec {
    let replicas = ReplicaSettings { limits: Limits { timeout, ..plan.replicas.limits }, ..plan.replicas };
    ServiceSpec { replicas, traffic: TrafficSettings { timeout, ..plan.traffic }, ..plan }
}

impl InProcessMesh {
    /// A mesh of these services, each given as a plan and the name of its fixture.
    pub fn new(services: Vec<(ServiceSpec, &str)>) -> Self {
        // All tests share this cache: compiling is what takes the time.
        let cache = super::components::workspace().join("target/test-cache");
        let runtime = Arc::new(Runtime::new(&Settings { cache, instances: 0 }, 256, 128 << 20).unwrap());
        let registry = Arc::new(Registry::default());
        let rollout = Rollout::new(Arc::clone(&runtime), Arc::clone(&registry), Vec::new());
        for (plan, fixture) in services {
            let component = runtime.load(&component(fixture)).unwrap();
            rollout.launch(plan, Some((&component, &[])), None).unwrap();
        }
        Self { mesh: Mesh::new(registry, host::mesh::Settings::default()), runtime, rollout }
    }

    /// Exchanges all services for this one, as another manifest that is applied does. What requests of the manifest
    /// before may need stays until [`InProcessMesh::withdraw`].
    pub async fn exchange(&self, spec: ServiceSpec, fixture: &str) {
        let component = self.runtime.load(&component(fixture)).unwrap();
        let wanted = WantedService { spec, component: Some((&component, &[])), same: false };
        let prepared = self.rollout.prepare_exchange(vec![wanted], Vec::new(), None).await.unwrap();
        assert!(self.rollout.exchange(prepared).unwrap().is_empty(), "no service has gone");
    }

    /// Ends the time in which requests of the manifest before may come.
    pub fn withdraw(&self) {
        self.rollout.withdraw(&[]);
    }

    /// Sends a GET for `path` to `service`. Returns the status and the body.
    pub async fn get(&self, service: &str, path: &str) -> Result<(u16, Bytes), CallError> {
        let request = http::Request::get(path).header("host", "shop.test").body(empty_body()).unwrap();
        self.send(service, request).await
    }

    /// Sends `request` to `service`. A body that breaks off is an error of the kind that broke it off.
    pub async fn send(&self, service: &str, request: http::Request<Body>) -> Result<(u16, Bytes), CallError> {
        let name = ServiceName::new(service).unwrap();
        let context = CallContext::new(RequestId::from_random(1), Instant::now(), Duration::from_secs(60));
        let response = self.mesh.call(&name, request, &context).await?;
        let status = response.status().as_u16();
        match response.into_body().collect().await {
            Ok(body) => Ok((status, body.to_bytes())),
            Err(error) => Err(CallError::new(&name, error.kind, error.detail)),
        }
    }

    /// The kind of the error with which a GET for `path` ends.
    pub async fn failure(&self, service: &str, path: &str) -> ErrorKind {
        match self.get(service, path).await {
            Ok((status, body)) => panic!("{path} answered {status} {body:?}"),
            Err(error) => error.kind,
        }
    }
}
