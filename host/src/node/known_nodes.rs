//! The nodes whose calls this one answers: those that the cluster's view has, or has had.
//!
//! An authority may have signed more than nodes. A certificate of it opens the connection, and a call comes with it
//! only if it is for the name of a node.

use crate::listen::{ClientCertificate, SubjectName};
use crate::membership::{ClusterView, NodeName};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// How long a call waits for its node to be known: one that has just come may have this node in its view first.
const WAIT: Duration = Duration::from_secs(2);
/// The most nodes: twice as many as a view has. Beyond it those that are gone are forgotten.
const MOST: usize = 8192;

/// The most callers that are remembered as refused, of each kind.
const REFUSED: usize = 256;
/// The log has one line of each kind in this time, with the number of those that had none: whoever opens connections
/// must not fill it.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// The nodes whose calls this one answers. Its clones share them.
#[derive(Debug, Clone, Default)]
pub struct KnownNodes {
    names: watch::Sender<NodeNames>,
    /// The addresses of those whose certificate TLS has refused. Anybody can be one, and any number of them: so they
    /// have nothing to do with those whom the authority has signed.
    addresses: Arc<Mutex<RefusedCallers>>,
    /// How many callers were refused.
    refused: Arc<AtomicU64>,
}

/// The names of nodes, and of those who are none.
#[derive(Debug, Default)]
struct NodeNames {
    nodes: BTreeSet<NodeName>,
    /// Whom the certificates of callers were for that waited in vain, whose next calls do not wait.
    strangers: RefusedCallers,
}

/// Callers that were refused, each once.
#[derive(Debug, Default)]
struct RefusedCallers {
    seen: BTreeSet<String>,
    told_at: Option<Instant>,
    untold: u64,
}

impl RefusedCallers {
    /// Remembers one. If the log is to have a line of it: how many there were without one since the last line.
    fn remember(&mut self, caller: &str, now: Instant) -> Option<u64> {
        if self.seen.contains(caller) {
            return None;
        }
        if self.seen.len() >= REFUSED {
            self.seen.clear();
        }
        self.seen.insert(caller.to_owned());
        if self.told_at.is_some_and(|told_at| now.saturating_duration_since(told_at) < LINE_EVERY) {
            self.untold += 1;
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

impl KnownNodes {
    /// Further nodes: all that there are now.
    pub fn learn(&self, nodes: impl IntoIterator<Item = NodeName>) {
        let now: BTreeSet<NodeName> = nodes.into_iter().collect();
        self.names.send_if_modified(|known| {
            if now.is_subset(&known.nodes) {
                return false;
            }
            if known.nodes.union(&now).count() > MOST {
                known.nodes.clear();
            }
            known.nodes.extend(now);
            known.strangers.seen.clear();
            true
        });
    }

    /// Nobody is known yet; callers that are refused are counted there.
    pub fn counted_by(refused: Arc<AtomicU64>) -> Self {
        Self { refused, ..Self::default() }
    }

    /// Learns the nodes of each view. It ends with the views.
    pub async fn follow(self, mut views: watch::Receiver<Arc<ClusterView>>) {
        loop {
            let view = Arc::clone(&views.borrow_and_update());
            self.learn(view.nodes.keys().cloned());
            if views.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether `certificate` is for a node, perhaps after a wait.
    ///
    /// # Errors
    /// It is not: the text says whom it is for.
    pub async fn admit(&self, certificate: Option<&ClientCertificate>) -> Result<(), String> {
        let shown: Vec<&str> = certificate.map(dns_names).unwrap_or_default();
        let is_node = |known: &NodeNames| {
            shown.iter().any(|name| NodeName::new(name).is_ok_and(|name| known.nodes.contains(&name)))
        };
        if is_node(&self.names.borrow()) {
            return Ok(());
        }
        let names = if shown.is_empty() { "no host name".to_owned() } else { format!("`{}`", shown.join("`, `")) };
        let waits = !self.names.borrow().strangers.seen.contains(&names);
        // The sender lives in `self`, so the channel does not close.
        if waits && matches!(timeout(WAIT, self.names.subscribe().wait_for(is_node)).await, Ok(Ok(_))) {
            return Ok(());
        }
        self.refused.fetch_add(1, Relaxed);
        let mut line = None;
        if waits {
            self.names.send_modify(|known| line = known.strangers.remember(&names, Instant::now()));
        }
        if let Some(untold) = line {
            tracing::warn!(certificate = names, untold, "a caller is refused: that is no node which this one knows");
        }
        Err(format!(
            "the certificate of the caller is for {names}, which is no node that this one knows: the cluster's \
             authority has signed it, and a node's certificate is for its name"
        ))
    }

    /// A caller's certificate is of another authority, or none was shown: TLS has refused the connection.
    pub fn refuse_handshake(&self, caller: SocketAddr, why: &str) {
        self.refused.fetch_add(1, Relaxed);
        let address = caller.ip().to_string();
        let line = self.addresses.lock().unwrap_or_else(PoisonError::into_inner).remember(&address, Instant::now());
        if let Some(untold) = line {
            tracing::warn!(caller = address, why, untold, "a caller is refused: its certificate is not of the cluster");
        }
    }
}

fn dns_names<'c>(certificate: &'c ClientCertificate) -> Vec<&'c str> {
    let text = |name: &'c SubjectName| match name {
        SubjectName::Dns(name) => Some(name.as_str()),
        _ => None,
    };
    certificate.facts.names.iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::CertificateFacts;

    fn certificate(names: &[&str]) -> ClientCertificate {
        let names = names.iter().map(|name| SubjectName::Dns((*name).to_owned())).collect();
        let facts = CertificateFacts { subject: "CN=node-a".into(), names, not_before: 0, not_after: i64::MAX };
        ClientCertificate { facts, fingerprint: String::new(), chain: Vec::new() }
    }

    fn node(name: &str) -> NodeName {
        NodeName::new(name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_certificate_for_a_node_comes_in_and_one_that_left_may_end_its_calls() {
        let known = KnownNodes::default();
        known.learn([node("node-a"), node("node-b")]);
        known.learn([node("node-b")]);
        for good in [&["node-a"][..], &["billing", "node-b"]] {
            known.admit(Some(&certificate(good))).await.unwrap();
        }
        let error = known.admit(Some(&certificate(&["billing", "*.nodes"]))).await.unwrap_err();
        assert!(error.contains("for `billing`, `*.nodes`, which is no node"), "{error}");
        for none in [None, Some(&certificate(&[]))] {
            assert!(known.admit(none).await.unwrap_err().contains("for no host name"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_of_a_node_that_has_just_come_waits_for_the_view() {
        let known = KnownNodes::default();
        let (shown, began) = (certificate(&["node-c"]), Instant::now());
        let (admitted, ()) = tokio::join!(known.admit(Some(&shown)), async {
            tokio::time::sleep(WAIT / 2).await;
            known.learn([node("node-c")]);
        });
        admitted.unwrap();
        assert_eq!(began.elapsed(), WAIT / 2);
        let stranger = certificate(&["billing"]);
        for wait in [WAIT, Duration::ZERO] {
            let began = Instant::now();
            assert!(known.admit(Some(&stranger)).await.is_err());
            assert_eq!(began.elapsed(), wait, "it waits once");
        }
        known.learn([node("billing")]);
        known.admit(Some(&stranger)).await.unwrap();
    }

    #[test]
    fn a_refused_handshake_counts_like_a_refused_call() {
        let refused = Arc::new(AtomicU64::new(0));
        let known = KnownNodes::counted_by(Arc::clone(&refused));
        for port in [1, 2] {
            known.refuse_handshake(SocketAddr::from(([192, 0, 2, 7], port)), "UnknownIssuer");
        }
        assert_eq!(refused.load(Relaxed), 2);
        assert_eq!(known.addresses.lock().unwrap().seen.len(), 1, "one address is one line of the log");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_opens_connections_fills_no_log_and_has_no_other_caller_wait() {
        let known = KnownNodes::default();
        let stranger = certificate(&["billing"]);
        assert!(known.admit(Some(&stranger)).await.is_err());
        for number in 0..=u16::MAX {
            let [high, low] = number.to_be_bytes();
            known.refuse_handshake(SocketAddr::from(([192, 0, high, low], 1)), "UnknownIssuer");
        }
        let began = Instant::now();
        assert!(known.admit(Some(&stranger)).await.is_err());
        assert_eq!(began.elapsed(), Duration::ZERO, "it has waited once");
        let mut addresses = known.addresses.lock().unwrap();
        assert!(addresses.seen.len() <= REFUSED);
        assert_eq!(addresses.untold, u64::from(u16::MAX), "one line for all of them");
        assert_eq!(addresses.remember("192.0.2.1", Instant::now()), None);
        assert_eq!(addresses.remember("198.51.100.1", Instant::now() + LINE_EVERY), Some(u64::from(u16::MAX) + 1));
    }

    #[tokio::test(start_paused = true)]
    async fn they_have_a_bound_and_those_that_there_are_stay() {
        let known = KnownNodes::default();
        for number in 0..=MOST {
            known.learn([node("node-a"), node(&format!("n{number}"))]);
        }
        known.admit(Some(&certificate(&["node-a"]))).await.unwrap();
        assert!(known.admit(Some(&certificate(&["n0"]))).await.is_err());
    }
}
