//! What one node has said of swaps, and what it has to say next.
//!
//! A node has one vote on each service, so the last one counts. While the nodes are asked about a swap, nothing else is
//! said of its service: a word on what is wanted before it would take back the vote for it.

use super::agreement::{SwapBoard, SwapId, SwapProposal, VoteWord};
use crate::base::ServiceName;
use std::collections::BTreeMap;

/// What this node has last said of each service.
#[derive(Debug, Clone, Default)]
pub struct SwapVoter {
    said: BTreeMap<ServiceName, (SwapId, VoteWord)>,
}

impl SwapVoter {
    /// The swaps that this node has to try and has not voted on.
    pub fn unvoted(&self, board: &SwapBoard) -> Vec<(ServiceName, SwapProposal)> {
        let open = board.proposals.iter();
        let open = open.filter(|(service, swap)| self.said.get(*service).is_none_or(|(id, _)| *id != swap.id));
        open.map(|(service, swap)| (service.clone(), swap.clone())).collect()
    }

    /// Whether this word is to be written: nobody is being asked about another swap, and it was not said before.
    pub fn has_to_say(&self, board: &SwapBoard, service: &ServiceName, (id, word): (SwapId, &VoteWord)) -> bool {
        let other = board.proposals.get(service).is_some_and(|open| open.id != id);
        !other && self.said.get(service).is_none_or(|(said, before)| *said != id || before != word)
    }

    /// This word was written.
    pub fn said(&mut self, service: &ServiceName, id: SwapId, word: VoteWord) {
        self.said.insert(service.clone(), (id, word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Digest;
    use crate::membership::{ClusterView, Incarnation, NodeName, NodeRow, NodeVote, Standing, Tally, WantedRevision};
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    /// A node that follows: it votes for what is asked, then takes what is wanted. Returns how much it has written.
    fn look(voter: &mut SwapVoter, serves: &mut Digest, node: &NodeName, board: &mut SwapBoard) -> usize {
        let known = board.clone();
        let mut written = 0;
        let mut say = |voter: &mut SwapVoter, service: &ServiceName, id, word: VoteWord| {
            if voter.has_to_say(&known, service, (id, &word)) {
                let vote = NodeVote { id, incarnation: Incarnation(1), word: word.clone() };
                board.votes.insert((service.clone(), node.clone()), vote);
                voter.said(service, id, word);
                written += 1;
            }
        };
        for (service, swap) in voter.unvoted(&known) {
            say(voter, &service, swap.id, VoteWord::Ready);
        }
        for (service, wanted) in &known.wanted {
            *serves = wanted.digest;
            say(voter, service, wanted.id, VoteWord::Follows);
        }
        written
    }

    proptest! {
            /// One swap after the other, while the nodes look in any order: each node that has looked once has voted,
            /// however often it looks again, and writes at most two words for each swap.
            #[test]
            fn one_swap_after_the_other_is_agreed_on_and_followed(
                looks in prop::collection::vec(prop::collection::vec(0_usize..3, 0..12), 8),
            ) {
                let service = ServiceName::new("users").unwrap();
                let names = ["a", "b", "c"].map(|name| NodeName::new(name).unwrap());
                let row = |name: &NodeName| NodeRow {
                    name: name.clone(),
                    incarnation: Incarnation(1),
                    zone: None,
                    address: String::new(),
                    standing: Standing::Living,
                    services: Vec::new(),
    cannot: BTreeSet::new(),
                    gateway: None,
                };
                let nodes = names.iter().map(|name| (name.clone(), Arc::new(row(name)))).collect();
                let view = ClusterView { own: names[0].clone(), nodes, stale: false };
                let (mut board, mut written) = (SwapBoard::default(), 0);
                let mut nodes = names.clone().map(|name| (SwapVoter::default(), Digest([0; 32]), name));
                for (at, looks) in looks.chunks(2).enumerate() {
                    let (id, digest) = (SwapId(at as u64), Digest([u8::try_from(at + 1).unwrap(); 32]));
                    let (node, incarnation) = (names[0].clone(), Incarnation(1));
                    let proposal = SwapProposal { id, digest, node, incarnation, rolls_back: false };
                    board.proposals.insert(service.clone(), proposal);
                    for node in looks[0].iter().copied().chain(0..3) {
                        let (voter, serves, name) = &mut nodes[node];
                        written += look(voter, serves, name, &mut board);
                        // Whoever has looked once has voted, and no later look takes that back.
                        prop_assert_eq!(board.votes[&(service.clone(), name.clone())].id, id);
                    }
                    prop_assert_eq!(board.tally(&service, id, &view), Tally::Agreed);
                    // Every other one is refused after all: then nothing changes.
                    if at % 2 == 0 {
                        let (by, why) = (String::new(), None);
                        let wanted = WantedRevision { id, digest, previous: None, rolls_back: false, by, why };
                        board.wanted.insert(service.clone(), wanted);
                    }
                    board.proposals.remove(&service);
                    for node in looks[1].iter().copied().chain(0..3) {
                        let (voter, serves, name) = &mut nodes[node];
                        written += look(voter, serves, name, &mut board);
                    }
                    let wanted = board.wanted[&service].id;
                    prop_assert_eq!(board.stragglers(&service, wanted, &view), Vec::new());
                    prop_assert!(nodes.iter().all(|(_, serves, _)| *serves == board.wanted[&service].digest));
                }
                prop_assert!(written <= 2 * 3 * 4, "{} words", written);
            }
        }
}
