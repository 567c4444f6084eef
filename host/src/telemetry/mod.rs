//! Floor 1: what the host reports about itself: metrics and the log.
//!
//! Owns the metric handles with which other rooms count, their exposition as OpenMetrics, and the set-up of the log. A
//! handle belongs to the thing that it counts. An endpoint carries its counters, and they leave with it, so the series
//! of old revisions do not pile up. At a scrape, the room that owns endpoints and services lends their handles through
//! a [`MetricsSource`].
//!
//! What always holds: counting never blocks a request, except that counting a refusal takes a short lock. No label
//! comes from a client, so a client cannot make new series. A guest's calls name outside hosts; the source keeps a
//! bounded number of these.
//!
//! Never: decides anything. Tests stand in the files that they test.

mod endpoint_metrics;
mod exposition;
mod log;
mod metrics_source;
mod pool_metrics;
mod service_metrics;

pub use endpoint_metrics::{EndpointMetrics, RequestCounts};
pub use exposition::{CONTENT_TYPE, Metrics};
pub use log::{LogFormat, init};
pub use metrics_source::{EndpointSample, MetricsSource, OutsideSample, PoolSample, ServiceSample};
pub use pool_metrics::PoolMetrics;
pub use service_metrics::ServiceMetrics;
