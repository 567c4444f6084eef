//! This node votes on the swaps of the cluster, and serves what all nodes have to serve.

use super::node_duties::NodeDuties;
use crate::base::ServiceName;
use crate::cluster::Cluster;
use crate::membership::{SwapBoard, SwapId, SwapProposal, VoteWord, WantedRevision};
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
pub(super) struct SwapFollower {
    cluster: Arc<Cluster>,
    rollout: Arc<Rollout>,
    duties: Arc<NodeDuties>,
    /// What this node has last said of each service.
    said: BTreeMap<ServiceName, (SwapId, VoteWord)>,
    /// When it last could not serve what is wanted.
    failed: BTreeMap<ServiceName, (SwapId, Instant)>,
}

impl SwapFollower {
    pub(super) fn new(cluster: Arc<Cluster>, rollout: Arc<Rollout>, duties: Arc<NodeDuties>) -> Self {
        Self { cluster, rollout, duties, said: BTreeMap::new(), failed: BTreeMap::new() }
    }

    /// Takes what the cluster wants before this node serves. Without NATS it serves what it has.
    pub(super) async fn begin(&mut self) {
        let mut boards = self.cluster.swaps();
        let whole = timeout(STARTING, boards.wait_for(|board| board.is_whole)).await;
        let Ok(Ok(board)) = whole.map(|board| board.map(|board| Arc::clone(&board))) else {
            tracing::warn!("NATS does not say which revisions the cluster serves: this node begins with its own");
            return;
        };
        for (service, wanted) in &board.wanted {
            self.take(service, wanted).await;
        }
    }

    /// Follows the cluster. It ends with it.
    pub(super) async fn follow(mut self) {
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
        for (service, proposal) in &board.proposals {
            if self.said.get(service).is_none_or(|(id, _)| *id != proposal.id) {
                let word = self.try_out(service, proposal).await;
                self.say(service, proposal.id, word).await;
            }
        }
        for (service, wanted) in &board.wanted {
            self.take(service, wanted).await;
        }
    }

    async fn try_out(&self, service: &ServiceName, proposal: &SwapProposal) -> VoteWord {
        // A node whose manifest does not have the service has nothing against it.
        if self.rollout.digest(service.as_str()).is_none() {
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

    /// Serves what is wanted of a service.
    async fn take(&mut self, service: &ServiceName, wanted: &WantedRevision) {
        let serves = self.rollout.digest(service.as_str());
        if serves.is_none() || serves == Some(wanted.digest) {
            self.mended(service);
            return self.say(service, wanted.id, VoteWord::Follows).await;
        }
        if self.failed.get(service).is_some_and(|(id, at)| *id == wanted.id && at.elapsed() < PAUSE) {
            return;
        }
        let taken = async {
            let component = self.cluster.component(&wanted.digest).await.map_err(|error| error.to_string())?;
            let how = (wanted.rolls_back, wanted.by.as_str());
            let swapped = self.rollout.take_component(service.as_str(), component, how).await;
            swapped.map(drop).map_err(|error| error.to_string())
        };
        match taken.await {
            Ok(()) => {
                self.mended(service);
                tracing::info!(%service, revision = wanted.digest.short(), "this node serves what the cluster has agreed on");
                self.say(service, wanted.id, VoteWord::Follows).await;
            }
            Err(error) => {
                let revision = wanted.digest.short();
                tracing::error!(%service, revision, error, "this node cannot serve what the cluster has agreed on");
                self.failed.insert(service.clone(), (wanted.id, Instant::now()));
                let text = format!("it does not serve {revision}, on which the nodes have agreed: {error}");
                self.duties.failures().insert(service.clone(), text);
                self.say(service, wanted.id, VoteWord::Refused(error)).await;
            }
        }
    }

    /// What this task has noted of a service holds no more. Other tasks note failures of their own.
    fn mended(&mut self, service: &ServiceName) {
        if self.failed.remove(service).is_some() {
            self.duties.failures().remove(service);
        }
    }

    /// Says it, once.
    async fn say(&mut self, service: &ServiceName, id: SwapId, word: VoteWord) {
        if self.said.get(service).is_some_and(|said| *said == (id, word.clone())) {
            return;
        }
        match self.cluster.vote(service, id, word.clone()).await {
            Ok(()) => drop(self.said.insert(service.clone(), (id, word))),
            Err(error) => tracing::debug!(%service, %error, "what this node says of a swap was not written"),
        }
    }
}
