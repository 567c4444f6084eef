//! Floor 1: what the host reports about itself: metrics and the log.
//!
//! Owns the metric handles with which other rooms count, their exposition as OpenMetrics, and the set-up of the log. A
//! handle belongs to the thing that it counts: a service, an endpoint by its id, a route of the gateway. Counters live
//! through swaps: no revision is a label of theirs, and [`ServiceSample`] says which one serves. At a scrape, the room
//! that owns endpoints and services lends their handles through a [`MetricsSource`].
//!
//! What always holds: counting takes no lock. No label comes from a client or a component, so neither can make new
//! series; statuses that are not registered are counted by class. A guest's calls name outside hosts; the source keeps
//! a bounded number of these.
//!
//! Never: decides anything. Tests stand in the files that they test.

mod endpoint_metrics;
mod exposition;
mod gateway_metrics;
mod histogram;
mod kind_counters;
mod log;
mod metrics_source;
mod service_metrics;
mod status_slot;

pub use endpoint_metrics::{EndpointMetrics, RequestCounts};
pub use exposition::{CONTENT_TYPE, Metrics};
pub use gateway_metrics::{GatewayMetrics, Place};
pub use log::{LogFormat, init};
pub use metrics_source::{EndpointSample, MetricsSource, OutsideSample, ServiceSample};
pub use service_metrics::ServiceMetrics;
