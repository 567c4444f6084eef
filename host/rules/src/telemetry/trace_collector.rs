//! The metrics of the traces themselves: how many are kept and why, and what became of their spans.

use super::tracer::{RULES, Tracer};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;

/// Writes the metrics of one tracer at each scrape.
pub(super) struct TraceCollector(pub(super) Arc<Tracer>);

impl fmt::Debug for TraceCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TraceCollector")
    }
}

impl Collector for TraceCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let (ended, kept, lost) = self.0.counts();
        let counter = |encoder: &mut DescriptorEncoder<'_>, name, help, count| {
            ConstCounter::<u64>::new(count).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
        };
        let gauge = |encoder: &mut DescriptorEncoder<'_>, name, help, size: usize| {
            let size = ConstGauge::new(i64::try_from(size).unwrap_or(i64::MAX));
            size.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
        };
        counter(&mut encoder, "traces", "Traces of requests that have ended, kept or not", ended)?;
        let help = "Traces that were kept, by rule: trapped, circuit-open, failed, slow, parent or sampled";
        let mut family = encoder.encode_descriptor("traces_kept", help, None, MetricType::Counter)?;
        for (rule, count) in RULES.iter().zip(kept) {
            ConstCounter::<u64>::new(count).encode(family.encode_family(&[("rule", rule.as_str())])?)?;
        }
        counter(&mut encoder, "trace_spans_lost", "Spans that kept traces had no room for", lost)?;
        let (traces, bytes) = self.0.remembered();
        gauge(&mut encoder, "traces_remembered", "Traces that are in memory now", traces)?;
        gauge(&mut encoder, "trace_memory_bytes", "Bytes that these traces take", bytes)?;
        let Some(queue) = self.0.queue() else { return Ok(()) };
        let (exported, dropped) = queue.counts();
        counter(&mut encoder, "otlp_spans_exported", "Spans that the collector has taken", exported)?;
        let help = "Spans that did not reach the collector, since it did not take them or their queue was full";
        counter(&mut encoder, "otlp_spans_dropped", help, dropped)?;
        gauge(&mut encoder, "otlp_spans_waiting", "Spans that wait to be sent to the collector", queue.waiting())
    }
}
