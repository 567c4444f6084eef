//! The metrics of the name server.

use super::kind_counters::KindCounters;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::fmt;
use std::sync::Arc;

/// What is answered, as `naming` calls it, and what is not.
const ANSWERS: [&str; 8] =
    ["answered", "no-records", "no-such-name", "cut-off", "refused", "not-implemented", "malformed", "ignored"];

/// The messages that the name server has got, by the way on which they came and by what was answered.
pub struct NameMetrics {
    udp: KindCounters<{ ANSWERS.len() }>,
    tcp: KindCounters<{ ANSWERS.len() }>,
}

impl Default for NameMetrics {
    fn default() -> Self {
        Self { udp: KindCounters::new(&ANSWERS), tcp: KindCounters::new(&ANSWERS) }
    }
}

impl NameMetrics {
    /// Counts a message. `answer` is the kind of its reply, or `ignored`.
    pub fn count(&self, is_udp: bool, answer: &str) {
        if is_udp { self.udp.count(answer) } else { self.tcp.count(answer) }
    }
}

impl fmt::Debug for NameMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.udp.counts()).entries(self.tcp.counts()).finish()
    }
}

/// Writes them at each scrape.
#[derive(Debug)]
pub(super) struct NameScrape(pub(super) Arc<NameMetrics>);

impl Collector for NameScrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let help = "Messages that the name server has got, by transport and by what was answered";
        let mut family = encoder.encode_descriptor("dns_questions", help, None, MetricType::Counter)?;
        for (transport, counters) in [("udp", &self.0.udp), ("tcp", &self.0.tcp)] {
            for (answer, count) in counters.counts().into_iter().filter(|(_, count)| *count > 0) {
                let labels = [("transport", transport), ("answer", answer)];
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
            }
        }
        Ok(())
    }
}
