//! What the edges count beside requests: connections that the PROXY protocol refuses, lines that the audit file lacks,
//! and fetches of issuers' keys.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// The connections that were closed since the PROXY protocol has not named their client.
#[derive(Debug, Default)]
pub struct ProxyRefusals {
    /// Their peer is none of the trusted proxies.
    untrusted: AtomicU64,
    /// They have no right header.
    header: AtomicU64,
}

impl ProxyRefusals {
    /// Counts a connection of a peer that is no trusted proxy.
    pub fn untrusted(&self) {
        self.untrusted.fetch_add(1, Relaxed);
    }

    /// Counts a connection without a right header.
    pub fn without_header(&self) {
        self.header.fetch_add(1, Relaxed);
    }
}

/// How the audit file does.
#[derive(Debug, Default)]
pub struct AuditMetrics {
    /// Whether the last lines could not be written.
    failing: AtomicBool,
    lost: AtomicU64,
}

impl AuditMetrics {
    /// Notes that lines were written.
    pub fn wrote(&self) {
        self.failing.store(false, Relaxed);
    }

    /// Notes that so many events have no line, and that the file takes none.
    pub fn failed(&self, events: u64) {
        self.failing.store(true, Relaxed);
        self.lost.fetch_add(events, Relaxed);
    }

    /// Notes an event that has no line since too many wait for the file.
    pub fn overflowed(&self) {
        self.lost.fetch_add(1, Relaxed);
    }

    /// Whether the last lines could not be written.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Relaxed)
    }
}

/// How the keys of one issuer do.
#[derive(Debug, Default)]
pub struct KeyFetchMetrics {
    /// The policy, by its name in the manifest.
    policy: String,
    fetched: AtomicU64,
    failed: AtomicU64,
    away: AtomicBool,
}

impl KeyFetchMetrics {
    /// The counters of a policy.
    pub fn new(policy: &str) -> Self {
        Self { policy: policy.to_owned(), ..Self::default() }
    }

    /// The policy.
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// Notes a fetch: there is a good set, or not.
    pub fn fetched(&self, good: bool) {
        let counter = if good { &self.fetched } else { &self.failed };
        counter.fetch_add(1, Relaxed);
        self.away.store(!good, Relaxed);
    }

    /// Whether the last fetch has brought no good set.
    pub fn is_away(&self) -> bool {
        self.away.load(Relaxed)
    }
}

/// All of these that the host has.
#[derive(Debug, Default, Clone)]
pub struct EdgeMetrics {
    /// Where connections begin with a header of the PROXY protocol.
    pub proxy: Option<Arc<ProxyRefusals>>,
    /// Where the manifest names an audit file.
    pub audit: Option<Arc<AuditMetrics>>,
    /// One for each policy whose keys are fetched.
    pub keys: Vec<Arc<KeyFetchMetrics>>,
}

impl Collector for EdgeMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        if let Some(proxy) = &self.proxy {
            let help = "Connections that were closed, since their peer is no trusted proxy or sent no right header";
            let mut family = encoder.encode_descriptor("proxy_refusals", help, None, MetricType::Counter)?;
            for (reason, count) in [("untrusted", &proxy.untrusted), ("header", &proxy.header)] {
                let count = count.load(Relaxed);
                family.encode_family(&[("reason", reason)])?.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
            }
        }
        if let Some(audit) = &self.audit {
            let failing = ConstGauge::new(i64::from(audit.is_failing()));
            let help = "1 while the audit file takes no lines, otherwise 0";
            failing.encode(encoder.encode_descriptor("audit_failing", help, None, failing.metric_type())?)?;
            let help = "Events that have no line in the audit file, beside the refusals that are left out on purpose";
            let mut lost = encoder.encode_descriptor("audit_lost_events", help, None, MetricType::Counter)?;
            lost.encode_counter::<NoLabelSet, u64, u64>(&audit.lost.load(Relaxed), None)?;
        }
        if !self.keys.is_empty() {
            let help = "Fetches of issuers' keys, by policy: good, or failed so that the last good keys stay";
            let mut family = encoder.encode_descriptor("auth_key_fetches", help, None, MetricType::Counter)?;
            for keys in &self.keys {
                for (outcome, count) in [("good", &keys.fetched), ("failed", &keys.failed)] {
                    let labels = [("policy", keys.policy.as_str()), ("outcome", outcome)];
                    let count = count.load(Relaxed);
                    family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    fn encoded(metrics: EdgeMetrics) -> String {
        let mut registry = Registry::with_prefix("atoll");
        registry.register_collector(Box::new(metrics));
        let mut text = String::new();
        text::encode(&mut text, &registry).expect("it is written");
        text
    }

    #[test]
    fn what_the_host_does_not_have_is_no_series_and_what_it_has_is_counted() {
        assert_eq!(encoded(EdgeMetrics::default()), "# EOF\n");
        let (proxy, audit, keys) = (ProxyRefusals::default(), AuditMetrics::default(), KeyFetchMetrics::new("staff"));
        proxy.untrusted();
        audit.failed(3);
        audit.overflowed();
        for good in [true, false, true] {
            keys.fetched(good);
        }
        assert!(audit.is_failing() && !keys.is_away());
        let (proxy, audit, keys) = (Some(Arc::new(proxy)), Some(Arc::new(audit)), vec![Arc::new(keys)]);
        let text = encoded(EdgeMetrics { proxy, audit, keys });
        for line in [
            r#"atoll_proxy_refusals_total{reason="untrusted"} 1"#,
            r#"atoll_proxy_refusals_total{reason="header"} 0"#,
            "atoll_audit_failing 1",
            "atoll_audit_lost_events_total 4",
            r#"atoll_auth_key_fetches_total{policy="staff",outcome="good"} 2"#,
            r#"atoll_auth_key_fetches_total{policy="staff",outcome="failed"} 1"#,
        ] {
            assert!(text.lines().any(|own| own == line), "{line} is missing in\n{text}");
        }
    }
}
