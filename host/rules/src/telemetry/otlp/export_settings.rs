//! Where signals are sent, and how.

use http::{HeaderName, HeaderValue, Uri};
use std::path::PathBuf;
use std::time::Duration;

/// A kind of data that a collector takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OtlpSignal {
    /// Kept traces.
    Traces,
    /// Lines of the log.
    Logs,
    /// All metrics of `/metrics`.
    Metrics,
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OtlpProtocol {
    /// Protobuf in the body of a POST.
    #[default]
    Http,
    /// A unary call of gRPC.
    Grpc,
}

impl OtlpSignal {
    /// The path below that of the collector.
    pub fn path(self, protocol: OtlpProtocol) -> &'static str {
        match (protocol, self) {
            (OtlpProtocol::Http, Self::Traces) => "/v1/traces",
            (OtlpProtocol::Http, Self::Logs) => "/v1/logs",
            (OtlpProtocol::Http, Self::Metrics) => "/v1/metrics",
            (OtlpProtocol::Grpc, Self::Traces) => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            (OtlpProtocol::Grpc, Self::Logs) => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            (OtlpProtocol::Grpc, Self::Metrics) => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        }
    }

    /// What an export counts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "spans",
            Self::Logs => "lines",
            Self::Metrics => "metrics",
        }
    }
}

/// Where one signal is sent.
#[derive(Debug, Clone)]
pub struct SignalTarget {
    /// The whole address: `http://127.0.0.1:4318/v1/traces`.
    pub endpoint: Uri,
    /// How it is spoken to.
    pub protocol: OtlpProtocol,
    /// Fields of each request. Their values are secrets, and marked as such.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long one export may take, with its connection.
    pub timeout: Duration,
    /// The root certificates of an https address; `None`: those of the system.
    pub ca: Option<PathBuf>,
}

/// Which signals are sent, and where.
#[derive(Debug, Clone)]
pub struct ExportSettings {
    /// Where traces are sent; `None`: nowhere.
    pub traces: Option<SignalTarget>,
    /// Where lines of the log are sent; `None`: nowhere.
    pub logs: Option<SignalTarget>,
    /// Where metrics are sent; `None`: nowhere.
    pub metrics: Option<SignalTarget>,
    /// The name of this system.
    pub service_name: String,
    /// What else each resource says.
    pub resource: Vec<(String, String)>,
    /// The most spans or lines of one export, where no trace has more by itself.
    pub batch: usize,
    /// The most spans that wait for an export. Further traces are left out, and counted.
    pub queue: usize,
    /// How long spans and lines are gathered for an export.
    pub delay: Duration,
    /// The time between two exports of metrics.
    pub interval: Duration,
}
