//! A metric family, and how its series are written.

use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;

/// One metric family: its name, its help text, and its value for a sample `S` with its handles `H`.
pub(super) struct MetricFamily<S, H> {
    name: &'static str,
    help: &'static str,
    value: fn(&S, &H) -> Box<dyn EncodeMetric>,
    /// Which samples have a series.
    when: fn(&S, &H) -> bool,
}

/// A [`MetricFamily`] in one line of a table, with a series for each sample.
pub(super) const fn family<S, H>(
    name: &'static str,
    help: &'static str,
    value: fn(&S, &H) -> Box<dyn EncodeMetric>,
) -> MetricFamily<S, H> {
    MetricFamily { name, help, value, when: |_, _| true }
}

/// The same, with a series only for the samples that `when` admits.
pub(super) const fn family_when<S, H>(
    when: fn(&S, &H) -> bool,
    name: &'static str,
    help: &'static str,
    value: fn(&S, &H) -> Box<dyn EncodeMetric>,
) -> MetricFamily<S, H> {
    MetricFamily { name, help, value, when }
}

/// Writes each family with one series for each sample that it admits. A family without a series is not written, since
/// the format demands one.
pub(super) fn encode<'a, S, H, L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder,
    samples: &'a [(S, Arc<H>)],
    families: &[MetricFamily<S, H>],
    labels: impl Fn(&'a S) -> L,
) -> Result<(), fmt::Error> {
    for MetricFamily { name, help, value, when } in families {
        let mut admitted = samples.iter().filter(|(sample, handles)| when(sample, handles)).peekable();
        let Some((first, handles)) = admitted.peek() else { continue };
        let mut family = encoder.encode_descriptor(name, help, None, value(first, handles).metric_type())?;
        for (sample, handles) in admitted {
            value(sample, handles).encode(family.encode_family(&labels(sample))?)?;
        }
    }
    Ok(())
}

pub(super) fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

pub(super) fn gauge(value: usize) -> Box<dyn EncodeMetric> {
    Box::new(ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)))
}
