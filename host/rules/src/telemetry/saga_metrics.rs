//! The metrics of sagas.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;

/// The sagas of one name at the time of a scrape.
#[derive(Debug, Clone)]
pub struct SagaSample {
    /// The saga of the manifest.
    pub saga: String,
    /// Those that have not ended: running, compensating, parked.
    pub live: [u64; 3],
    /// Those that have ended: completed, compensated.
    pub ended: [u64; 2],
    /// Tries of steps that failed.
    pub failures: u64,
}

/// The sagas that exist at the time of a scrape.
pub trait SagaSource: Send + Sync + 'static {
    /// One sample for each saga of the manifest.
    fn sagas(&self) -> Vec<SagaSample>;
}

/// Writes them at each scrape.
pub(super) struct SagaScrape(pub(super) Arc<dyn SagaSource>);

impl fmt::Debug for SagaScrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SagaScrape")
    }
}

impl Collector for SagaScrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let samples = self.0.sagas();
        let help = "Sagas that have not ended, by what they are at";
        let mut family = encoder.encode_descriptor("sagas", help, None, MetricType::Gauge)?;
        for sample in &samples {
            for (state, count) in ["running", "compensating", "parked"].into_iter().zip(sample.live) {
                let labels = [("saga", sample.saga.as_str()), ("state", state)];
                let gauge = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
                gauge.encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Sagas that have ended, by outcome";
        let mut family = encoder.encode_descriptor("sagas_ended", help, None, MetricType::Counter)?;
        for sample in &samples {
            for (outcome, count) in ["completed", "compensated"].into_iter().zip(sample.ended) {
                let labels = [("saga", sample.saga.as_str()), ("outcome", outcome)];
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
            }
        }
        let help = "Tries of steps that failed";
        let mut family = encoder.encode_descriptor("saga_failures", help, None, MetricType::Counter)?;
        for sample in &samples {
            let labels = [("saga", sample.saga.as_str())];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&sample.failures, None)?;
        }
        Ok(())
    }
}
