//! What the edges count beside requests: connections that the PROXY protocol refuses, those of HTTP/2 that end by the
//! peer's fault, lines that the audit file lacks, and fetches of issuers' keys.

use super::kind_counters::KindCounters;
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

/// Why a connection of HTTP/2 is ended: the name of the error in GOAWAY (RFC 9113, section 7), or `slow-headers`, where
/// the peer is told nothing.
const HTTP2_REASONS: [&str; 7] = [
    "enhance-your-calm",
    "protocol-error",
    "frame-size-error",
    "flow-control-error",
    "compression-error",
    "slow-headers",
    "other",
];

/// The connections of HTTP/2 that were ended, with all their streams, since the peer has broken a bound or the
/// protocol.
pub struct Http2Refusals(KindCounters<{ HTTP2_REASONS.len() }>);

impl Default for Http2Refusals {
    fn default() -> Self {
        Self(KindCounters::new(&HTTP2_REASONS))
    }
}

impl Http2Refusals {
    /// Counts a connection. `reason`: `enhance-your-calm`, `protocol-error`, `frame-size-error`, `flow-control-error`,
    /// `compression-error`, `slow-headers` or `other`.
    pub fn count(&self, reason: &str) {
        self.0.count(reason);
    }

    /// How often it was each reason.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        self.0.counts()
    }
}

impl fmt::Debug for Http2Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.counts()).finish()
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
    /// Where clients may speak HTTP/2.
    pub http2: Option<Arc<Http2Refusals>>,
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
        if let Some(http2) = &self.http2 {
            let help =
                "Connections of HTTP/2 that were ended since the peer has broken a bound or the protocol, by reason";
            let mut family = encoder.encode_descriptor("http2_refusals", help, None, MetricType::Counter)?;
            for (reason, count) in http2.counts() {
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
        let http2 = Http2Refusals::default();
        proxy.untrusted();
        http2.count("enhance-your-calm");
        audit.failed(3);
        audit.overflowed();
        for good in [true, false, true] {
            keys.fetched(good);
        }
        assert!(audit.is_failing() && !keys.is_away());
        let (proxy, audit, keys) = (Some(Arc::new(proxy)), Some(Arc::new(audit)), vec![Arc::new(keys)]);
        let text = encoded(EdgeMetrics { proxy, http2: Some(Arc::new(http2)), audit, keys });
        for line in [
            r#"atoll_proxy_refusals_total{reason="untrusted"} 1"#,
            r#"atoll_proxy_refusals_total{reason="header"} 0"#,
            r#"atoll_http2_refusals_total{reason="enhance-your-calm"} 1"#,
            r#"atoll_http2_refusals_total{reason="protocol-error"} 0"#,
            "atoll_audit_failing 1",
            "atoll_audit_lost_events_total 4",
            r#"atoll_auth_key_fetches_total{policy="staff",outcome="good"} 2"#,
            r#"atoll_auth_key_fetches_total{policy="staff",outcome="failed"} 1"#,
        ] {
            assert!(text.lines().any(|own| own == line), "{line} is missing in\n{text}");
        }
    }
}
