//! The metrics of sources of endpoints.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A source of endpoints at the time of a scrape.
#[derive(Debug, Clone)]
pub struct DiscoverySample {
    /// The service.
    pub service: String,
    /// Its address in the manifest.
    pub source: String,
    /// How many endpoints its last good answer named.
    pub endpoints: usize,
    /// How long ago that was; `None`: it has never answered.
    pub age: Option<Duration>,
    /// How many times it has not answered, or named no endpoint.
    pub failures: u64,
}

/// The sources that exist at the time of a scrape.
pub trait DiscoverySource: Send + Sync + 'static {
    /// Every source.
    fn sources(&self) -> Vec<DiscoverySample>;
}

/// Writes them at each scrape; nothing where there are none.
pub(super) struct DiscoveryScrape(pub(super) Arc<dyn DiscoverySource>);

impl fmt::Debug for DiscoveryScrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiscoveryScrape")
    }
}

impl Collector for DiscoveryScrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let samples = self.0.sources();
        if samples.is_empty() {
            return Ok(());
        }
        let labels = |one: &DiscoverySample| [("service", one.service.clone()), ("source", one.source.clone())];
        let help = "Endpoints that a source has named last";
        let mut family = encoder.encode_descriptor("discovery_endpoints", help, None, MetricType::Gauge)?;
        for one in &samples {
            let count = ConstGauge::new(i64::try_from(one.endpoints).unwrap_or(i64::MAX));
            count.encode(family.encode_family(&labels(one))?)?;
        }
        let help = "Seconds since the last good answer of a source; absent before the first";
        let mut family = encoder.encode_descriptor("discovery_age_seconds", help, None, MetricType::Gauge)?;
        for one in &samples {
            let Some(age) = one.age else { continue };
            ConstGauge::new(age.as_secs_f64()).encode(family.encode_family(&labels(one))?)?;
        }
        let help = "Times that a source has not answered, or named no endpoint";
        let mut family = encoder.encode_descriptor("discovery_failures", help, None, MetricType::Counter)?;
        for one in &samples {
            family.encode_family(&labels(one))?.encode_counter::<NoLabelSet, u64, u64>(&one.failures, None)?;
        }
        Ok(())
    }
}
