//! Nodes that swap one service at a time, and the registry between them: swaps as `cluster/swap_register.rs` makes
//! them, request by request. Votes, tallies and orphans are this room's rules.

mod orders;

use super::fleet::{name, row};
use super::history::{Action, Operation};
use super::sim_rng::SimRng;
use crate::base::{Digest, ServiceName};
use crate::membership::{
    ClusterView, Incarnation, NodeVote, SwapBoard, SwapId, SwapProposal, SwapVoter, Tally, VoteWord, WantedRevision,
};
use std::collections::BTreeMap;

pub(super) const NODES: usize = 4;
const LEASE: u64 = 6_000;
/// How long a proposal stands whose proposer says nothing more.
const LIFE: u64 = 15_000;
/// How long the nodes may take to vote.
const TRYING: u64 = 8_000;
/// How long one waits for an answer.
const ANSWER: u64 = 1_000;
const FAULTS_END: u64 = 120_000;
const END: u64 = FAULTS_END + 4 * LEASE;

/// The rules of a run: the protocol's, or a mutant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SwapRules {
    Right,
    /// What was agreed on is written without a look at what stands there.
    Blind,
    /// A read does not finish what was agreed on.
    Hasty,
    /// No answer is taken for a refusal.
    Sure,
}

/// What became of an operator's order, for the history. Components are numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SwapAction {
    /// This one in place of that one.
    Exchanged(u64, Option<u64>),
    /// This one, perhaps.
    Doubtful(u64),
    Read(Option<u64>),
}

impl Action for SwapAction {
    type State = Option<u64>;

    fn apply(&self, state: &Self::State) -> Option<Self::State> {
        match *self {
            Self::Exchanged(to, from) => (*state == from).then_some(Some(to)),
            Self::Doubtful(to) => Some(Some(to)),
            Self::Read(seen) => (*state == seen).then_some(*state),
        }
    }
}

/// What stands as the proposal: one, or what was agreed on in its place, with the revision of what it replaces.
#[derive(Debug, Clone)]
enum Proposed {
    Open(SwapProposal),
    Agreed(WantedRevision, u64),
}

#[derive(Debug, Clone)]
enum Request {
    LastProposal,
    LastWanted,
    PutProposal(Proposed, Option<u64>),
    PutWanted(WantedRevision, u64),
    EndProposal(u64),
}

#[derive(Debug, Clone)]
enum Reply {
    Proposal(u64, Option<Proposed>),
    Wanted(u64, Option<WantedRevision>),
    Written(u64),
    Overtaken,
    Unknown,
}

/// A swap that has been proposed.
#[derive(Debug, Clone)]
struct OpenSwap {
    proposal: SwapProposal,
    proposed: u64,
    wanted: u64,
    before: Option<WantedRevision>,
}

/// Where an order is; what is there is what it waits for.
#[derive(Debug, Clone)]
enum Stage {
    Look,
    Clear,
    Propose(SwapProposal),
    Before(OpenSwap),
    Votes(OpenSwap, u64),
    Commit(OpenSwap),
    Fate(OpenSwap),
    FateEnded,
    FateWanted(OpenSwap),
    /// Writes what was agreed on, on that revision; the proposal that says so has that other one.
    Finish(WantedRevision, u64, u64),
    FinishLook(WantedRevision, u64, u64),
    FinishEnd,
    Read,
    /// The last request of an order that is over: nobody waits for it.
    Over,
}

/// An order of an operator: a component, or `None` to see what is wanted.
#[derive(Debug, Clone)]
struct Order {
    component: Option<u64>,
    began: u64,
    stage: Stage,
    /// It was answered: the rest is done for tidiness.
    answered: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Order(usize),
    Arrival(usize, u64, Request),
    Answer(usize, u64, Reply),
    Votes(usize, u64),
    Told(usize, SwapBoard),
    Viewed(usize, ClusterView),
    Vote(usize, SwapId, VoteWord),
    View,
    Expiry(u64),
    Sleep(usize, u64),
    Restart(usize),
}

struct Node {
    life: u64,
    asleep_until: u64,
    asleep_since: u64,
    board: SwapBoard,
    view: ClusterView,
    voter: SwapVoter,
    order: Option<Order>,
    /// The number of the order: answers to an older one come too late.
    number: u64,
    told: u64,
}

pub(super) struct SwapWorld {
    rules: SwapRules,
    rng: SimRng,
    now: u64,
    steps: BTreeMap<(u64, u64), Step>,
    count: u64,
    nodes: Vec<Node>,
    revision: u64,
    proposal: (u64, Option<Proposed>),
    wanted: (u64, Option<WantedRevision>),
    votes: BTreeMap<usize, NodeVote>,
    components: u64,
    pub(super) history: Vec<Operation<SwapAction>>,
    pub(super) refused: u64,
}

fn service() -> ServiceName {
    ServiceName::new("users").unwrap()
}

fn digest(component: u64) -> Digest {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&component.to_le_bytes());
    Digest(bytes)
}

fn component(digest: Digest) -> u64 {
    u64::from_le_bytes(digest.0[..8].try_into().unwrap())
}

fn view_of(own: usize, nodes: impl Iterator<Item = (usize, u64)>) -> ClusterView {
    let nodes = nodes.map(|(node, life)| (name(node), row(node, life))).collect();
    ClusterView { own: name(own), nodes, stale: false }
}

impl SwapWorld {
    /// Runs a seed to its end.
    pub(super) fn run(seed: u64, rules: SwapRules) -> Self {
        let node = |own: usize| Node {
            life: 1,
            asleep_until: 0,
            asleep_since: 0,
            board: SwapBoard { is_whole: true, ..SwapBoard::default() },
            view: view_of(own, (0..NODES).map(|node| (node, 1))),
            voter: SwapVoter::default(),
            order: None,
            number: 0,
            told: 0,
        };
        let mut world = Self {
            rules,
            rng: SimRng::new(seed),
            now: 0,
            steps: BTreeMap::new(),
            count: 0,
            nodes: (0..NODES).map(node).collect(),
            revision: 0,
            proposal: (0, None),
            wanted: (0, None),
            votes: BTreeMap::new(),
            components: 0,
            history: Vec::new(),
            refused: 0,
        };
        world.plan();
        while let Some(((at, _), step)) = world.steps.pop_first() {
            if at > END {
                break;
            }
            world.now = at;
            world.step(step);
        }
        world.leave_open();
        world
    }

    fn plan(&mut self) {
        self.after(0, Step::View);
        for node in 0..NODES {
            let first = self.rng.between(0..=3_000);
            self.after(first, Step::Order(node));
        }
        for _ in 0..24 {
            let (node, at) = (self.rng.below(NODES), self.rng.between(2_000..=FAULTS_END));
            if self.rng.percent(30) {
                self.steps_at(at, Step::Restart(node));
            } else {
                let ends = at + self.rng.between(200..=2 * LEASE);
                self.steps_at(at, Step::Sleep(node, ends));
            }
        }
    }

    fn steps_at(&mut self, at: u64, step: Step) {
        self.count += 1;
        self.steps.insert((at, self.count), step);
    }

    fn after(&mut self, wait: u64, step: Step) {
        self.steps_at(self.now + wait, step);
    }

    fn latency(&mut self) -> u64 {
        self.rng.between(1..=80)
    }

    fn step(&mut self, step: Step) {
        // A node that sleeps does it when it wakes up.
        if let Step::Order(node)
        | Step::Answer(node, ..)
        | Step::Votes(node, _)
        | Step::Told(node, _)
        | Step::Viewed(node, _)
        | Step::Vote(node, ..) = step
            && self.nodes[node].asleep_until > self.now
        {
            self.steps_at(self.nodes[node].asleep_until, step);
            return;
        }
        match step {
            Step::Order(node) => self.order(node),
            Step::Arrival(node, number, request) => self.arrive(node, number, request),
            Step::Answer(node, number, reply) => self.answered(node, number, reply),
            Step::Votes(node, number) => self.look_at_votes(node, number),
            Step::Told(node, board) => self.told(node, board),
            Step::Viewed(node, view) => self.nodes[node].view = view,
            Step::Vote(node, id, word) => {
                let this = &self.nodes[node];
                if !this.voter.has_to_say(&this.board, &service(), (id, &word)) {
                    return;
                }
                let incarnation = Incarnation(self.nodes[node].life);
                self.nodes[node].voter.said(&service(), id, word.clone());
                self.votes.insert(node, NodeVote { id, incarnation, word });
                self.tell();
            }
            Step::View => self.share_view(),
            Step::Expiry(revision) => {
                if self.proposal.0 == revision && matches!(self.proposal.1, Some(Proposed::Open(_))) {
                    self.revision += 1;
                    self.proposal = (self.revision, None);
                    self.tell();
                }
            }
            Step::Sleep(node, until) => {
                let now = self.now;
                let node = &mut self.nodes[node];
                if node.asleep_until <= now {
                    node.asleep_since = now;
                }
                node.asleep_until = node.asleep_until.max(until);
            }
            Step::Restart(node) => self.restart(node),
        }
    }

    /// The process begins anew. What it had under way, nobody hears of any more.
    fn restart(&mut self, node: usize) {
        self.leave(node);
        let this = &mut self.nodes[node];
        (this.life, this.asleep_until, this.voter, this.order) = (this.life + 1, 0, SwapVoter::default(), None);
        this.number += 1;
        self.tell();
        self.share_view_once();
    }

    /// Whoever has ordered it hears no answer.
    fn leave(&mut self, node: usize) {
        if let Some(Order { component: Some(component), began, answered: false, .. }) = self.nodes[node].order {
            let action = SwapAction::Doubtful(component);
            self.history.push(Operation { began, ended: None, action });
        }
    }

    fn leave_open(&mut self) {
        (0..NODES).for_each(|node| self.leave(node));
    }

    fn share_view(&mut self) {
        self.share_view_once();
        self.after(500, Step::View);
    }

    /// Who has not slept for a lease lives.
    fn share_view_once(&mut self) {
        let now = self.now;
        let lives = |node: &Node| node.asleep_until <= now || now < node.asleep_since + LEASE;
        let living: Vec<_> = self.nodes.iter().map(|node| (lives(node), node.life)).collect();
        for node in 0..NODES {
            let all = living.iter().enumerate().filter(|(_, (lives, _))| *lives);
            let view = view_of(node, all.map(|(at, (_, life))| (at, *life)));
            let wait = self.latency();
            self.tell_one(node, wait, Step::Viewed(node, view));
        }
    }

    fn tell(&mut self) {
        let mut board = SwapBoard { is_whole: true, ..SwapBoard::default() };
        board.wanted.extend(self.wanted.1.clone().map(|wanted| (service(), wanted)));
        if let Some(Proposed::Open(open)) = &self.proposal.1 {
            board.proposals.insert(service(), open.clone());
        }
        board.votes = self.votes.iter().map(|(node, vote)| ((service(), name(*node)), vote.clone())).collect();
        for node in 0..NODES {
            let wait = self.latency();
            self.tell_one(node, wait, Step::Told(node, board.clone()));
        }
    }

    /// News come in order.
    fn tell_one(&mut self, node: usize, wait: u64, step: Step) {
        let at = (self.now + wait).max(self.nodes[node].told);
        self.nodes[node].told = at;
        self.steps_at(at, step);
    }

    fn told(&mut self, node: usize, board: SwapBoard) {
        self.nodes[node].board = board;
        let this = &self.nodes[node];
        let unvoted = this.voter.unvoted(&this.board);
        let follows = this.board.wanted.get(&service()).map(|wanted| wanted.id);
        let follows = follows.filter(|id| this.voter.has_to_say(&this.board, &service(), (*id, &VoteWord::Follows)));
        for (_, swap) in unvoted {
            let word = if self.rng.percent(4) { VoteWord::Refused("it does not link".into()) } else { VoteWord::Ready };
            let trying = self.rng.between(50..=1_500);
            self.after(trying, Step::Vote(node, swap.id, word));
        }
        if let Some(id) = follows {
            let taking = self.rng.between(20..=200);
            self.after(taking, Step::Vote(node, id, VoteWord::Follows));
        }
    }
}
