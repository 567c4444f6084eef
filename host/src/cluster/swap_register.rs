//! Swaps of all nodes: what is proposed, how nodes vote, and what is wanted, in the registry.
//!
//! Each write compares with the revision of the key that the writer has seen, and the server refuses what is late. That
//! is the fence: whoever slept between its look and its write has seen a revision that is not there any more.
//!
//! What is agreed on is written over the proposal, so a proposal that has run out cannot be: that one write decides. It
//! counts from then on, and `wanted` is written after it, by the same node or by whoever finds it so. As long as the
//! proposal stands, nobody else writes `wanted`.

use super::bucket::LastWord;
use super::cluster::Cluster;
use super::error::ClusterError;
use super::key;
use super::swap_record;
use crate::base::{Digest, ServiceName};
use crate::broker::BrokerError;
use crate::membership::{NodeVote, SwapBoard, SwapId, SwapProposal, VoteWord, WantedRevision};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
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
    /// [`ClusterError::UnderWay`]: they are being asked about another one; [`ClusterError::Overtaken`]: what is wanted
    /// has not the revision `on` any more; [`ClusterError::NoLease`]; NATS.
    pub async fn propose(
        &self,
        service: &ServiceName,
        digest: Digest,
        rolls_back: bool,
        on: Option<u64>,
    ) -> Result<OpenSwap, ClusterError> {
        self.must_hold()?;
        let key = format!("{}.{service}", key::PROPOSAL);
        let free = match self.nodes().last(&key).await? {
            LastWord::Nothing => 0,
            LastWord::Ended(revision) => revision,
            LastWord::There { revision, text } => {
                if let Some(agreed) = swap_record::read_agreed(&text) {
                    // Whoever has written it has ended before the rest was done.
                    return match self.finish(service, revision, agreed).await {
                        Ok(free) => self.propose_at(service, (digest, rolls_back), on, free).await,
                        Err(ClusterError::Overtaken) => Err(ClusterError::UnderWay("another node".to_owned())),
                        Err(error) => Err(error),
                    };
                }
                let open = swap_record::read_proposal(&text);
                if !open.as_ref().is_some_and(|open| open.is_orphan(&self.view().borrow())) {
                    let by = open.map_or("a node".to_owned(), |open| format!("`{}`", open.node));
                    return Err(ClusterError::UnderWay(by));
                }
                // If its node only seems to have ended, what it writes comes too late.
                match within(self.nodes().remove(&key, Some(revision))).await {
                    Err(ClusterError::Overtaken) => return Err(ClusterError::UnderWay("another node".to_owned())),
                    removed => removed?,
                }
            }
        };
        self.propose_at(service, (digest, rolls_back), on, free).await
    }

    async fn propose_at(
        &self,
        service: &ServiceName,
        (digest, rolls_back): (Digest, bool),
        on: Option<u64>,
        free: u64,
    ) -> Result<OpenSwap, ClusterError> {
        let key = format!("{}.{service}", key::PROPOSAL);
        let view = Arc::clone(&self.view().borrow());
        let (node, own) = (view.own.clone(), view.nodes.get(&view.own));
        let incarnation = own.map(|row| row.incarnation).ok_or(ClusterError::NoLease)?;
        let proposal = SwapProposal { id: SwapId(rand::random()), digest, node, incarnation, rolls_back };
        let text = swap_record::proposal(&proposal);
        let proposed = within(self.nodes().put(&key, text, Some(LIFE), Some(free))).await;
        let proposed = proposed.map_err(|error| match error {
            ClusterError::Overtaken => ClusterError::UnderWay("another node".to_owned()),
            error => error,
        })?;
        let mut swap = OpenSwap { service: service.clone(), proposal, before: None, first: None, wanted: 0, proposed };
        // Nobody else writes it from here on.
        let error = match self.last_wanted(service).await {
            Ok((before, wanted)) if on.is_none_or(|on| on == wanted) => {
                (swap.before, swap.wanted) = (before, wanted);
                return Ok(swap);
            }
            Ok(_) => ClusterError::Overtaken,
            Err(error) => error,
        };
        self.close(&swap).await;
        Err(error)
    }

    /// Makes what was proposed the revision that all nodes have to serve, if the proposal still stands.
    ///
    /// # Errors
    /// [`ClusterError::Overtaken`]: it is too late, and nothing was written; [`ClusterError::NoLease`]: this node does
    /// not know whether it still is one; [`ClusterError::InDoubt`]: nobody knows whether it was written; NATS: it was
    /// not, and will not be.
    pub async fn commit(&self, swap: &OpenSwap, by: &str, why: Option<String>) -> Result<WantedRevision, ClusterError> {
        self.must_hold()?;
        let SwapProposal { id, digest, rolls_back, .. } = swap.proposal;
        let previous = swap.before.as_ref().map(|before| before.digest).or(swap.first);
        let previous = previous.filter(|before| *before != digest);
        let wanted = WantedRevision { id, digest, previous, rolls_back, by: by.to_owned(), why };
        let (key, service) = (format!("{}.{}", key::PROPOSAL, swap.service), &swap.service);
        let text = swap_record::agreed(&swap.proposal, &wanted, swap.wanted);
        let written = match within(self.nodes().put(&key, text, None, Some(swap.proposed))).await {
            Ok(revision) => Some(revision),
            Err(error) => self.fate(swap, error).await?,
        };
        if let Some(revision) = written
            && let Err(error) = self.finish(service, revision, (wanted.clone(), swap.wanted)).await
        {
            tracing::debug!(%service, %error, "what was agreed on counts; the next swap does the rest");
        }
        Ok(wanted)
    }

    /// What has become of the write of what was agreed on, which has ended with `error`: `Ok`, it was written, with
    /// its revision if that is still there.
    async fn fate(&self, swap: &OpenSwap, error: ClusterError) -> Result<Option<u64>, ClusterError> {
        let key = format!("{}.{}", key::PROPOSAL, swap.service);
        match within(self.nodes().last(&key)).await {
            Ok(LastWord::There { revision, text }) => match swap_record::read_agreed(&text) {
                Some((wanted, _)) if wanted.id == swap.proposal.id => return Ok(Some(revision)),
                // It may still be under way. Without the proposal it is refused when it comes.
                _ if revision == swap.proposed => {
                    let ended = within(self.nodes().remove(&key, Some(revision))).await;
                    return Err(ended.map_or(ClusterError::InDoubt, |_| error));
                }
                _ => {}
            },
            Ok(_) => {}
            Err(_) => return Err(ClusterError::InDoubt),
        }
        // The proposal is gone: it has run out, or what was agreed on was written and somebody has done the rest.
        let before = swap.before.as_ref().map(|before| before.id);
        match self.last_wanted(&swap.service).await {
            Ok((Some(wanted), _)) if wanted.id == swap.proposal.id => Ok(None),
            Ok((wanted, _)) if wanted.as_ref().map(|wanted| wanted.id) == before => Err(ClusterError::Overtaken),
            _ => Err(ClusterError::InDoubt),
        }
    }

    /// Writes what was agreed on as what is wanted, and ends the proposal that said so at `revision`. Returns the
    /// revision of its marker.
    async fn finish(
        &self,
        service: &ServiceName,
        revision: u64,
        (wanted, mut on): (WantedRevision, u64),
    ) -> Result<u64, ClusterError> {
        let key = format!("{}.{service}", key::WANTED);
        loop {
            match within(self.nodes().put(&key, swap_record::wanted(&wanted), None, Some(on))).await {
                Err(ClusterError::Overtaken) => match self.last_wanted(service).await? {
                    // The marker of its end has gone meanwhile.
                    (None, now) if now != on => on = now,
                    // Somebody has done it.
                    _ => break,
                },
                written => {
                    written?;
                    break;
                }
            }
        }
        within(self.nodes().remove(&format!("{}.{service}", key::PROPOSAL), Some(revision))).await
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
        if let LastWord::There { revision, text } = self.nodes().last(&format!("{}.{service}", key::PROPOSAL)).await?
            && let Some(agreed) = swap_record::read_agreed(&text)
            && let Err(error) = self.finish(service, revision, agreed).await
            && error != ClusterError::Overtaken
        {
            return Err(error);
        }
        self.last_wanted(service).await
    }

    /// Writes what was wanted of a service again, where NATS has lost it. Returns false, and writes nothing, if it has
    /// something else, or somebody has taken it away there.
    ///
    /// # Errors
    /// [`ClusterError::NoLease`]; NATS.
    pub async fn put_back(&self, service: &ServiceName, wanted: &WantedRevision) -> Result<bool, ClusterError> {
        self.must_hold()?;
        let key = format!("{}.{service}", key::WANTED);
        match within(self.nodes().put(&key, swap_record::wanted(wanted), None, Some(0))).await {
            Err(ClusterError::Overtaken) => Ok(false),
            written => written.map(|_| true),
        }
    }

    async fn last_wanted(&self, service: &ServiceName) -> Result<(Option<WantedRevision>, u64), ClusterError> {
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
        if self.holds_lease() { Ok(()) } else { Err(ClusterError::NoLease) }
    }
}

async fn within<T>(write: impl Future<Output = Result<T, ClusterError>>) -> Result<T, ClusterError> {
    let late = |_| Err(BrokerError::Away("no answer in time".to_owned()).into());
    timeout(WRITING, write).await.unwrap_or_else(late)
}
