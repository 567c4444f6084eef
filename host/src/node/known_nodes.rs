//! The nodes whose calls this one answers: those that the cluster's view has, or has had.
//!
//! An authority may have signed more than nodes. A certificate of it opens the connection, and a call comes with it
//! only if it is for the name of a node.

use crate::listen::{ClientCertificate, SubjectName};
use crate::membership::{ClusterView, NodeName};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// How long a call waits for its node to be known: one that has just come may have this node in its view first.
const WAIT: Duration = Duration::from_secs(2);
/// The most nodes: twice as many as a view has. Beyond it those that are gone are forgotten.
const MOST: usize = 8192;

/// The most callers that are remembered as no nodes.
const STRANGERS: usize = 256;

/// The nodes whose calls this one answers. Its clones share them.
#[derive(Debug, Clone, Default)]
pub struct KnownNodes {
    names: watch::Sender<NodeNames>,
    /// How many callers were refused.
    refused: Arc<AtomicU64>,
}

/// The names of nodes, and of those who are none.
#[derive(Debug, Default)]
struct NodeNames {
    nodes: BTreeSet<NodeName>,
    /// Whom the certificates of callers were for that waited in vain, whose next calls do not wait; and the addresses
    /// of those whose certificate was refused.
    strangers: BTreeSet<String>,
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
            known.strangers.clear();
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
        let waits = !self.names.borrow().strangers.contains(&names);
        // The sender lives in `self`, so the channel does not close.
        if waits && matches!(timeout(WAIT, self.names.subscribe().wait_for(is_node)).await, Ok(Ok(_))) {
            return Ok(());
        }
        self.refused.fetch_add(1, Relaxed);
        if waits {
            self.remember(&names);
            tracing::warn!(certificate = names, "a caller is refused: that is no node which this one knows");
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
        if !self.names.borrow().strangers.contains(&address) {
            self.remember(&address);
            tracing::warn!(caller = address, why, "a caller is refused: its certificate is not of the cluster");
        }
    }

    fn remember(&self, stranger: &str) {
        self.names.send_modify(|known| {
            if known.strangers.len() >= STRANGERS {
                known.strangers.clear();
            }
            known.strangers.insert(stranger.to_owned());
        });
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
    use tokio::time::Instant;

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
        assert_eq!(known.names.borrow().strangers.len(), 1, "one address is one line of the log");
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
