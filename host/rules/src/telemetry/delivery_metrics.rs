//! The metrics of topics and subscriptions.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A subscription at the time of a scrape.
#[derive(Debug, Clone)]
pub struct DeliverySample {
    /// The topic.
    pub topic: String,
    /// The service that subscribes.
    pub service: String,
    /// Events that it has not settled.
    pub lag: u64,
    /// How many seconds ago the oldest of them was published.
    pub lag_seconds: u64,
    /// Whether an event has failed and is tried again.
    pub stuck: bool,
    /// Dead letters.
    pub dead: usize,
    /// Events that were handled.
    pub handled: u64,
    /// Tries that failed.
    pub failures: u64,
    /// The processor time of its handlers.
    pub cpu: Duration,
}

/// The outbox of a topic, at the time of a scrape.
#[derive(Debug, Clone)]
pub struct OutboxSample {
    /// The topic.
    pub topic: String,
    /// Events that wait for the broker.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many seconds ago the oldest of them was published; 0 if none waits.
    pub seconds: u64,
    /// Whether the broker does nothing for the topic now.
    pub failing: bool,
}

/// The topics and subscriptions that exist at the time of a scrape.
pub trait DeliverySource: Send + Sync + 'static {
    /// Every subscription.
    fn subscriptions(&self) -> Vec<DeliverySample>;
    /// Every topic: its name, the number of its latest event, the bytes of its events.
    fn topics(&self) -> Vec<(String, u64, u64)>;
    /// Every outbox; none without a broker.
    fn outboxes(&self) -> Vec<OutboxSample>;
}

/// Writes them at each scrape.
pub(super) struct DeliveryScrape(pub(super) Arc<dyn DeliverySource>);

impl fmt::Debug for DeliveryScrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeliveryScrape")
    }
}

impl Collector for DeliveryScrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let topics = self.0.topics();
        let help = "Events that were ever published on the topic";
        let mut family = encoder.encode_descriptor("topic_events", help, None, MetricType::Counter)?;
        for (topic, last, _) in &topics {
            let labels = [("topic", topic.as_str())];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(last, None)?;
        }
        let help = "Bytes of events that the topic keeps";
        let mut family = encoder.encode_descriptor("topic_bytes", help, None, MetricType::Gauge)?;
        for (topic, _, bytes) in &topics {
            gauge(*bytes).encode(family.encode_family(&[("topic", topic.as_str())])?)?;
        }
        write_outboxes(&mut encoder, &self.0.outboxes())?;
        let samples = self.0.subscriptions();
        let help = "Events of the topic that the service has not settled";
        write_gauge(&mut encoder, "delivery_lag", help, &samples, |sample| sample.lag)?;
        let help = "Seconds since the oldest event was published that was read and is not settled";
        write_gauge(&mut encoder, "delivery_lag_seconds", help, &samples, |sample| sample.lag_seconds)?;
        let help = "1 while an event that has failed is tried again and its key waits, otherwise 0";
        write_gauge(&mut encoder, "delivery_stuck", help, &samples, |sample| u64::from(sample.stuck))?;
        let help = "Events that were given up, and wait for an operator";
        write_gauge(&mut encoder, "delivery_dead_letters", help, &samples, |sample| sample.dead as u64)?;
        let help = "Tries of events that have ended, by outcome";
        let mut family = encoder.encode_descriptor("delivery_tries", help, None, MetricType::Counter)?;
        for sample in &samples {
            for (outcome, count) in [("handled", sample.handled), ("failed", sample.failures)] {
                let labels =
                    [("topic", sample.topic.as_str()), ("service", sample.service.as_str()), ("outcome", outcome)];
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
            }
        }
        let help = "Processor time of guests that worked for the events, in seconds";
        let mut family = encoder.encode_descriptor("delivery_cpu_seconds", help, None, MetricType::Counter)?;
        for sample in &samples {
            let labels = [("topic", sample.topic.as_str()), ("service", sample.service.as_str())];
            let seconds = sample.cpu.as_secs_f64();
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, f64, u64>(&seconds, None)?;
        }
        Ok(())
    }
}

fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

fn write_outboxes(encoder: &mut DescriptorEncoder<'_>, outboxes: &[OutboxSample]) -> Result<(), fmt::Error> {
    type Value = fn(&OutboxSample) -> u64;
    let families: [(&str, &str, Value); 4] = [
        ("outbox_events", "Events of the topic that wait for the broker", |one| one.events),
        ("outbox_bytes", "Bytes of events of the topic that wait for the broker", |one| one.bytes),
        ("outbox_oldest_seconds", "Seconds since the oldest of them was published", |one| one.seconds),
        ("outbox_failing", "1 while the broker does nothing for the topic, otherwise 0", |one| u64::from(one.failing)),
    ];
    // Without a broker there are no such metrics.
    for (name, help, value) in families.into_iter().filter(|_| !outboxes.is_empty()) {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for one in outboxes {
            gauge(value(one)).encode(family.encode_family(&[("topic", one.topic.as_str())])?)?;
        }
    }
    Ok(())
}

fn write_gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: &[DeliverySample],
    value: impl Fn(&DeliverySample) -> u64,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for sample in samples {
        let labels = [("topic", sample.topic.as_str()), ("service", sample.service.as_str())];
        gauge(value(sample)).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
