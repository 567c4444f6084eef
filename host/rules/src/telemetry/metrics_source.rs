//! The source of the metrics: what another room lends at a scrape.

use super::endpoint_metrics::EndpointMetrics;
use super::pool_metrics::PoolMetrics;
use super::service_metrics::ServiceMetrics;
use std::sync::Arc;
use std::time::Duration;

/// One endpoint at the time of a scrape.
pub struct EndpointSample {
    /// The service's name.
    pub service: String,
    /// The endpoint's id.
    pub endpoint: String,
    /// The state of the endpoint's breaker: 0 closed, 1 half-open, 2 open.
    pub breaker: u8,
    /// Whether an operator holds the circuit open or closed.
    pub forced: bool,
    /// Whether its health checks pass; an endpoint without health checks is ready.
    pub ready: bool,
    /// Whether the endpoint is ejected as an outlier: it failed far more often than the others.
    pub ejected: bool,
    /// Requests under way at the endpoint.
    pub in_flight: usize,
    /// Instances that serve requests or calls now.
    pub instances: usize,
}

/// One service at the time of a scrape.
pub struct ServiceSample {
    /// The service's name.
    pub name: String,
    /// The short digest of its revision; empty for a service of plain HTTP addresses.
    pub revision: String,
    /// Calls that wait at the bulkhead now.
    pub waiting: usize,
    /// Faults that are injected into the service's calls now.
    pub faults: usize,
    /// Further tries that the retry budget would allow now.
    pub retry_budget: u64,
    /// What it has of the engine's pool: nothing, without a component.
    pub pool: PoolSample,
    /// The processor time of whole slices that its guests have used up since the start.
    pub computed: Duration,
}

/// What a service has of the engine's pool at the time of a scrape.
#[derive(Default)]
pub struct PoolSample {
    /// Slots that its instances hold, idle instances too.
    pub held: usize,
    /// Its calls that wait for slots now.
    pub waiting: usize,
    /// How long the first of them has waited.
    pub longest_wait: Duration,
    /// How long its calls have waited so far.
    pub metrics: Arc<PoolMetrics>,
    /// Whether it has data of its own.
    pub keeps_state: bool,
}

/// One outside host that a service called, at the time of a scrape. No two services share a circuit, so each service
/// has a sample of its own for a host.
pub struct OutsideSample {
    /// The service that calls it.
    pub service: String,
    /// The scheme, the host, and the port if it is not the scheme's default: `https://api.example.com`.
    pub host: String,
    /// The state of the host's breaker: 0 closed, 1 half-open, 2 open.
    pub breaker: u8,
    /// Requests under way at the host.
    pub in_flight: usize,
}

/// The endpoints, services and outside hosts that exist at the time of a scrape, with their handles.
pub trait MetricsSource: Send + Sync + 'static {
    /// Every endpoint with its handles.
    fn endpoints(&self) -> Vec<(EndpointSample, Arc<EndpointMetrics>)>;
    /// Every service with its handles.
    fn services(&self) -> Vec<(ServiceSample, Arc<ServiceMetrics>)>;
    /// The outside hosts that services called, with their handles: each host at most once for a service. Their number
    /// is bounded, since each is a series of its own.
    fn outside(&self) -> Vec<(OutsideSample, Arc<EndpointMetrics>)>;
}
