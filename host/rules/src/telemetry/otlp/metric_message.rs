//! Metrics as OTLP (`metrics/v1/metrics.proto` and `collector/metrics/v1/metrics_service.proto`).
//!
//! Counters and histograms are cumulative since the start of the process, as the scraped ones are. Names are those of
//! the exposition without `_total`, as OpenTelemetry's page on Prometheus compatibility has it
//! (<https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>).

use super::metric_text::{FamilyKind, MetricFamily, MetricPoint, families, labels};
use super::protobuf::ProtobufWriter;
use super::resource::{HostResource, Resource, nanos, text, write_attribute, write_scope};
use std::time::{Duration, SystemTime};

/// Cumulative values (`AggregationTemporality`).
const CUMULATIVE: u64 = 2;

/// When the values were counted, in nanoseconds since 1970.
struct CountedBetween {
    start: u64,
    now: u64,
}

/// The request that carries `exposition`, the host's metrics in OpenMetrics' text format, to a collector. All of it is
/// counted since `start`, and was read at `now`.
pub fn metrics_request(host: &HostResource, exposition: &str, start: SystemTime, now: SystemTime) -> Vec<u8> {
    let times = CountedBetween { start: nanos(start, Duration::ZERO), now: nanos(now, Duration::ZERO) };
    let mut request = ProtobufWriter::default();
    request.message(1, |resource_metrics| {
        Resource::Host.write(resource_metrics, host);
        resource_metrics.message(2, |scope_metrics| {
            write_scope(scope_metrics);
            for family in families(exposition).iter().filter(|family| !family.points.is_empty()) {
                scope_metrics.message(2, |metric| write_family(metric, family, &times));
            }
        });
    });
    request.into_bytes()
}

fn write_family(metric: &mut ProtobufWriter, family: &MetricFamily<'_>, times: &CountedBetween) {
    metric.text(1, family.name);
    metric.text(2, family.help);
    metric.text(3, unit(family.name));
    match family.kind {
        FamilyKind::Gauge => metric.message(5, |gauge| {
            for (written, point) in &family.points {
                gauge.message(1, |number| write_number(number, written, point, None, times));
            }
        }),
        FamilyKind::Counter => metric.message(7, |sum| {
            for (written, point) in &family.points {
                sum.message(1, |number| write_number(number, written, point, Some(times.start), times));
            }
            sum.varint(2, CUMULATIVE);
            sum.varint(3, 1);
        }),
        FamilyKind::Histogram => metric.message(9, |histogram| {
            for (written, point) in &family.points {
                histogram.message(1, |one| write_histogram(one, written, point, times));
            }
            histogram.varint(2, CUMULATIVE);
        }),
    }
}

fn write_number(
    number: &mut ProtobufWriter,
    written: &str,
    point: &MetricPoint,
    start: Option<u64>,
    times: &CountedBetween,
) {
    if let Some(start) = start {
        number.fixed64(2, start);
    }
    number.fixed64(3, times.now);
    number.fixed64(4, point.value.to_bits());
    for (name, value) in labels(written) {
        write_attribute(number, 7, name, &text(&value));
    }
}

fn write_histogram(histogram: &mut ProtobufWriter, written: &str, point: &MetricPoint, times: &CountedBetween) {
    histogram.fixed64(2, times.start);
    histogram.fixed64(3, times.now);
    histogram.fixed64(4, point.count);
    histogram.fixed64(5, point.value.to_bits());
    // Here a bucket counts for itself; the exposition's counts include those below.
    let mut below = 0;
    for (_, count) in &point.buckets {
        histogram.fixed64(6, count.saturating_sub(below));
        below = *count;
    }
    for (bound, _) in point.buckets.iter().filter(|(bound, _)| bound.is_finite()) {
        histogram.fixed64(7, bound.to_bits());
    }
    for (name, value) in labels(written) {
        write_attribute(histogram, 9, name, &text(&value));
    }
}

/// The unit that the name ends with, in UCUM's words.
fn unit(name: &str) -> &'static str {
    match name.rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "",
    }
}
