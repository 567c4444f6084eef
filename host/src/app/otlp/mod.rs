//! What the host sends to collectors, by OTLP: traces, lines of the log, metrics.
//! Always: a collector that is slow or away costs the host bounded memory and no request.
//! Never: it measures or records anything itself (`telemetry` does).
//! From the top: `host_traces` → `otlp_export` → `otlp_traces`, `otlp_logs`, `otlp_metrics` → `otlp_client`.

pub(super) mod host_traces;
mod otlp_client;
pub(super) mod otlp_export;
mod otlp_logs;
mod otlp_metrics;
mod otlp_traces;
