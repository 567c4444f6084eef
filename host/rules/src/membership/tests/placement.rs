//! Which nodes a service stands on: spread, stability, bounds, and the order of a move.

use super::fleet::name;
use crate::base::{Digest, ServiceName};
use crate::membership::{
    ClusterView, Incarnation, NodeName, NodeRow, PlaceOrder, Placement, PlacementRule, ServiceRow, Standing, ZoneName,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A node: its zone, its standing, and whether it has the service.
type Sketch = (Option<u8>, Standing, bool);

fn users() -> ServiceName {
    ServiceName::new("users").unwrap()
}

fn zone(zone: u8) -> ZoneName {
    ZoneName::new(&format!("z{zone}")).unwrap()
}

fn row(node: usize, (place, standing, serves): Sketch) -> Arc<NodeRow> {
    let served = ServiceRow { service: users(), revision: Digest([7; 32]), replicas: 1, load: 0 };
    let services = if serves { vec![served] } else { Vec::new() };
    let (name, zone, address) = (name(node), place.map(zone), String::new());
    let (incarnation, cannot) = (Incarnation(1), BTreeSet::new());
    Arc::new(NodeRow { name, incarnation, zone, address, standing, services, cannot, gateway: None })
}

fn view(nodes: &[Sketch]) -> ClusterView {
    let rows = nodes.iter().enumerate().map(|(at, sketch)| row(at, *sketch));
    ClusterView { own: name(0), nodes: rows.map(|row| (row.name.clone(), row)).collect(), stale: false }
}

fn without(view: &ClusterView, node: &NodeName) -> ClusterView {
    let mut less = view.clone();
    less.nodes.remove(node);
    less
}

fn anywhere(count: usize) -> Placement {
    Placement { rules: Vec::new(), count }
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let standing =
        prop_oneof![6 => Just(Standing::Living), 1 => Just(Standing::Cordoned), 1 => Just(Standing::Draining)];
    (prop::option::weighted(0.9, 0_u8..4), standing, any::<bool>())
}

proptest! {
    #[test]
    fn a_service_has_its_number_of_fit_nodes_spread_over_the_zones(
        nodes in prop::collection::vec(sketch(), 1..40), count in 1_usize..8,
    ) {
        let view = view(&nodes);
        let chosen = anywhere(count).nodes(&users(), &view);
        let fit = |row: &&Arc<NodeRow>| match row.standing {
            Standing::Living => true,
            Standing::Cordoned => !row.services.is_empty(),
            Standing::Draining => false,
        };
        let fit: Vec<_> = view.nodes.values().filter(fit).collect();
        prop_assert_eq!(chosen.len(), count.min(fit.len()));
        prop_assert!(chosen.iter().all(|name| fit.iter().any(|row| row.name == *name)));
        // A zone has two more than another one only if that has no node left.
        let mut zones: BTreeMap<_, (usize, usize)> = BTreeMap::new();
        for row in &fit {
            let (taken, there) = zones.entry(row.zone.clone()).or_default();
            *there += 1;
            *taken += usize::from(chosen.contains(&row.name));
        }
        let most = zones.values().map(|(taken, _)| *taken).max().unwrap_or(0);
        prop_assert!(zones.values().all(|(taken, there)| taken + 1 >= most || taken == there), "{:?}", zones);
    }

    #[test]
    fn a_node_that_goes_moves_what_it_had_and_nothing_else(
        nodes in prop::collection::vec(sketch(), 2..40), count in 1_usize..8, gone in any::<prop::sample::Index>(),
    ) {
        let view = view(&nodes);
        let before = anywhere(count).nodes(&users(), &view);
        let gone = name(gone.index(nodes.len()));
        let after = anywhere(count).nodes(&users(), &without(&view, &gone));
        let moved: BTreeSet<_> = after.difference(&before).collect();
        // Read backwards: a node that comes takes one place at most, and no third node changes.
        prop_assert_eq!(before.difference(&after).cloned().collect::<Vec<_>>(),
            if before.contains(&gone) { vec![gone] } else { Vec::new() });
        prop_assert!(moved.len() <= before.len().saturating_sub(before.intersection(&after).count()));
    }

    #[test]
    fn rules_bound_where_it_stands(nodes in prop::collection::vec(sketch(), 1..30), count in 1_usize..8) {
        let view = view(&nodes);
        let rules = vec![PlacementRule::Zone(zone(1)), PlacementRule::Node(name(3))];
        let chosen = Placement { rules, count }.nodes(&users(), &view);
        for name in &chosen {
            let row = &view.nodes[name];
            prop_assert!(row.zone == Some(zone(1)) || row.name.as_str() == "n3");
        }
        prop_assert!(chosen.len() <= count);
    }
}

#[test]
fn many_services_load_equal_nodes_about_equally() {
    let nodes: Vec<Sketch> = (0_u8..12).map(|node| (Some(node % 3), Standing::Living, false)).collect();
    let (view, mut loads) = (view(&nodes), BTreeMap::<NodeName, usize>::new());
    for number in 0..400 {
        let service = ServiceName::new(&format!("service-{number}")).unwrap();
        for node in anywhere(2).nodes(&service, &view) {
            *loads.entry(node).or_default() += 1;
        }
    }
    // 800 places on 12 nodes are 67 each; by chance alone one in a thousand nodes would be 27 away from that.
    let (least, most) = (loads.values().min().unwrap(), loads.values().max().unwrap());
    assert!(loads.len() == 12 && *least > 40 && *most < 94, "{loads:?}");
}

#[test]
fn a_node_that_cannot_start_it_is_passed_over_until_it_says_otherwise() {
    let living = (Some(0), Standing::Living, false);
    let mut view = view(&[living, living, living]);
    let first = anywhere(1).nodes(&users(), &view).pop_first().unwrap();
    view.own = first.clone();
    assert_eq!(anywhere(1).order(&users(), &view), PlaceOrder::Have);
    let whole = Arc::clone(&view.nodes[&first]);
    let cannot = NodeRow { cannot: BTreeSet::from([users()]), ..(*whole).clone() };
    view.nodes.insert(first.clone(), Arc::new(cannot));
    let second = anywhere(1).nodes(&users(), &view).pop_first().unwrap();
    assert_ne!(second, first);
    assert_ne!(anywhere(1).order(&users(), &view), PlaceOrder::Have);
    let other = ServiceName::new("orders").unwrap();
    assert_eq!(anywhere(3).nodes(&other, &view).len(), 3, "it is of that service alone");
    view.nodes.insert(first.clone(), whole);
    assert_eq!(anywhere(1).nodes(&users(), &view), BTreeSet::from([first]));
}

#[test]
fn a_node_leaves_when_those_in_its_place_are_ready_and_never_by_a_view_of_the_past() {
    let own = |standing, serves| (Some(0), standing, serves);
    let order = |view: &ClusterView| anywhere(1).order(&users(), view);
    let mut drained = view(&[own(Standing::Draining, true), (Some(1), Standing::Living, false)]);
    assert_eq!(order(&drained), PlaceOrder::Stay, "nobody else has it");
    drained.nodes.insert(name(1), row(1, (Some(1), Standing::Living, true)));
    assert_eq!(order(&drained), PlaceOrder::Leave);
    drained.stale = true;
    assert_eq!(order(&drained), PlaceOrder::Stay);
    let alone = view(&[own(Standing::Living, false)]);
    assert_eq!(order(&alone), PlaceOrder::Have);
    let nowhere = view(&[own(Standing::Draining, true), (None, Standing::Draining, true)]);
    assert_eq!(order(&nowhere), PlaceOrder::Stay, "there is no better place");
    // A cordoned node keeps what it has, and gets nothing.
    let cordoned = view(&[own(Standing::Cordoned, true)]);
    assert_eq!(order(&cordoned), PlaceOrder::Have);
    let cordoned = view(&[own(Standing::Cordoned, false)]);
    assert_eq!(order(&cordoned), PlaceOrder::Stay);
}
