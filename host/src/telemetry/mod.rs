//! Floor 1: what the host says of itself: metrics and the log.
//!
//! Owns the metric handles that other rooms count with, their exposition as OpenMetrics, and the set-up of the log. What always holds:
//! counting never blocks a request, and no label comes from outside (a client cannot make new series). Never: it decides nothing.
//! Tests stand beside the files.

mod log;
mod metrics;

pub use log::{LogFormat, init};
pub use metrics::{CONTENT_TYPE, EndpointMetrics, Metrics, Sample, ServiceMetrics, Source};
