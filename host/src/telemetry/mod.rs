//! Floor 1: what the host reports about itself: metrics and the log.
//!
//! Owns the metric handles with which other rooms count, their exposition as OpenMetrics, and the log and its bounds. A
//! handle belongs to the thing that it counts: a service, an endpoint by its id, a route of the gateway. Counters live
//! through swaps: no revision is a label of theirs, and [`ServiceSample`] says which one serves. At a scrape, the room
//! that owns endpoints and services lends their handles through a [`MetricsSource`].
//!
//! The log is `tracing`'s. On its way a line passes the filter, `limit_layer` (which leaves out lines that repeat),
//! `tracing`'s formatter, and the queue of `line_queue`, whose thread alone waits for the reader.
//!
//! What always holds: counting takes no lock. A reader of the log that stalls blocks nothing. No line disappears
//! without being counted, in the log and in a metric. No label comes from a client or a component, so neither can make
//! new series; statuses that are not registered are counted by class. A guest's calls name outside hosts; the source
//! keeps a bounded number of these.
//!
//! Never: decides anything, except which lines of the log are written. Tests stand in the files that they test.

mod delivery_metrics;
mod endpoint_metrics;
mod exposition;
mod gateway_metrics;
mod histogram;
mod kind_counters;
mod limit_layer;
mod line_format;
mod line_limiter;
mod line_queue;
mod log;
mod metrics_source;
mod pool_metrics;
mod service_metrics;
mod status_slot;
mod store_metrics;
mod tls_metrics;

pub use delivery_metrics::{DeliverySample, DeliverySource};
pub use endpoint_metrics::{EndpointMetrics, RequestCounts};
pub use exposition::{CONTENT_TYPE, Metrics};
pub use gateway_metrics::{CountScope, GatewayMetrics, OpenSocket};
pub use line_format::LogFormat;
pub use log::{LogSettings, announce, bound, finish, init, report};
pub use metrics_source::{EndpointSample, MetricsSource, OutsideSample, PoolSample, ServiceSample};
pub use pool_metrics::PoolMetrics;
pub use service_metrics::ServiceMetrics;
pub use store_metrics::StoreMetrics;
pub use tls_metrics::{HANDSHAKE_FAILURES, TlsMetrics};
