//! Floor 1: what the host says of itself: metrics and the log.
//!
//! Owns the metric handles that other rooms count with, their exposition as OpenMetrics, and the set-up of the log. A handle belongs to
//! what it counts: an endpoint carries its counters, and they leave with it, so the series of revisions that are long gone do not pile
//! up. At a scrape, whoever owns endpoints and services lends them as a [`MetricsSource`].
//!
//! What always holds: counting never blocks a request, and no label comes from a client (it cannot make new series; a guest's
//! calls name outside hosts, of which whoever lends them keeps a bounded number). Never: it decides
//! nothing. Tests stand beside the files.

mod endpoint;
mod exposition;
mod log;
mod sample;
mod service;

pub use endpoint::EndpointMetrics;
pub use exposition::{CONTENT_TYPE, Metrics};
pub use log::{LogFormat, init};
pub use sample::{EndpointSample, MetricsSource, OutsideSample, ServiceSample};
pub use service::ServiceMetrics;
