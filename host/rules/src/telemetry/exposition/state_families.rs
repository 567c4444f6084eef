//! The families of services that keep data.

use super::metric_family::{MetricFamily, encode, family_when};
use crate::telemetry::metrics_source::ServiceSample;
use crate::telemetry::service_metrics::ServiceMetrics;
use crate::telemetry::state_counters::StateCounters;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use std::fmt;
use std::sync::Arc;

/// What services do with their own data. One without data has none of these. Operations and bytes exist from the start,
/// with 0; a kind of failure comes with its first event.
pub(super) fn encode_state(
    encoder: &mut DescriptorEncoder<'_>,
    services: &[(ServiceSample, Arc<ServiceMetrics>)],
) -> Result<(), fmt::Error> {
    let kept = || services.iter().filter(|(sample, _)| sample.pool.keeps_state).map(|(sample, _)| sample);
    if kept().next().is_none() {
        return Ok(());
    }
    let help = "Operations on the service's data that its guests asked for: get, scan or commit";
    let mut family = encoder.encode_descriptor("state_operations", help, None, MetricType::Counter)?;
    for sample in kept() {
        for (operation, count) in state(sample).operations() {
            let labels = [("service", sample.name.as_str()), ("operation", operation)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
    }
    encode(encoder, services, &FAMILIES, |sample| [("service", sample.name.as_str())])?;
    let failures = kept().flat_map(|sample| {
        let kinds = state(sample).failures().into_iter();
        kinds.map(move |(kind, count)| (sample.name.as_str(), kind, count))
    });
    let mut failures = failures.filter(|(_, _, count)| *count > 0).peekable();
    if failures.peek().is_none() {
        return Ok(());
    }
    let help = "Operations on the service's data without success, by kind: conflict, invalid, overloaded, unavailable";
    let mut family = encoder.encode_descriptor("state_operations_failed", help, None, MetricType::Counter)?;
    for (service, kind, count) in failures {
        ConstCounter::new(count).encode(family.encode_family(&[("service", service), ("kind", kind)])?)?;
    }
    Ok(())
}

const FAMILIES: [MetricFamily<ServiceSample, ServiceMetrics>; 3] = [
    family_when(
        |s, _| s.pool.keeps_state,
        "state_read_bytes",
        "Bytes of keys and values that guests were handed: of a read by key the values alone",
        |s, _| Box::new(ConstCounter::new(state(s).bytes().0)),
    ),
    family_when(
        |s, _| s.pool.keeps_state,
        "state_written_bytes",
        "Bytes of keys and values in the writes of commits that are on disk; events are not among them",
        |s, _| Box::new(ConstCounter::new(state(s).bytes().1)),
    ),
    family_when(
        |s, _| s.pool.keeps_state,
        "state_commit_seconds",
        "Seconds that the service's commits took, added up, each with its wait for the sync to disk",
        |s, _| Box::new(ConstCounter::new(state(s).commit_time().as_secs_f64())),
    ),
];

fn state(sample: &ServiceSample) -> &StateCounters {
    sample.pool.metrics.state()
}
