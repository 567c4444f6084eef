//! How the nodes of a cluster agree on the revision of a service: all or none.
//!
//! Whoever orders a swap proposes it. Each node tries the component, and votes. When all nodes that live have voted for
//! it, the proposer writes it as what is wanted, by comparison with what was wanted when it began: of two proposers one
//! is refused, and one that slept writes too late. From then on every node follows, also one that starts later.

use super::node_name::NodeName;
use super::node_row::Incarnation;
use super::view::ClusterView;
use crate::base::{Digest, ServiceName};
use std::collections::BTreeMap;

/// One order of a swap: a random number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SwapId(pub u64);

/// A swap that nodes are asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapProposal {
    /// Which order.
    pub id: SwapId,
    /// The component.
    pub digest: Digest,
    /// Who asks.
    pub node: NodeName,
    /// In which life of the node.
    pub incarnation: Incarnation,
    /// Whether it is a rollback, which may take back what other services have begun to use.
    pub rolls_back: bool,
}

impl SwapProposal {
    /// Whether nobody will bring it to an end: the node that asks has ended, or started again. Never by an old view.
    pub fn is_orphan(&self, view: &ClusterView) -> bool {
        !view.stale && view.nodes.get(&self.node).is_none_or(|row| row.incarnation != self.incarnation)
    }
}

/// The revision that all nodes have to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRevision {
    /// By which order.
    pub id: SwapId,
    /// The component.
    pub digest: Digest,
    /// What was wanted before it, and to which a rollback returns.
    pub previous: Option<Digest>,
    /// Whether it is a rollback.
    pub rolls_back: bool,
    /// Who ordered it: `admin-token`, `loopback`.
    pub by: String,
    /// Why, for the histories of the nodes.
    pub why: Option<String>,
}

/// What a node says of a swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VoteWord {
    /// It can serve the component, or has nothing to do with the service.
    Ready,
    /// It cannot, and why.
    Refused(String),
    /// It has done it.
    Follows,
}

/// The vote of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeVote {
    /// On which order.
    pub id: SwapId,
    /// Which life of the node has voted.
    pub incarnation: Incarnation,
    /// What it says.
    pub word: VoteWord,
}

/// How the nodes have voted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tally {
    /// These have not voted.
    Waits(Vec<NodeName>),
    /// This one cannot, and why.
    Refused(NodeName, String),
    /// All can.
    Agreed,
}

/// What the registry says of swaps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SwapBoard {
    /// The revisions that are wanted; a service that was never swapped has none.
    pub wanted: BTreeMap<ServiceName, WantedRevision>,
    /// The swaps that nodes are asked about: one for each service.
    pub proposals: BTreeMap<ServiceName, SwapProposal>,
    /// The last vote of each node on each service.
    pub votes: BTreeMap<(ServiceName, NodeName), NodeVote>,
    /// Whether all that was there has been told since this node began.
    pub is_whole: bool,
}

impl SwapBoard {
    /// How the nodes of `view` have voted on the order `id`. A node that has started again since has to vote again: it
    /// may have another manifest.
    pub fn tally(&self, service: &ServiceName, id: SwapId, view: &ClusterView) -> Tally {
        let mut waits = Vec::new();
        for (node, row) in &view.nodes {
            match self.vote(service, node, id).filter(|vote| vote.incarnation == row.incarnation) {
                None => waits.push(node.clone()),
                Some(NodeVote { word: VoteWord::Refused(why), .. }) => {
                    return Tally::Refused(node.clone(), why.clone());
                }
                Some(_) => {}
            }
        }
        if waits.is_empty() { Tally::Agreed } else { Tally::Waits(waits) }
    }

    /// The nodes of `view` that do not serve what the order `id` wants, each with why it cannot, if it has said so.
    pub fn stragglers(&self, service: &ServiceName, id: SwapId, view: &ClusterView) -> Vec<(NodeName, Option<String>)> {
        let word = |node: &NodeName| self.vote(service, node, id).map(|vote| &vote.word);
        let late = view.nodes.keys().filter(|node| word(node) != Some(&VoteWord::Follows));
        let why = |node: &NodeName| match word(node) {
            Some(VoteWord::Refused(why)) => Some(why.clone()),
            _ => None,
        };
        late.map(|node| (node.clone(), why(node))).collect()
    }

    /// Whether a node may need a component: it is wanted, a rollback returns to it, or another proposal than `own` asks
    /// for it.
    pub fn needs(&self, digest: &Digest, own: Option<SwapId>) -> bool {
        let wanted = self.wanted.values().any(|one| one.digest == *digest || one.previous == Some(*digest));
        wanted || self.proposals.values().any(|one| Some(one.id) != own && one.digest == *digest)
    }

    fn vote(&self, service: &ServiceName, node: &NodeName, id: SwapId) -> Option<&NodeVote> {
        self.votes.get(&(service.clone(), node.clone())).filter(|vote| vote.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::{NodeRow, Standing};
    use std::collections::BTreeSet;
    use std::sync::Arc;

    fn name(node: &str) -> NodeName {
        NodeName::new(node).unwrap()
    }

    fn view(nodes: &[(&str, u64)]) -> ClusterView {
        let row = |(node, life): &(&str, u64)| NodeRow {
            name: name(node),
            incarnation: Incarnation(*life),
            zone: None,
            address: String::new(),
            standing: Standing::Living,
            services: Vec::new(),
            cannot: BTreeSet::new(),
            gateway: None,
        };
        let nodes = nodes.iter().map(|node| (name(node.0), Arc::new(row(node)))).collect();
        ClusterView { own: name("a"), nodes, stale: false }
    }

    #[test]
    fn a_proposal_of_a_node_that_has_ended_or_started_again_is_an_orphan() {
        let (id, digest) = (SwapId(7), Digest([7; 32]));
        let proposal = SwapProposal { id, digest, node: name("b"), incarnation: Incarnation(1), rolls_back: false };
        assert!(!proposal.is_orphan(&view(&[("a", 1), ("b", 1)])));
        assert!(proposal.is_orphan(&view(&[("a", 1)])));
        assert!(proposal.is_orphan(&view(&[("a", 1), ("b", 2)])));
        assert!(!proposal.is_orphan(&ClusterView { stale: true, ..view(&[("a", 1)]) }), "who knows");
    }

    #[test]
    fn all_that_live_have_to_agree_each_in_its_present_life() {
        let (service, mut board) = (ServiceName::new("users").unwrap(), SwapBoard::default());
        let vote = |board: &mut SwapBoard, node: &str, id, life, word| {
            let vote = NodeVote { id: SwapId(id), incarnation: Incarnation(life), word };
            board.votes.insert((service.clone(), name(node)), vote);
        };
        let both = view(&[("a", 1), ("b", 1)]);
        vote(&mut board, "a", 7, 1, VoteWord::Ready);
        let tally = |board: &SwapBoard, view: &ClusterView| board.tally(&service, SwapId(7), view);
        assert_eq!(tally(&board, &both), Tally::Waits(vec![name("b")]));
        vote(&mut board, "b", 6, 1, VoteWord::Ready);
        assert_eq!(tally(&board, &both), Tally::Waits(vec![name("b")]), "that was another order");
        vote(&mut board, "b", 7, 1, VoteWord::Ready);
        assert_eq!(tally(&board, &both), Tally::Agreed);
        assert_eq!(tally(&board, &view(&[("a", 1), ("b", 2)])), Tally::Waits(vec![name("b")]), "b has started again");
        assert_eq!(tally(&board, &view(&[("a", 1)])), Tally::Agreed, "who is gone need not agree");
        vote(&mut board, "b", 7, 1, VoteWord::Refused("it traps".into()));
        assert_eq!(tally(&board, &both), Tally::Refused(name("b"), "it traps".into()));
        vote(&mut board, "a", 7, 1, VoteWord::Follows);
        let stragglers = board.stragglers(&service, SwapId(7), &both);
        assert_eq!(stragglers, [(name("b"), Some("it traps".to_owned()))]);
    }
}
