//! Metrics as OTLP (`metrics/v1/metrics.proto` and `collector/metrics/v1/metrics_service.proto`).
//!
//! Counters and histograms are cumulative since the start of the process, as the scraped ones are. Names are those of
//! the exposition without `_total`, as OpenTelemetry's page on Prometheus compatibility has it
//! (<https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>).

use super::metric_text::{FamilyKind, MetricFamily, MetricPoint, families, labels};
use super::protobuf::ProtobufWriter;
use super::resource::{HostResource, Resource, nanos, text, write_attribute, write_scope};
use crate::telemetry::guest_metrics::{GuestSeries, GuestValue, guest_metrics, is_guests};
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
            // What guests measure goes below each service's own resource, with its own names.
            let is_own = |family: &&MetricFamily<'_>| !is_guests(family.name);
            for family in families(exposition).iter().filter(|family| !family.points.is_empty()).filter(is_own) {
                scope_metrics.message(2, |metric| write_family(metric, family, &times));
            }
        });
    });
    for (service, own) in guest_metrics().read() {
        for revision in own.revisions.iter().filter(|revision| !revision.series.is_empty()) {
            request.message(1, |resource_metrics| {
                Resource::Service { name: &service, revision: &revision.revision }.write(resource_metrics, host);
                resource_metrics.message(2, |scope_metrics| {
                    write_scope(scope_metrics);
                    for ((name, attributes), series) in &revision.series {
                        scope_metrics.message(2, |metric| write_series(metric, (name, attributes), series, &times));
                    }
                });
            });
        }
    }
    request.into_bytes()
}

/// Writes a series of a guest's. Several series of one instrument are several metrics of one name, which a collector
/// joins.
fn write_series(
    metric: &mut ProtobufWriter,
    (name, attributes): (&str, &[(String, String)]),
    series: &GuestSeries,
    times: &CountedBetween,
) {
    metric.text(1, name);
    metric.text(2, &series.help);
    metric.text(3, &series.unit);
    let point = |point: &mut ProtobufWriter, attributes_field: u32, start: bool| {
        if start {
            point.fixed64(2, times.start);
        }
        point.fixed64(3, times.now);
        for (name, value) in attributes {
            write_attribute(point, attributes_field, name, &text(value));
        }
    };
    let number = |sum: &mut ProtobufWriter, value: f64, start: bool| {
        sum.message(1, |number| {
            point(number, 7, start);
            number.fixed64(4, value.to_bits());
        });
    };
    match &series.total {
        GuestValue::Gauge(value) => metric.message(5, |gauge| number(gauge, *value, false)),
        GuestValue::Counter(value) | GuestValue::UpDown(value) => metric.message(7, |sum| {
            number(sum, *value, true);
            sum.varint(2, CUMULATIVE);
            sum.varint(3, u64::from(matches!(series.total, GuestValue::Counter(_))));
        }),
        GuestValue::Histogram(own) => metric.message(9, |histogram| {
            histogram.message(1, |one| {
                point(one, 9, true);
                one.fixed64(4, own.count());
                one.fixed64(5, own.sum.to_bits());
                own.counts.iter().for_each(|count| one.fixed64(6, *count));
                own.bounds.iter().for_each(|bound| one.fixed64(7, bound.to_bits()));
            });
            histogram.varint(2, CUMULATIVE);
        }),
    }
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
