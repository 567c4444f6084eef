//! Which nodes are believed to live, as far as leases, rows and probes have shown it.
//!
//! A lease that has ended is a doubt, and no death: the registry may have lost it, or the node may have lost the
//! registry. A doubt becomes an eviction when the registry has had time to be told otherwise; a node that somebody
//! reaches stays.

use super::node_name::NodeName;
use super::node_row::{Incarnation, NodeRow, Standing};
use super::view::ClusterView;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most nodes of a cluster, the most rows, and the most orders of other nodes. Further ones are ignored.
const MOST: usize = 4096;

/// When a node that is doubted leaves the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvictionRule {
    /// How long this node's own connection must have been up before it evicts anybody: a lease, in which each node that
    /// lives renews its own.
    pub grace: Duration,
    /// At most so many nodes are evicted within one `grace` without a probe, or one in `one_in` of all if that is more.
    /// The count is of nodes, and it frees itself: a small fleet does not freeze, and a large one does not vanish.
    pub floor: usize,
    /// As `floor` says; at least 1.
    pub one_in: usize,
    /// For how long a doubted node waits for somebody to try to reach it: as long as a try may take. Zero: nobody
    /// tries.
    pub probe: Duration,
}

impl EvictionRule {
    /// The rule for leases of this length.
    pub fn of(lease: Duration) -> Self {
        Self { grace: lease, floor: 2, one_in: 3, probe: Duration::ZERO }
    }
}

/// The connection of this node to the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coverage {
    /// There is none, or its news do not come.
    Away,
    /// It is there, and the registry tells what it has.
    Listing { up: Instant },
    /// The registry has told all, and tells each change.
    Listed { up: Instant },
}

/// A node that had a lease.
#[derive(Debug, Clone)]
struct Member {
    incarnation: Incarnation,
    /// Since when it has no lease; `None`: it has one.
    doubted: Option<Instant>,
    /// Whether the listing under way has told of its lease.
    seen: bool,
    /// When it was last reached directly.
    reached: Option<Instant>,
    /// When it was last tried in vain, and how often in a row since it was reached.
    missed: Option<(Instant, u32)>,
}

/// What operators want of a node.
#[derive(Debug, Clone, Copy)]
struct NodeOrder {
    standing: Standing,
    /// Whether the listing under way has told of it.
    seen: bool,
}

/// What one node knows of the others. It is told what happens, each time with the time, and answers with a view.
#[derive(Debug, Clone)]
pub struct MemberTable {
    rule: EvictionRule,
    own: Arc<NodeRow>,
    members: BTreeMap<NodeName, Member>,
    /// The last row of each node, also of one without a lease.
    rows: BTreeMap<NodeName, Arc<NodeRow>>,
    /// What operators want of nodes.
    orders: BTreeMap<NodeName, NodeOrder>,
    coverage: Coverage,
    /// Since when the table may be the past; `None`: it is told each change.
    stale_since: Option<Instant>,
    /// When it was last reviewed.
    reviewed: Instant,
    /// When nodes were evicted without a probe, the oldest first: those of the last `grace`.
    evicted: VecDeque<Instant>,
}

impl MemberTable {
    /// The table of the node `own`, which knows nobody yet.
    pub fn new(rule: EvictionRule, own: Arc<NodeRow>, now: Instant) -> Self {
        Self {
            rule,
            own,
            members: BTreeMap::new(),
            rows: BTreeMap::new(),
            orders: BTreeMap::new(),
            coverage: Coverage::Away,
            stale_since: Some(now),
            reviewed: now,
            evicted: VecDeque::new(),
        }
    }

    /// What this node says of itself.
    pub fn own(&self) -> &Arc<NodeRow> {
        &self.own
    }

    /// This node says something else of itself.
    pub fn set_own(&mut self, own: Arc<NodeRow>) {
        self.own = own;
    }

    /// The registry is there, and begins to tell what it has.
    pub fn listing(&mut self, now: Instant) {
        (self.coverage, self.reviewed) = (Coverage::Listing { up: now }, now);
        self.stale_since.get_or_insert(now);
        self.members.values_mut().for_each(|member| member.seen = false);
        self.orders.values_mut().for_each(|order| order.seen = false);
        // If it is still there, the registry tells of it again.
        let members = &self.members;
        self.rows.retain(|name, _| members.contains_key(name));
    }

    /// The registry has told all that it has. What it has not told of is not there any more.
    pub fn listed(&mut self, now: Instant) {
        let Coverage::Listing { up } = self.coverage else { return };
        (self.coverage, self.stale_since) = (Coverage::Listed { up }, None);
        for member in self.members.values_mut().filter(|member| !member.seen) {
            member.doubted.get_or_insert(now);
        }
        // An order that was taken back while this node could not hear of it.
        self.orders.retain(|_, order| order.seen);
    }

    /// The registry is away, or its news do not come.
    pub fn away(&mut self, now: Instant) {
        self.coverage = Coverage::Away;
        self.stale_since.get_or_insert(now);
    }

    /// The registry has not taken a write of this node in time, so it need not have taken anybody's: while a stream has
    /// no leader, leases run out whose holders live. Nobody goes until a whole lease after.
    pub fn unwritten(&mut self, now: Instant) {
        if let Coverage::Listing { up } | Coverage::Listed { up } = &mut self.coverage {
            *up = now;
        }
    }

    /// A node has its lease.
    pub fn lease(&mut self, node: &NodeName, incarnation: Incarnation) {
        let member = Member { incarnation, doubted: None, seen: true, reached: None, missed: None };
        let is_full = self.members.len() >= MOST;
        match self.members.get_mut(node) {
            Some(known) if known.incarnation == incarnation => (known.doubted, known.seen) = (None, true),
            Some(known) => *known = member,
            None if *node == self.own.name || is_full => {}
            None => {
                self.members.insert(node.clone(), member);
            }
        }
    }

    /// A node's lease has run out.
    pub fn lease_ended(&mut self, node: &NodeName, now: Instant) {
        if let Some(member) = self.members.get_mut(node) {
            member.doubted.get_or_insert(now);
        }
    }

    /// A node has given its lease back: it goes.
    pub fn left(&mut self, node: &NodeName) {
        self.members.remove(node);
        self.rows.remove(node);
    }

    /// What a node says of itself.
    pub fn row(&mut self, row: Arc<NodeRow>) {
        if self.rows.len() < MOST || self.rows.contains_key(&row.name) {
            self.rows.insert(row.name.clone(), row);
        }
    }

    /// The registry has no row of a node any more. One that lives will say it again.
    pub fn row_gone(&mut self, node: &NodeName) {
        if !self.members.contains_key(node) {
            self.rows.remove(node);
        }
    }

    /// What operators want of a node; `None`: nothing in particular.
    pub fn order(&mut self, node: &NodeName, standing: Option<Standing>) {
        let has_room = self.orders.len() < MOST || self.orders.contains_key(node) || *node == self.own.name;
        match standing {
            Some(standing) if has_room => self.orders.insert(node.clone(), NodeOrder { standing, seen: true }),
            Some(_) => None,
            None => self.orders.remove(node),
        };
    }

    /// Somebody of this node tries to reach each node that is doubted, and knows after `longest` at the latest.
    pub fn expect_probes(&mut self, longest: Duration) {
        self.rule.probe = longest;
    }

    /// Whether somebody of this node has reached a node directly just now.
    pub fn probed(&mut self, node: &NodeName, reached: bool, now: Instant) {
        let Some(member) = self.members.get_mut(node) else { return };
        if reached {
            (member.reached, member.missed) = (Some(now), None);
        } else {
            let before = member.missed.map_or(0, |(_, times)| times);
            member.missed = Some((now, before.saturating_add(1)));
        }
    }

    /// Evicts those whose time has come. Returns who that was. It must be called every quarter of the rule's `grace`.
    /// If it was not for half of that time, this process has slept, and the news that it has are old.
    pub fn review(&mut self, now: Instant) -> Vec<(NodeName, Incarnation)> {
        if self.reviewed + self.rule.grace / 2 < now && self.rule.grace > Duration::ZERO {
            self.away(now);
        }
        self.reviewed = now;
        let Some(rested) = self.rested().filter(|rested| *rested <= now) else { return Vec::new() };
        while self.evicted.front().is_some_and(|at| *at + self.rule.grace <= now) {
            self.evicted.pop_front();
        }
        let mut doubted: Vec<_> = self.members.iter().filter_map(|(name, one)| Some((one.doubted?, name))).collect();
        doubted.sort_unstable();
        let all = self.members.len() + self.evicted.len();
        let mut left = self.most(all).saturating_sub(self.evicted.len());
        let mut gone = Vec::new();
        for (since, name) in doubted {
            let Some(Member { reached, missed, .. }) = self.members.get(name) else { continue };
            let reached = reached.is_some_and(|at| at + self.rule.grace > now);
            let missed = missed.filter(|(at, _)| *at >= since).map_or(0, |(_, times)| times);
            // It lives, whatever the registry says. One try in vain may be a packet that was lost.
            if reached && missed < 2 {
                continue;
            }
            if missed > 0 {
                gone.push((name.clone(), false));
            // Otherwise somebody is about to try: a node that has lost the registry alone is there all the same.
            } else if since.max(rested) + self.rule.probe <= now && left > 0 {
                left -= 1;
                gone.push((name.clone(), true));
            }
        }
        let evict = |(name, counts): (NodeName, bool)| {
            if counts {
                self.evicted.push_back(now);
            }
            // Its row stays while the registry has it: if it gets its lease back, nobody tells of the row again.
            self.members.remove(&name).map(|member| (name, member.incarnation))
        };
        gone.into_iter().filter_map(evict).collect()
    }

    fn most(&self, all: usize) -> usize {
        self.rule.floor.max(all / self.rule.one_in.max(1))
    }

    /// From when on nodes may be evicted; `None`: not while the registry is away or still lists.
    fn rested(&self) -> Option<Instant> {
        match self.coverage {
            Coverage::Listed { up } => Some(up + self.rule.grace),
            Coverage::Away | Coverage::Listing { .. } => None,
        }
    }

    /// What operators want of this node.
    pub fn own_order(&self) -> Option<Standing> {
        self.orders.get(&self.own.name).map(|order| order.standing)
    }

    /// Whether the registry must tell all that it has, anew.
    pub fn is_away(&self) -> bool {
        self.coverage == Coverage::Away
    }

    /// Since when the table may be the past; `None`: it is told each change.
    pub fn stale_since(&self) -> Option<Instant> {
        self.stale_since
    }

    /// The nodes that have no lease and would be evicted now unless somebody reached them lately.
    pub fn to_probe(&self, now: Instant) -> impl Iterator<Item = &NodeName> {
        let may_evict = self.rested().is_some_and(|rested| rested <= now);
        let lately = self.rule.grace / 4;
        let is_due = move |one: &Member| one.doubted.is_some() && one.reached.is_none_or(|at| at + lately <= now);
        self.members.iter().filter(move |(_, member)| may_evict && is_due(member)).map(|(name, _)| name)
    }

    /// The nodes that have no lease and are believed to live all the same.
    pub fn doubted(&self) -> impl Iterator<Item = &NodeName> {
        self.members.iter().filter(|(_, member)| member.doubted.is_some()).map(|(name, _)| name)
    }

    /// All nodes that are believed to live.
    pub fn view(&self) -> ClusterView {
        let living = self.members.iter().filter_map(|(name, member)| {
            let row = self.rows.get(name).filter(|row| row.incarnation == member.incarnation)?;
            Some((name.clone(), self.ordered(row)))
        });
        let own = [(self.own.name.clone(), self.ordered(&self.own))];
        let nodes = living.chain(own).collect();
        ClusterView { own: self.own.name.clone(), nodes, stale: self.stale_since.is_some() }
    }

    /// The row as operators want it: they need not wait for the node to hear of it.
    fn ordered(&self, row: &Arc<NodeRow>) -> Arc<NodeRow> {
        match self.orders.get(&row.name) {
            Some(NodeOrder { standing, .. }) if *standing > row.standing => {
                Arc::new(NodeRow { standing: *standing, ..(**row).clone() })
            }
            _ => Arc::clone(row),
        }
    }
}
