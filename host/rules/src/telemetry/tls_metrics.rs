//! What one edge counts of its TLS: handshakes, failures by reason, changes of the certificates, and the time that is
//! left until a certificate expires.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

/// Why a handshake failed. The words are the host's own: no text of a client becomes a label.
pub const HANDSHAKE_FAILURES: [&str; 10] = [
    "no-certificate",
    "timeout",
    "closed",
    "not-tls",
    "nothing-shared",
    "no-client-certificate",
    "client-certificate",
    "refused-by-client",
    "made-room",
    "protocol",
];

/// The counters of one edge.
#[derive(Debug, Default)]
pub struct TlsMetrics {
    handshakes: AtomicU64,
    resumed: AtomicU64,
    /// In the order of [`HANDSHAKE_FAILURES`].
    failures: [AtomicU64; HANDSHAKE_FAILURES.len()],
    replaced: AtomicU64,
    kept: AtomicU64,
    /// When the first certificate expires, in seconds since 1970; 0: there is none.
    first_expiry: AtomicI64,
    /// Whether it orders certificates by itself; otherwise such orders are not shown.
    orders: AtomicBool,
    issued: AtomicU64,
    unissued: AtomicU64,
}

impl TlsMetrics {
    /// Counts a handshake that has succeeded; `resumed`: it continued an earlier session.
    pub fn shook_hands(&self, resumed: bool) {
        self.handshakes.fetch_add(1, Relaxed);
        if resumed {
            self.resumed.fetch_add(1, Relaxed);
        }
    }

    /// Counts a handshake that has failed for `reason`, one of [`HANDSHAKE_FAILURES`]; any other word counts as
    /// `protocol`.
    pub fn failed(&self, reason: &str) {
        let at = HANDSHAKE_FAILURES.iter().position(|known| *known == reason).unwrap_or(HANDSHAKE_FAILURES.len() - 1);
        self.failures[at].fetch_add(1, Relaxed);
    }

    /// Notes when the first of the certificates that are served expires, in seconds since 1970. `None`: there is none.
    pub fn serves_until(&self, first_expiry: Option<i64>) {
        self.first_expiry.store(first_expiry.unwrap_or(0), Relaxed);
    }

    /// This edge orders a certificate by itself.
    pub fn will_order(&self) {
        self.orders.store(true, Relaxed);
    }

    /// Counts an order of a certificate, which was `issued` or failed.
    pub fn ordered(&self, issued: bool) {
        let counter = if issued { &self.issued } else { &self.unissued };
        counter.fetch_add(1, Relaxed);
    }

    /// Counts files that have changed: `replaced`, or kept as they were since the new ones cannot be used.
    pub fn reloaded(&self, replaced: bool) {
        let counter = if replaced { &self.replaced } else { &self.kept };
        counter.fetch_add(1, Relaxed);
    }
}

/// The counters of all edges that serve TLS, for the exposition.
pub(super) struct TlsScrape(pub(super) Vec<(&'static str, Arc<TlsMetrics>)>);

impl fmt::Debug for TlsScrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsScrape")
    }
}

impl Collector for TlsScrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let help = "TLS handshakes that have succeeded, by whether they resumed an earlier session";
        let mut family = encoder.encode_descriptor("tls_handshakes", help, None, MetricType::Counter)?;
        for (edge, metrics) in &self.0 {
            let resumed = metrics.resumed.load(Relaxed);
            let full = metrics.handshakes.load(Relaxed).saturating_sub(resumed);
            for (kind, count) in [("full", full), ("resumed", resumed)] {
                let labels = [("edge", *edge), ("kind", kind)];
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
            }
        }
        let help = "TLS handshakes that have failed, by reason";
        let mut family = encoder.encode_descriptor("tls_handshake_failures", help, None, MetricType::Counter)?;
        for (edge, metrics) in &self.0 {
            for (reason, count) in HANDSHAKE_FAILURES.into_iter().zip(&metrics.failures) {
                let labels = [("edge", *edge), ("reason", reason)];
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&count.load(Relaxed), None)?;
            }
        }
        let help = "Changes of the certificates' files: replaced, or kept since the new ones cannot be used";
        let mut family = encoder.encode_descriptor("tls_reloads", help, None, MetricType::Counter)?;
        for (edge, metrics) in &self.0 {
            for (outcome, count) in [("replaced", &metrics.replaced), ("kept", &metrics.kept)] {
                let labels = [("edge", *edge), ("outcome", outcome)];
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&count.load(Relaxed), None)?;
            }
        }
        let help = "Orders of certificates by ACME: issued or failed";
        let mut family = encoder.encode_descriptor("tls_orders", help, None, MetricType::Counter)?;
        for (edge, metrics) in self.0.iter().filter(|(_, metrics)| metrics.orders.load(Relaxed)) {
            for (outcome, count) in [("issued", &metrics.issued), ("failed", &metrics.unissued)] {
                let labels = [("edge", *edge), ("outcome", outcome)];
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&count.load(Relaxed), None)?;
            }
        }
        let help = "Seconds until the first certificate that is served expires; negative once it has";
        let mut family = encoder.encode_descriptor("tls_certificate_seconds", help, None, MetricType::Gauge)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        for (edge, metrics) in &self.0 {
            let expiry = metrics.first_expiry.load(Relaxed);
            if expiry == 0 {
                continue;
            }
            let left = expiry.saturating_sub(i64::try_from(now).unwrap_or(i64::MAX));
            ConstGauge::new(left).encode(family.encode_family(&[("edge", *edge)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    #[test]
    fn every_count_is_a_series_of_its_edge() {
        let tls = Arc::new(TlsMetrics::default());
        for resumed in [false, true, false] {
            tls.shook_hands(resumed);
        }
        for reason in ["closed", "timeout", "closed", "unheard-of"] {
            tls.failed(reason);
        }
        for replaced in [true, false, true] {
            tls.reloaded(replaced);
        }
        tls.will_order();
        tls.ordered(false);
        tls.serves_until(Some(1));
        let mut registry = Registry::with_prefix("atoll");
        registry.register_collector(Box::new(TlsScrape(vec![("gateway", tls)])));
        let mut text = String::new();
        text::encode(&mut text, &registry).expect("it is written");
        for line in [
            r#"atoll_tls_handshakes_total{edge="gateway",kind="full"} 2"#,
            r#"atoll_tls_handshakes_total{edge="gateway",kind="resumed"} 1"#,
            r#"atoll_tls_handshake_failures_total{edge="gateway",reason="closed"} 2"#,
            r#"atoll_tls_handshake_failures_total{edge="gateway",reason="timeout"} 1"#,
            r#"atoll_tls_handshake_failures_total{edge="gateway",reason="protocol"} 1"#,
            r#"atoll_tls_handshake_failures_total{edge="gateway",reason="not-tls"} 0"#,
            r#"atoll_tls_reloads_total{edge="gateway",outcome="replaced"} 2"#,
            r#"atoll_tls_reloads_total{edge="gateway",outcome="kept"} 1"#,
            r#"atoll_tls_orders_total{edge="gateway",outcome="issued"} 0"#,
            r#"atoll_tls_orders_total{edge="gateway",outcome="failed"} 1"#,
        ] {
            assert!(text.lines().any(|own| own == line), "{line} is missing in\n{text}");
        }
        assert!(text.contains(r#"atoll_tls_certificate_seconds{edge="gateway"} -"#), "it has expired: {text}");
    }
}
