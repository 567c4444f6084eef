//! Swaps of all nodes: what is proposed, how nodes vote, and what is wanted, in the registry.
//!
//! Each write compares with the revision of the key that the writer has seen, and the server refuses what is late. That
//! is the fence: whoever slept between its look and its write has seen a revision that is not there any more.

use super::bucket::LastWord;
use super::cluster::Cluster;
use super::error::ClusterError;
use super::key;
use super::swap_record;
use crate::base::{Digest, ServiceName};
use crate::broker::BrokerError;
use crate::membership::{NodeVote, SwapBoard, SwapId, SwapProposal, VoteWord, WantedRevision};
use bytes::Bytes;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long a proposal stands whose proposer says nothing more, and a vote.
const LIFE: Duration = Duration::from_secs(300);
/// How long one write may take.
const WRITING: Duration = Duration::from_secs(10);

/// A swap of all nodes that has begun: the revisions of the keys that it compares with.
#[derive(Debug, Clone)]
pub struct OpenSwap {
    /// The service.
    pub service: ServiceName,
    /// What is proposed.
    pub proposal: SwapProposal,
    /// What was wanted when it began.
    pub before: Option<WantedRevision>,
    /// What served before the first swap, if a rollback may return to it: whoever begins one says it.
    pub first: Option<Digest>,
    /// The revision of that key; 0: there was none.
    wanted: u64,
    /// The revision of the proposal.
    proposed: u64,
}

impl Cluster {
    /// What is proposed, voted and wanted, now and whenever that changes.
    pub fn swaps(&self) -> watch::Receiver<Arc<SwapBoard>> {
        self.swap_table().board()
    }

    /// Puts a component where all nodes find it.
    ///
    /// # Errors
    /// NATS.
    pub async fn keep_component(&self, component: &Bytes) -> Result<Digest, ClusterError> {
        self.components().put(component).await
    }

    /// A component that a node has put there.
    ///
    /// # Errors
    /// NATS; [`ClusterError::Component`]: it is not there, or is another one than its name says.
    pub async fn component(&self, digest: &Digest) -> Result<Bytes, ClusterError> {
        self.components().get(digest).await
    }

    /// Takes a component away that nobody needs any more.
    ///
    /// # Errors
    /// NATS.
    pub async fn forget_component(&self, digest: &Digest) -> Result<(), ClusterError> {
        self.components().remove(digest).await
    }

    /// Asks all nodes about a component that is already there.
    ///
    /// # Errors
    /// [`ClusterError::UnderWay`]: they are being asked about another one; [`ClusterError::NoLease`]; NATS.
    pub async fn propose(
        &self,
        service: &ServiceName,
        digest: Digest,
        rolls_back: bool,
    ) -> Result<OpenSwap, ClusterError> {
        self.must_hold()?;
        let (before, wanted) = self.wanted(service).await?;
        let key = format!("{}.{service}", key::PROPOSAL);
        let free = match self.nodes().last(&key).await? {
            LastWord::Nothing => 0,
            LastWord::Ended(revision) => revision,
            LastWord::There { text, .. } => {
                let by = swap_record::read_proposal(&text).map_or("a node".to_owned(), |one| format!("`{}`", one.node));
                return Err(ClusterError::UnderWay(by));
            }
        };
        let node = self.view().borrow().own.clone();
        let proposal = SwapProposal { id: SwapId(rand::random()), digest, node, rolls_back };
        let text = swap_record::proposal(&proposal);
        let proposed = within(self.nodes().put(&key, text, Some(LIFE), Some(free))).await;
        let proposed = proposed.map_err(|error| match error {
            ClusterError::Overtaken => ClusterError::UnderWay("another node".to_owned()),
            error => error,
        })?;
        Ok(OpenSwap { service: service.clone(), proposal, before, first: None, wanted, proposed })
    }

    /// Makes what was proposed the revision that all nodes have to serve. It is written if nothing of what the swap
    /// began with has changed since.
    ///
    /// # Errors
    /// [`ClusterError::Overtaken`]: it is too late, and nothing was written; [`ClusterError::NoLease`]: this node does
    /// not know whether it still is one; NATS: after `Away` nobody knows whether it was written.
    pub async fn commit(&self, swap: &OpenSwap, by: &str) -> Result<WantedRevision, ClusterError> {
        // Whoever has slept does not hold its lease, or finds its proposal gone.
        self.must_hold()?;
        let proposal = format!("{}.{}", key::PROPOSAL, swap.service);
        match self.nodes().last(&proposal).await? {
            LastWord::There { revision, .. } if revision == swap.proposed => {}
            _ => return Err(ClusterError::Overtaken),
        }
        let SwapProposal { id, digest, rolls_back, .. } = swap.proposal;
        let previous = swap.before.as_ref().map(|before| before.digest).or(swap.first);
        let previous = previous.filter(|before| *before != digest);
        let wanted = WantedRevision { id, digest, previous, rolls_back, by: by.to_owned() };
        let key = format!("{}.{}", key::WANTED, swap.service);
        within(self.nodes().put(&key, swap_record::wanted(&wanted), None, Some(swap.wanted))).await?;
        Ok(wanted)
    }

    /// Ends the proposal: it was agreed on, or not.
    pub async fn close(&self, swap: &OpenSwap) {
        let key = format!("{}.{}", key::PROPOSAL, swap.service);
        if let Err(error) = within(self.nodes().remove(&key, Some(swap.proposed))).await {
            tracing::debug!(service = %swap.service, %error, "a proposal ends by itself");
        }
    }

    /// Says what this node says of a swap.
    ///
    /// # Errors
    /// NATS.
    pub async fn vote(&self, service: &ServiceName, id: SwapId, word: VoteWord) -> Result<(), ClusterError> {
        let view = Arc::clone(&self.view().borrow());
        let incarnation = view.nodes.get(&view.own).map(|row| row.incarnation).ok_or(ClusterError::NoLease)?;
        let text = swap_record::vote(&NodeVote { id, incarnation, word });
        let key = format!("{}.{service}.{}", key::VOTE, view.own);
        within(self.nodes().put(&key, text, Some(LIFE), None)).await.map(drop)
    }

    /// The revision that is wanted of a service, as the leader of the stream says, and the revision of its key.
    ///
    /// # Errors
    /// NATS.
    pub async fn wanted(&self, service: &ServiceName) -> Result<(Option<WantedRevision>, u64), ClusterError> {
        Ok(match self.nodes().last(&format!("{}.{service}", key::WANTED)).await? {
            LastWord::Nothing => (None, 0),
            LastWord::Ended(revision) => (None, revision),
            LastWord::There { revision, text } => {
                let unread = || BrokerError::Unread(format!("the wanted revision of `{service}`"));
                (Some(swap_record::read_wanted(&text).ok_or_else(unread)?), revision)
            }
        })
    }

    fn must_hold(&self) -> Result<(), ClusterError> {
        let held = self.claim().lock().unwrap_or_else(PoisonError::into_inner).holds(Instant::now());
        held.map(drop).ok_or(ClusterError::NoLease)
    }
}

async fn within<T>(write: impl Future<Output = Result<T, ClusterError>>) -> Result<T, ClusterError> {
    let late = |_| Err(BrokerError::Away("no answer in time".to_owned()).into());
    timeout(WRITING, write).await.unwrap_or_else(late)
}
