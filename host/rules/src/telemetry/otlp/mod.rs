//! The messages of OTLP: traces, logs and metrics as a collector takes them, and what it answers
//! (<https://opentelemetry.io/docs/specs/otlp/>, opentelemetry-proto 1.8).
//!
//! One request carries many resources. Each service is one, and so is the host: otherwise a backend would draw the
//! whole system as one box.

mod collector_answer;
mod export_settings;
mod log_message;
mod metric_message;
mod metric_text;
mod protobuf;
mod resource;
mod trace_message;

pub use collector_answer::{PartialSuccess, partial_success};
pub use export_settings::{ExportSettings, OtlpProtocol, OtlpSignal, SignalTarget};
pub use log_message::logs_request;
pub use metric_message::metrics_request;
pub use resource::HostResource;
pub use trace_message::traces_request;
