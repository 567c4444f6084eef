//! The metrics of the cluster.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The cluster at the time of a scrape, as this node knows it.
#[derive(Debug, Clone)]
pub struct ClusterSample {
    /// How many nodes have each standing.
    pub nodes: [(&'static str, usize); 3],
    /// How many nodes have no lease and are believed to live all the same.
    pub doubted: usize,
    /// How long ago this node's lease was last renewed; `None`: it has none.
    pub lease_age: Option<Duration>,
    /// For how long the table may be the past; `None`: it is told each change.
    pub stale_for: Option<Duration>,
    /// How many calls and connections were refused whose certificate is of no node.
    pub refused: u64,
}

/// The cluster that exists at the time of a scrape.
pub trait ClusterSource: Send + Sync + 'static {
    /// The cluster.
    fn cluster(&self) -> ClusterSample;
}

/// Writes it at each scrape.
pub(super) struct ClusterScrape(pub(super) Arc<dyn ClusterSource>);

impl fmt::Debug for ClusterScrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterScrape")
    }
}

impl Collector for ClusterScrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let ClusterSample { nodes, doubted, lease_age, stale_for, refused } = self.0.cluster();
        let help = "Nodes that are believed to live, by standing";
        let mut family = encoder.encode_descriptor("cluster_nodes", help, None, MetricType::Gauge)?;
        for (standing, count) in nodes {
            let value = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
            value.encode(family.encode_family(&[("standing", standing)])?)?;
        }
        let help = "Nodes that have no lease and are believed to live all the same";
        let value = ConstGauge::new(i64::try_from(doubted).unwrap_or(i64::MAX));
        value.encode(encoder.encode_descriptor("cluster_doubted_nodes", help, None, MetricType::Gauge)?)?;
        let help = "Calls and connections that were refused, since the caller's certificate is of no node";
        let value = ConstCounter::new(refused);
        value.encode(encoder.encode_descriptor("cluster_refused_calls", help, None, MetricType::Counter)?)?;
        let help = "1 while this node has its lease, otherwise 0";
        let value = ConstGauge::new(i64::from(lease_age.is_some()));
        value.encode(encoder.encode_descriptor("cluster_lease_held", help, None, MetricType::Gauge)?)?;
        let help = "How long ago the lease of this node was last renewed, in seconds";
        let value = ConstGauge::new(lease_age.unwrap_or_default().as_secs_f64());
        value.encode(encoder.encode_descriptor("cluster_lease_age_seconds", help, None, MetricType::Gauge)?)?;
        let help = "For how long the table of nodes may be the past, in seconds: 0 while it is told each change";
        let value = ConstGauge::new(stale_for.unwrap_or_default().as_secs_f64());
        value.encode(encoder.encode_descriptor("cluster_table_stale_seconds", help, None, MetricType::Gauge)?)
    }
}
