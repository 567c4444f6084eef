//! The table of the others, case by case, and against what must hold for any order of events.

use super::fleet::{name, row};
use crate::membership::{EvictionRule, Incarnation, MemberTable, NodeName, NodeRow, Standing};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The time between two reviews.
const TICK: Duration = Duration::from_millis(1500);
const LEASE: Duration = Duration::from_secs(6);

/// The table of node 0 that knows the nodes up to `most`, by a connection that is a lease old; and the time.
fn table(most: usize) -> (MemberTable, Instant) {
    let start = Instant::now();
    let mut table = MemberTable::new(EvictionRule::of(LEASE), row(0, 1), start);
    table.listing(start);
    for node in 1..=most {
        table.lease(&name(node), Incarnation(1));
        table.row(row(node, 1));
    }
    table.listed(start);
    let mut now = start;
    assert!(pass(&mut table, &mut now, LEASE).is_empty());
    (table, now)
}

/// Time passes, with reviews in between. Returns who went.
fn pass(table: &mut MemberTable, now: &mut Instant, time: Duration) -> Vec<NodeName> {
    let end = *now + time;
    let mut gone = Vec::new();
    while *now < end {
        *now = (*now + TICK).min(end);
        gone.extend(table.review(*now).into_iter().map(|(name, _)| name));
    }
    gone
}

fn known(table: &MemberTable) -> Vec<String> {
    table.view().nodes.keys().map(ToString::to_string).collect()
}

#[test]
fn a_row_counts_with_a_lease_of_its_incarnation() {
    let (mut table, now) = table(0);
    table.row(row(1, 1));
    assert_eq!(known(&table), ["n0"], "a row without a lease is no row");
    table.lease(&name(1), Incarnation(1));
    assert_eq!(known(&table), ["n0", "n1"]);
    table.lease(&name(1), Incarnation(2));
    assert_eq!(known(&table), ["n0"], "the row is that of the life before");
    table.row(row(1, 2));
    assert_eq!(known(&table), ["n0", "n1"]);
    table.left(&name(1));
    assert_eq!(known(&table), ["n0"]);
    assert!(table.review(now).is_empty());
    // Another process with this node's name changes nothing here.
    table.lease(&name(0), Incarnation(9));
    assert_eq!(table.view().nodes[&name(0)].incarnation, Incarnation(1));
}

#[test]
fn a_node_whose_lease_ends_goes_at_once_and_comes_back_with_its_row() {
    let (mut table, now) = table(5);
    table.lease_ended(&name(2), now);
    assert_eq!(known(&table).len(), 6, "a doubt is no death");
    assert_eq!(table.review(now), [(name(2), Incarnation(1))]);
    table.lease(&name(2), Incarnation(1));
    assert_eq!(known(&table).len(), 6, "the registry does not tell of the row again");
}

#[test]
fn while_the_registry_is_away_and_a_lease_after_it_nobody_goes() {
    let (mut table, mut now) = table(9);
    table.lease_ended(&name(1), now);
    let away = now;
    table.away(now);
    assert!(pass(&mut table, &mut now, 100 * LEASE).is_empty() && table.view().stale && table.is_away());
    assert_eq!((table.stale_since(), known(&table).len()), (Some(away), 10));
    table.listing(now);
    assert!(table.review(now).is_empty() && table.view().stale && !table.is_away());
    // It has forgotten everybody; half of the nodes have told it again already.
    for node in 1..=5 {
        table.lease(&name(node), Incarnation(1));
    }
    table.listed(now);
    assert!(!table.view().stale && table.stale_since().is_none());
    assert_eq!(table.doubted().count(), 4);
    assert!(pass(&mut table, &mut now, LEASE - Duration::from_millis(1)).is_empty());
    table.lease(&name(6), Incarnation(1));
    now += Duration::from_millis(1);
    let gone = [7, 8, 9].map(|node| (name(node), Incarnation(1)));
    assert_eq!(table.review(now), gone, "those that had a whole lease, and did not come");
}

#[test]
fn while_the_registry_takes_no_writes_and_a_lease_after_it_nobody_goes() {
    let (mut table, mut now) = table(3);
    // Its leader is dead: news would come, and there are none. Then the next leader ends all leases at once.
    now += TICK;
    table.unwritten(now);
    (1..=3).for_each(|node| table.lease_ended(&name(node), now));
    assert!(pass(&mut table, &mut now, LEASE - TICK).is_empty());
    assert_eq!(known(&table).len(), 4);
    assert!(!table.view().stale, "the registry tells what it knows");
    (1..=2).for_each(|node| table.lease(&name(node), Incarnation(1)));
    assert_eq!(pass(&mut table, &mut now, LEASE), [name(3)], "who does not come back goes");
}

#[test]
fn a_process_that_slept_asks_anew_before_it_evicts_anybody() {
    let (mut table, mut now) = table(3);
    now += LEASE;
    // What waited in its socket while it slept.
    table.lease_ended(&name(1), now);
    assert!(table.review(now).is_empty() && table.is_away() && table.view().stale);
}

#[test]
fn of_a_fleet_that_vanishes_a_third_of_the_rest_goes_in_each_lease_and_two_at_least() {
    for (fleet, steps) in [(60, vec![20, 13, 9]), (3, vec![2, 1]), (1, vec![1])] {
        let (mut table, mut now) = table(fleet);
        (1..=fleet).for_each(|node| table.lease_ended(&name(node), now));
        for step in steps {
            assert_eq!(table.review(now).len(), step, "of {fleet}");
            assert!(pass(&mut table, &mut now, LEASE - Duration::from_millis(1)).is_empty());
            now += Duration::from_millis(1);
        }
        assert!(fleet > 3 || known(&table) == ["n0"]);
    }
}

#[test]
fn a_probe_overrules_the_registry_both_ways() {
    let (mut table, mut now) = table(30);
    (1..=30).for_each(|node| table.lease_ended(&name(node), now));
    for node in 1..=28 {
        table.probed(&name(node), false, now);
    }
    table.probed(&name(29), true, now);
    assert_eq!(table.review(now).len(), 29, "28 are dead, and one is not known");
    assert_eq!(known(&table), ["n0", "n29"]);
    for _ in 0..20 {
        table.probed(&name(29), true, now);
        assert!(pass(&mut table, &mut now, LEASE / 2).is_empty(), "it is reached");
    }
    assert_eq!(pass(&mut table, &mut now, LEASE / 2), [name(29)], "nobody has reached it for a lease");
}

#[test]
fn a_doubted_node_waits_for_whoever_is_about_to_try_it() {
    let (mut table, mut now) = table(3);
    table.expect_probes(2 * TICK);
    (1..=3).for_each(|node| table.lease_ended(&name(node), now));
    table.probed(&name(1), true, now);
    table.probed(&name(2), false, now);
    assert_eq!(table.review(now), [(name(2), Incarnation(1))], "it was not reached");
    assert!(pass(&mut table, &mut now, TICK).is_empty(), "one is reached, and one is being tried");
    assert_eq!(pass(&mut table, &mut now, TICK), [name(3)], "whoever tried it says nothing");
    assert_eq!(table.doubted().collect::<Vec<_>>(), [&name(1)]);
}

#[test]
fn one_try_in_vain_evicts_nobody_who_was_reached() {
    let (mut table, mut now) = table(2);
    table.lease_ended(&name(1), now);
    table.probed(&name(1), true, now);
    assert_eq!(table.to_probe(now).count(), 0, "it was reached just now");
    now += LEASE / 4;
    assert_eq!(table.to_probe(now).collect::<Vec<_>>(), [&name(1)], "and not the one that has its lease");
    table.probed(&name(1), false, now);
    assert!(table.review(now).is_empty(), "a packet may be lost");
    table.probed(&name(1), true, now);
    table.probed(&name(1), false, now);
    assert!(table.review(now).is_empty(), "it was reached in between");
    table.probed(&name(1), false, now);
    assert_eq!(table.review(now), [(name(1), Incarnation(1))], "twice in a row");
}

#[test]
fn nobody_is_tried_while_nobody_can_be_evicted() {
    let (mut table, now) = table(1);
    table.lease_ended(&name(1), now);
    table.away(now);
    assert_eq!((table.to_probe(now).count(), table.doubted().count()), (0, 1));
}

#[test]
fn what_operators_want_counts_before_the_node_says_it() {
    let (mut table, _) = table(1);
    let standing = |table: &MemberTable, node| table.view().nodes[&name(node)].standing;
    table.order(&name(1), Some(Standing::Draining));
    table.order(&name(0), Some(Standing::Cordoned));
    assert_eq!((standing(&table, 1), standing(&table, 0)), (Standing::Draining, Standing::Cordoned));
    assert_eq!(table.own_order(), Some(Standing::Cordoned));
    assert_eq!(table.view().serving("users").count(), 0);
    table.order(&name(1), None);
    assert_eq!(standing(&table, 1), Standing::Living);
    table.row(Arc::new(NodeRow { standing: Standing::Draining, ..(*row(1, 1)).clone() }));
    table.order(&name(1), Some(Standing::Cordoned));
    assert_eq!(standing(&table, 1), Standing::Draining, "a node that ends says more than an operator");
}

#[test]
fn an_order_that_was_taken_back_while_the_registry_was_away_ends_with_the_next_listing() {
    let (mut table, mut now) = table(2);
    table.order(&name(0), Some(Standing::Draining));
    table.order(&name(1), Some(Standing::Cordoned));
    table.order(&name(2), Some(Standing::Cordoned));
    table.away(now);
    pass(&mut table, &mut now, 10 * LEASE);
    table.listing(now);
    assert_eq!(table.own_order(), Some(Standing::Draining), "the last table is used until the listing is whole");
    for node in 1..=2 {
        table.lease(&name(node), Incarnation(1));
        table.row(row(node, 1));
    }
    table.order(&name(2), Some(Standing::Cordoned));
    table.listed(now);
    assert_eq!(table.own_order(), None);
    let standings = [0, 1, 2].map(|node| table.view().nodes[&name(node)].standing);
    assert_eq!(standings, [Standing::Living, Standing::Living, Standing::Cordoned]);
}

#[test]
fn orders_have_a_bound_and_this_nodes_own_is_beyond_it() {
    let (mut table, _) = table(0);
    for node in 1..=5_000 {
        table.order(&name(node), Some(Standing::Cordoned));
    }
    table.order(&name(0), Some(Standing::Draining));
    assert_eq!(table.own_order(), Some(Standing::Draining));
    let ordered = |table: &mut MemberTable, node| {
        table.lease(&name(node), Incarnation(1));
        table.row(row(node, 1));
        table.view().nodes[&name(node)].standing
    };
    assert_eq!(ordered(&mut table, 4_096), Standing::Cordoned);
    assert_eq!(ordered(&mut table, 4_097), Standing::Living, "the table has 4,096 orders already");
}

#[derive(Debug, Clone)]
enum Happening {
    Wait(u64),
    Away,
    Listing,
    Listed,
    Lease(usize, u64),
    Ended(usize),
    Left(usize),
    Row(usize, u64),
    Probed(usize, bool),
    Order(usize, bool),
}

fn happening() -> impl Strategy<Value = Happening> {
    let node = || 1_usize..12;
    prop_oneof![
        4 => (0_u64..2_000).prop_map(Happening::Wait),
        1 => Just(Happening::Away),
        2 => Just(Happening::Listing),
        4 => Just(Happening::Listed),
        6 => (node(), 1_u64..3).prop_map(|(node, life)| Happening::Lease(node, life)),
        6 => node().prop_map(Happening::Ended),
        1 => node().prop_map(Happening::Left),
        4 => (node(), 1_u64..3).prop_map(|(node, life)| Happening::Row(node, life)),
        2 => (node(), any::<bool>()).prop_map(|(node, reached)| Happening::Probed(node, reached)),
        2 => (0_usize..3, any::<bool>()).prop_map(|(node, given)| Happening::Order(node, given)),
    ]
}

/// What a node with no rules at all would remember.
#[derive(Default)]
struct NaiveNotes {
    /// Since when the connection is up, and whether a list is whole.
    up: Option<Instant>,
    listed: bool,
    /// Each node's last lease: its incarnation, and whether it has not ended.
    leases: BTreeMap<usize, (u64, bool)>,
    told: Vec<usize>,
    probes: BTreeMap<usize, (bool, Instant)>,
    /// The orders, and those that the listing under way has told of.
    orders: BTreeSet<usize>,
    told_orders: BTreeSet<usize>,
    /// When nodes went that nobody had probed.
    evicted: Vec<(Instant, usize)>,
}

impl NaiveNotes {
    fn note(&mut self, what: &Happening, now: Instant) {
        match *what {
            Happening::Away => (self.up, self.listed) = (None, false),
            Happening::Listing => {
                self.up = Some(now);
                (self.listed, self.told, self.told_orders) = (false, Vec::new(), BTreeSet::new());
            }
            Happening::Listed if self.up.is_some() && !self.listed => {
                self.listed = true;
                let told = std::mem::take(&mut self.told);
                self.leases.iter_mut().filter(|(node, _)| !told.contains(node)).for_each(|(_, lease)| lease.1 = false);
                self.orders = self.told_orders.clone();
            }
            Happening::Lease(node, life) => {
                if self.leases.get(&node).is_none_or(|(known, _)| *known != life) {
                    self.probes.remove(&node);
                }
                self.leases.insert(node, (life, true));
                self.told.push(node);
            }
            Happening::Ended(node) => {
                self.leases.entry(node).and_modify(|lease| lease.1 = false);
            }
            Happening::Left(node) => {
                self.leases.remove(&node);
                self.probes.remove(&node);
            }
            Happening::Probed(node, reached) if self.leases.contains_key(&node) => {
                self.probes.insert(node, (reached, now));
            }
            Happening::Order(node, given) => {
                for orders in [&mut self.orders, &mut self.told_orders] {
                    if given {
                        orders.insert(node)
                    } else {
                        orders.remove(&node)
                    };
                }
            }
            _ => {}
        }
    }
}

fn tell(table: &mut MemberTable, what: &Happening, now: Instant) {
    match *what {
        Happening::Wait(_) => {}
        Happening::Away => table.away(now),
        Happening::Listing => table.listing(now),
        Happening::Listed => table.listed(now),
        Happening::Lease(node, life) => table.lease(&name(node), Incarnation(life)),
        Happening::Ended(node) => table.lease_ended(&name(node), now),
        Happening::Left(node) => table.left(&name(node)),
        Happening::Row(node, life) => table.row(row(node, life)),
        Happening::Probed(node, reached) => table.probed(&name(node), reached, now),
        Happening::Order(node, given) => table.order(&name(node), given.then_some(Standing::Draining)),
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_promises_of_the_room_hold(events in prop::collection::vec(happening(), 1..120)) {
        let mut now = Instant::now();
        let mut table = MemberTable::new(EvictionRule::of(LEASE), row(0, 1), now);
        let mut notes = NaiveNotes::default();
        for what in events {
            if let Happening::Wait(millis) = what {
                now += Duration::from_millis(millis);
            }
            tell(&mut table, &what, now);
            notes.note(&what, now);
            let all = notes.leases.len();
            for (gone, _) in table.review(now) {
                let node: usize = gone.as_str()[1..].parse().unwrap();
                let (_, living) = notes.leases.remove(&node).expect("it was there");
                prop_assert!(!living, "a node with a lease goes");
                prop_assert!(notes.listed && notes.up.is_some_and(|up| up + LEASE <= now), "too early after {what:?}");
                let probe = notes.probes.remove(&node);
                prop_assert!(!probe.is_some_and(|(reached, at)| reached && at + LEASE > now), "it was reached");
                if probe.is_none_or(|(reached, _)| reached) {
                    notes.evicted.push((now, all));
                }
            }
            let recent: Vec<_> = notes.evicted.iter().filter(|(at, _)| *at + LEASE > now).collect();
            let most = recent.iter().map(|(_, all)| 2.max((all + recent.len()) / 3)).max().unwrap_or(2);
            prop_assert!(recent.len() <= most, "{} went within a lease", recent.len());
            let view = table.view();
            prop_assert!(view.nodes.contains_key(&name(0)));
            prop_assert_eq!(view.stale, !notes.listed);
            prop_assert_eq!(table.own_order().is_some(), notes.orders.contains(&0));
            for row in view.others() {
                let node: usize = row.name.as_str()[1..].parse().unwrap();
                prop_assert_eq!(notes.leases.get(&node).map(|(life, _)| *life), Some(row.incarnation.0));
            }
        }
        // No doubt lasts for ever.
        table.listing(now);
        table.listed(now);
        pass(&mut table, &mut now, 8 * LEASE);
        prop_assert_eq!(table.doubted().count(), 0);
    }
}
