//! The metrics of schedules.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;

/// A schedule at the time of a scrape.
#[derive(Debug, Clone)]
pub struct ScheduleSample {
    /// Its name.
    pub name: String,
    /// The next due time, in seconds since 1970; `None`: it is not known.
    pub next: Option<u64>,
    /// Whether a due time is under way, or waits for its next try.
    pub under_way: bool,
    /// Due times whose work was done.
    pub done: u64,
    /// Tries that failed.
    pub failures: u64,
    /// Due times that were given up.
    pub given_up: u64,
    /// Due times that were missed and do not fire.
    pub skipped: u64,
}

/// The schedules that exist at the time of a scrape.
pub trait ScheduleSource: Send + Sync + 'static {
    /// Every schedule.
    fn schedules(&self) -> Vec<ScheduleSample>;
}

/// Writes them at each scrape.
pub(super) struct ScheduleScrape(pub(super) Arc<dyn ScheduleSource>);

impl fmt::Debug for ScheduleScrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScheduleScrape")
    }
}

impl Collector for ScheduleScrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let samples = self.0.schedules();
        let help = "Due times of schedules that are settled, by outcome";
        let mut family = encoder.encode_descriptor("schedule_firings", help, None, MetricType::Counter)?;
        for one in &samples {
            for (outcome, count) in [("done", one.done), ("given-up", one.given_up), ("skipped", one.skipped)] {
                let labels = [("schedule", one.name.as_str()), ("outcome", outcome)];
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
            }
        }
        let help = "Tries of due times that failed";
        let mut family = encoder.encode_descriptor("schedule_failures", help, None, MetricType::Counter)?;
        for one in &samples {
            let labels = [("schedule", one.name.as_str())];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&one.failures, None)?;
        }
        let help = "1 while a due time is under way or waits for its next try, otherwise 0";
        let mut family = encoder.encode_descriptor("schedule_under_way", help, None, MetricType::Gauge)?;
        for one in &samples {
            let value = ConstGauge::new(i64::from(one.under_way));
            value.encode(family.encode_family(&[("schedule", one.name.as_str())])?)?;
        }
        let help = "The next due time, in seconds since 1970";
        let mut family = encoder.encode_descriptor("schedule_next_timestamp_seconds", help, None, MetricType::Gauge)?;
        for one in &samples {
            let Some(next) = one.next else { continue };
            let value = ConstGauge::new(i64::try_from(next).unwrap_or(i64::MAX));
            value.encode(family.encode_family(&[("schedule", one.name.as_str())])?)?;
        }
        Ok(())
    }
}
