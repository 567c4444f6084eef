//! This node votes on the swaps of the cluster, and serves what all nodes have to serve.

use super::node_duties::NodeDuties;
use crate::base::ServiceName;
use crate::cluster::Cluster;
use crate::membership::{SwapBoard, SwapId, SwapProposal, SwapVoter, VoteWord, WantedRevision};
use crate::rollout::Rollout;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How often one looks without news: what has failed is tried again.
const LOOK: Duration = Duration::from_secs(1);
/// The pause after a revision that this node cannot serve.
const PAUSE: Duration = Duration::from_secs(10);
/// How long a start waits for the word of the cluster.
const STARTING: Duration = Duration::from_secs(2);

/// The task that follows the cluster.
pub struct SwapFollower {
    cluster: Arc<Cluster>,
    rollout: Arc<Rollout>,
    duties: Arc<NodeDuties>,
    /// What this node has said.
    voter: SwapVoter,
    /// When it last could not serve what is wanted.
    failed: BTreeMap<ServiceName, (SwapId, Instant)>,
    /// What it serves of what is wanted: it puts that back if NATS loses it.
    followed: BTreeMap<ServiceName, WantedRevision>,
}

impl SwapFollower {
    /// A node that has followed nothing yet.
    pub fn new(cluster: Arc<Cluster>, rollout: Arc<Rollout>, duties: Arc<NodeDuties>) -> Self {
        let (voter, failed, followed) = (SwapVoter::default(), BTreeMap::new(), BTreeMap::new());
        Self { cluster, rollout, duties, voter, failed, followed }
    }

    /// Takes what the cluster wants before this node serves. Without NATS it serves what it has.
    pub async fn begin(&mut self) {
        let mut boards = self.cluster.swaps();
        let whole = timeout(STARTING, boards.wait_for(|board| board.is_whole)).await;
        let Ok(Ok(board)) = whole.map(|board| board.map(|board| Arc::clone(&board))) else {
            tracing::warn!("NATS does not say which revisions the cluster serves: this node begins with its own");
            return;
        };
        self.take_all(&board).await;
        // Another revision than the agreed one is of no use to other nodes.
        let withheld = self.failed.keys().filter(|service| self.rollout.digest(service.as_str()).is_some());
        self.duties.withheld().extend(withheld.cloned());
    }

    /// Follows the cluster. It ends with it.
    pub async fn follow(mut self) {
        let mut boards = self.cluster.swaps();
        loop {
            let board = Arc::clone(&boards.borrow_and_update());
            self.settle(&board).await;
            if let Ok(Err(_)) = timeout(LOOK, boards.changed()).await {
                return;
            }
        }
    }

    async fn settle(&mut self, board: &SwapBoard) {
        for (service, proposal) in self.voter.unvoted(board) {
            let word = self.try_out(&service, &proposal).await;
            self.say(board, &service, proposal.id, word).await;
        }
        if board.is_whole {
            self.put_back(board).await;
        }
        self.take_all(board).await;
    }

    /// Puts back what NATS has lost. What an operator has taken away leaves a marker there, and stays away.
    async fn put_back(&mut self, board: &SwapBoard) {
        let lost: Vec<_> = self.followed.extract_if(.., |service, _| !board.wanted.contains_key(service)).collect();
        for (service, wanted) in lost {
            let component = match self.rollout.component(wanted.digest).await {
                Ok(component) => component,
                Err(error) => {
                    let text =
                        "NATS has lost what the nodes have agreed on, and this node keeps no component to put back";
                    tracing::warn!(%service, %error, "{text}");
                    continue;
                }
            };
            let put = async {
                // First: what is wanted and not there would not be put back again.
                self.cluster.keep_component(&component).await?;
                self.cluster.put_back(&service, &wanted).await
            };
            match put.await {
                Ok(true) => tracing::warn!(%service, "NATS had lost what the nodes have agreed on: it was put back"),
                Ok(false) => tracing::info!(%service, "what the nodes have agreed on was taken away"),
                Err(error) => {
                    tracing::debug!(%service, %error, "what NATS has lost was not put back yet");
                    self.followed.insert(service, wanted);
                }
            }
        }
    }

    /// Whether this node has to serve a component as `service`: it does, or would if the start had not left it out.
    fn has_part_in(&self, service: &ServiceName) -> bool {
        self.rollout.digest(service.as_str()).is_some() || self.rollout.can_return(service.as_str())
    }

    async fn try_out(&self, service: &ServiceName, proposal: &SwapProposal) -> VoteWord {
        // A node whose manifest does not have the service has nothing against it.
        if !self.has_part_in(service) {
            return VoteWord::Ready;
        }
        let component = match self.cluster.component(&proposal.digest).await {
            Ok(component) => component,
            Err(error) => return VoteWord::Refused(error.to_string()),
        };
        match self.rollout.try_component(service.as_str(), component, proposal.rolls_back).await {
            Ok(()) => VoteWord::Ready,
            Err(error) => VoteWord::Refused(error.to_string()),
        }
    }

    /// Serves what is wanted of all services. One may need what another one has since its own swap, so all are gone
    /// through until nothing more succeeds.
    async fn take_all(&mut self, board: &SwapBoard) {
        let wants = |service: &ServiceName| board.wanted.contains_key(service);
        self.failed.retain(|service, _| wants(service));
        self.duties.swap_failures().retain(|service, _| wants(service));
        self.duties.withheld().retain(wants);
        loop {
            let mut taken = false;
            for (service, wanted) in &board.wanted {
                taken |= self.take(board, service, wanted).await;
            }
            if !taken {
                return;
            }
            // What has failed has another ground now.
            self.failed.clear();
        }
    }

    /// Serves what is wanted of a service. Returns whether that has changed anything.
    async fn take(&mut self, board: &SwapBoard, service: &ServiceName, wanted: &WantedRevision) -> bool {
        if !self.has_part_in(service) || self.rollout.digest(service.as_str()) == Some(wanted.digest) {
            self.follows(board, service, wanted).await;
            return false;
        }
        if self.failed.get(service).is_some_and(|(id, at)| *id == wanted.id && at.elapsed() < PAUSE) {
            return false;
        }
        // What was wanted before is not put back any more.
        self.followed.remove(service);
        let revision = wanted.digest.short();
        match self.swap_in(service, wanted).await {
            Ok(()) => {
                tracing::info!(%service, revision, "this node serves what the cluster has agreed on");
                self.follows(board, service, wanted).await;
                true
            }
            Err(error) => {
                tracing::error!(%service, revision, error, "this node cannot serve what the cluster has agreed on");
                self.failed.insert(service.clone(), (wanted.id, Instant::now()));
                let text = format!("it does not serve {revision}, on which the nodes have agreed: {error}");
                self.duties.swap_failures().insert(service.clone(), text);
                self.say(board, service, wanted.id, VoteWord::Refused(error)).await;
                false
            }
        }
    }

    async fn swap_in(&self, service: &ServiceName, wanted: &WantedRevision) -> Result<(), String> {
        let component = self.cluster.component(&wanted.digest).await.map_err(|error| error.to_string())?;
        let how = (wanted.rolls_back, wanted.by.as_str(), wanted.why.as_deref());
        let swapped = self.rollout.take_component(service.as_str(), component, how).await;
        swapped.map(drop).map_err(|error| error.to_string())
    }

    /// This node serves what is wanted, or has nothing to do with it: what was noted of the service holds no more.
    async fn follows(&mut self, board: &SwapBoard, service: &ServiceName, wanted: &WantedRevision) {
        if self.has_part_in(service) {
            self.followed.insert(service.clone(), wanted.clone());
        }
        self.failed.remove(service);
        self.duties.swap_failures().remove(service);
        self.duties.withheld().remove(service);
        self.say(board, service, wanted.id, VoteWord::Follows).await;
    }

    /// Says it, once.
    async fn say(&mut self, board: &SwapBoard, service: &ServiceName, id: SwapId, word: VoteWord) {
        if !self.voter.has_to_say(board, service, (id, &word)) {
            return;
        }
        match self.cluster.vote(service, id, word.clone()).await {
            Ok(()) => self.voter.said(service, id, word),
            Err(error) => tracing::debug!(%service, %error, "what this node says of a swap was not written"),
        }
    }
}
