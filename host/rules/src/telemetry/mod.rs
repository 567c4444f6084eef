//! Floor 1: what the host reports about itself: metrics, the log and traces.
//!
//! Owns the metric handles with which other rooms count, their exposition as OpenMetrics, and the log and its bounds. A
//! handle belongs to the thing that it counts: a service, an endpoint by its id, a route of the gateway. Counters live
//! through swaps: no revision is a label of theirs, and [`ServiceSample`] says which one serves. At a scrape, the room
//! that owns endpoints and services lends their handles through a [`MetricsSource`].
//!
//! The log is `tracing`'s. On its way a line passes the filter, `limit_layer` (which leaves out lines that repeat),
//! `tracing`'s formatter, and the queue of `line_queue`, whose thread alone waits for the reader.
//!
//! The trace of a request is a tree of plain records (`base`). At its end the [`Tracer`] decides whether it is kept, in
//! a memory of fixed size, and queued for the collector. `otlp` writes traces, lines and metrics as OTLP.
//!
//! What always holds: counting takes no lock. Whoever ends a trace waits for nobody. A reader of the log that stalls
//! blocks nothing. No line disappears without being counted, in the log and in a metric, and no kept trace does on its
//! way to the collector. No label comes from a client or a component, so neither can make new series; statuses that are
//! not registered are counted by class. There are two exceptions, with a bounded number for each service: the hosts
//! outside that a guest's calls name, and the series of what guests measure themselves, in families of their own.
//!
//! Never: decides anything, except which lines of the log are written and which traces are kept. Tests stand in the
//! files that they test.

mod access_line;
mod cache_metrics;
mod caller_counters;
mod cluster_metrics;
mod code_metrics;
mod delivery_metrics;
mod discovery_metrics;
mod duration_text;
mod edge_metrics;
mod endpoint_metrics;
mod exposition;
mod gateway_metrics;
mod guest_metrics;
mod histogram;
mod host_change;
mod host_collector;
mod kept_line;
mod kept_trace;
mod kind_counters;
mod label_text;
mod limit_layer;
mod line_format;
mod line_limiter;
mod line_queue;
mod log;
mod metrics_source;
mod name_metrics;
mod numbered_ring;
mod operator;
mod otlp;
mod pool_metrics;
mod saga_metrics;
mod schedule_metrics;
mod service_metrics;
mod slow_threshold;
mod state_counters;
mod status_slot;
mod store_metrics;
mod switched_format;
#[cfg(any(test, feature = "testing"))]
mod test_log;
mod tls_metrics;
mod trace_collector;
mod trace_memory;
mod trace_queue;
mod trace_settings;
mod tracer;
mod traffic_window;
mod trap_report;

pub use access_line::{AccessFormat, REFUSALS};
pub use cache_metrics::{CacheMetrics, CacheOutcome};
pub use cluster_metrics::{ClusterSample, ClusterSource};
pub use code_metrics::{CodeMetrics, code_metrics};
pub use delivery_metrics::{DeliverySample, DeliverySource, OutboxSample};
pub use discovery_metrics::{DiscoverySample, DiscoverySource};
pub use edge_metrics::{AuditMetrics, EdgeMetrics, Http2Refusals, KeyFetchMetrics, ProxyRefusals};
pub use endpoint_metrics::{EndpointMetrics, FAILED, LastFailure, RequestCounts};
pub use exposition::{CONTENT_TYPE, Metrics};
pub use gateway_metrics::{CountScope, DurationExemplar, GatewayMetrics, OpenSocket};
pub use guest_metrics::{
    GuestCounters, GuestDistribution, GuestMetrics, GuestSample, GuestSignal, GuestValue, SampleStart, guest_metrics,
};
pub use host_change::{ChangeKind, HostChange, changes, note_change};
pub use kept_line::{KeptLine, LineFilter, lines};
pub use kept_trace::{KeepRule, KeptTrace};
pub use line_format::LogFormat;
pub use log::{LogCounts, LogSettings, announce, bound, counts as log_counts, finish, init, report};
pub use metrics_source::{EndpointSample, MetricsSource, OutsideSample, PoolSample, ServiceSample};
pub use name_metrics::NameMetrics;
pub use numbered_ring::{NumberedRing, RingPage};
pub use operator::{as_operator, operator};
pub use otlp::{
    ExportSettings, HostResource, OtlpProtocol, OtlpSignal, PartialSuccess, SignalTarget, logs_request,
    metrics_request, partial_success, traces_request,
};
pub use pool_metrics::PoolMetrics;
pub use saga_metrics::{SagaSample, SagaSource};
pub use schedule_metrics::{ScheduleSample, ScheduleSource};
pub use service_metrics::ServiceMetrics;
pub use slow_threshold::SlowThreshold;
pub use state_counters::{StateCounters, StateOperation};
pub use store_metrics::StoreMetrics;
#[cfg(any(test, feature = "testing"))]
pub use test_log::log_of_this_thread;
pub use tls_metrics::{HANDSHAKE_FAILURES, TlsMetrics};
pub use trace_memory::TraceQuery;
pub use trace_queue::TraceQueue;
pub use trace_settings::TraceSettings;
pub use tracer::{TraceEnd, Tracer};
pub use traffic_window::{CallerTraffic, TrafficCounts, TrafficWindow};
pub use trap_report::{ERROR_OUTPUT, GuestFailure, RequestShape, TrapMemory, TrapReport, traps};
