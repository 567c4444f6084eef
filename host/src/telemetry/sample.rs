//! What is true at the moment of a scrape, and who knows it.

use super::{EndpointMetrics, ServiceMetrics};
use std::sync::Arc;

/// One endpoint at the moment of a scrape.
pub struct EndpointSample {
    /// The service's name.
    pub service: String,
    /// The short digest of its revision; empty for a plain HTTP address.
    pub revision: String,
    /// The endpoint's id.
    pub endpoint: String,
    /// 0 closed, 1 half-open, 2 open.
    pub breaker: u8,
    /// Whether an operator holds the circuit where it is.
    pub forced: bool,
    /// Whether its active checks pass; where there are none, it is ready.
    pub ready: bool,
    /// Whether it left the choice for a while because it failed far more often than the others.
    pub ejected: bool,
    /// Requests at the endpoint now.
    pub in_flight: usize,
    /// Instances that serve one of them.
    pub instances: usize,
}

/// One service at the moment of a scrape.
pub struct ServiceSample {
    /// Its name.
    pub name: String,
    /// Calls that wait for their turn now.
    pub waiting: usize,
    /// Faults on purpose that stand now.
    pub faults: usize,
    /// How many further tries the budget would pay for now.
    pub retry_budget: u64,
}

/// One outside host that a service called, at the moment of a scrape. No two services share a circuit, so each has its own of a host.
pub struct OutsideSample {
    /// The service that calls it.
    pub service: String,
    /// Scheme, host, and the port where it is not the scheme's own: `https://api.example.com`.
    pub host: String,
    /// 0 closed, 1 half-open, 2 open.
    pub breaker: u8,
    /// Requests there now.
    pub in_flight: usize,
}

/// Who knows the endpoints, the services and the outside hosts at the moment of a scrape.
pub trait MetricsSource: Send + Sync + 'static {
    /// Every endpoint with its handles.
    fn endpoints(&self) -> Vec<(EndpointSample, Arc<EndpointMetrics>)>;
    /// Every service with its handles.
    fn services(&self) -> Vec<(ServiceSample, Arc<ServiceMetrics>)>;
    /// The outside hosts that services called, with their handles: each once for a service, and of a bounded number, for each is a
    /// series of its own.
    fn outside(&self) -> Vec<(OutsideSample, Arc<EndpointMetrics>)>;
}
