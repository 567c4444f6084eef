//! `wasi:otel/metrics`: what a guest measures. The host adds it up: an instance counts from 0.

use super::Otel;
use super::attributes::{LONGEST_NAME, labels, safe};
use super::bindings::wasi::otel::metrics as contract;
use super::bindings::wasi::otel::types::KeyValue;
use crate::runtime::context::context::Context;
use crate::telemetry::{GuestDistribution, GuestSample, GuestSignal, GuestValue, SampleStart, guest_metrics};
use contract::{MetricData, MetricNumber, Temporality};
use wasmtime::AsContextMut;
use wasmtime::component::Access;

/// The most points of one export.
const MOST: usize = 1_000;
/// The most labels of a series, and the most bytes of one's value.
const MOST_LABELS: usize = 8;
const LONGEST_LABEL: usize = 128;
/// The most bytes of a unit and of a description.
const LONGEST_UNIT: usize = 32;
const LONGEST_HELP: usize = 256;
/// The most buckets of an exponential histogram that are read; SDKs make 160.
const MOST_EXPONENTIAL: usize = 1_024;

impl contract::Host for Context {}

impl contract::HostWithStore<Context> for Otel {
    fn export(
        mut access: Access<'_, Context, Self>,
        metrics: contract::ResourceMetrics,
    ) -> wasmtime::Result<Result<(), String>> {
        let mut store = access.as_context_mut();
        let context = store.data_mut();
        if context.identity.tape.is_played() {
            return Ok(Ok(()));
        }
        let grants = std::sync::Arc::clone(&context.identity.grants);
        let (service, revision) = (grants.service.as_str(), context.identity.revision.short().to_string());
        let (mut room, mut left_out) = (MOST, 0);
        for metric in metrics.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
            let (taken, beyond) = samples(metric, room);
            room -= taken.len();
            left_out += beyond;
            for sample in taken {
                match context.counters().news(&sample) {
                    Some(news) => guest_metrics().add(service, &revision, &sample, &news),
                    None => left_out += 1,
                }
            }
        }
        if left_out == 0 {
            return Ok(Ok(()));
        }
        guest_metrics().left_out(service, GuestSignal::Points, left_out);
        Ok(Err(format!("{left_out} points were left out: they are too many, or no sums or histograms")))
    }
}

/// The points of one instrument, and how many had no room.
fn samples(metric: contract::Metric, room: usize) -> (Vec<GuestSample>, u64) {
    let contract::Metric { name, description, unit, data } = metric;
    let name = safe(&name, LONGEST_NAME);
    let (unit, help) = (safe(&unit, LONGEST_UNIT), safe(&description, LONGEST_HELP));
    let (since, mut points) = points(data);
    let beyond = points.len().saturating_sub(room);
    points.truncate(room);
    let sample = |(attributes, value)| GuestSample {
        name: name.clone(),
        unit: unit.clone(),
        help: help.clone(),
        labels: labels(attributes, MOST_LABELS, LONGEST_LABEL),
        value,
        since,
    };
    (points.into_iter().map(sample).collect(), beyond as u64)
}

/// The values of one instrument, with their attributes.
type Points = Vec<(Vec<KeyValue>, GuestValue)>;

fn points(data: MetricData) -> (SampleStart, Points) {
    use MetricData as Data;
    match data {
        Data::F64Gauge(gauge) | Data::U64Gauge(gauge) | Data::S64Gauge(gauge) => {
            let points = gauge.data_points.into_iter();
            let points = points.map(|point| (point.attributes, GuestValue::Gauge(number(point.value))));
            (SampleStart::First, points.collect())
        }
        Data::F64Sum(sum) | Data::U64Sum(sum) | Data::S64Sum(sum) => {
            let kind = if sum.is_monotonic { GuestValue::Counter } else { GuestValue::UpDown };
            let points = sum.data_points.into_iter().map(|point| (point.attributes, kind(number(point.value))));
            // With low memory a counter tells what has come, and a sum that may fall its whole.
            (since(sum.temporality, sum.is_monotonic), points.collect())
        }
        Data::F64Histogram(own) | Data::U64Histogram(own) | Data::S64Histogram(own) => {
            let points = own.data_points.into_iter().map(|point| {
                let (bounds, mut counts, sum) = (point.bounds, point.bucket_counts, number(point.sum));
                if bounds.is_empty() && counts.is_empty() {
                    counts.push(point.count);
                }
                (point.attributes, GuestValue::Histogram(GuestDistribution { bounds, counts, sum }))
            });
            (since(own.temporality, true), points.collect())
        }
        Data::F64ExponentialHistogram(own)
        | Data::U64ExponentialHistogram(own)
        | Data::S64ExponentialHistogram(own) => {
            let points = own.data_points.into_iter().map(exponential);
            (since(own.temporality, true), points.collect())
        }
    }
}

fn since(temporality: Temporality, low_is_delta: bool) -> SampleStart {
    match temporality {
        Temporality::Cumulative => SampleStart::First,
        Temporality::LowMemory if !low_is_delta => SampleStart::First,
        Temporality::Delta | Temporality::LowMemory => SampleStart::Last,
    }
}

/// An exponential histogram with the host's bounds: each bucket counts where its upper bound is.
fn exponential(point: contract::ExponentialHistogramDataPoint) -> (Vec<KeyValue>, GuestValue) {
    let mut own = GuestDistribution::exponential(number(point.sum));
    own.add_below(point.zero_threshold, point.zero_count);
    let step = (-f64::from(point.scale)).exp2();
    let buckets = |bucket: contract::ExponentialBucket| (f64::from(bucket.offset), bucket.counts);
    let (offset, counts) = buckets(point.positive_bucket);
    let mut bound = offset;
    for count in counts.into_iter().take(MOST_EXPONENTIAL) {
        bound += 1.0;
        own.add_below((bound * step).exp2(), count);
    }
    let (_, counts) = buckets(point.negative_bucket);
    for count in counts.into_iter().take(MOST_EXPONENTIAL) {
        own.add_below(0.0, count);
    }
    (point.attributes, GuestValue::Histogram(own))
}

fn number(number: MetricNumber) -> f64 {
    match number {
        MetricNumber::F64(number) => number,
        #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 the last digits do not matter")]
        MetricNumber::S64(number) => number as f64,
        #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 the last digits do not matter")]
        MetricNumber::U64(number) => number as f64,
    }
}
