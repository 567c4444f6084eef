//! Where a call goes among the nodes on which its service stands.

use super::{Authority, Deployed, FAULTS, Node, TYPES, keep};
use host::mesh::Distance;
use host::runtime::{Limits, Value};

fn types() -> Vec<Deployed> {
    vec![Deployed::new("types", "fixture-types", |spec| {
        spec.replicas.limits = Limits { concurrency: 2, ..spec.replicas.limits.clone() };
        spec.traffic.bulkhead.concurrency = 2;
    })]
}

/// The counts of `node` by endpoint.
fn requests(node: &Node) -> Vec<(String, u64)> {
    node.counts("types").into_iter().map(|(id, requests, _)| (id, requests)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_own_node_goes_first_then_the_zone_then_the_rest_and_load_spills_over() {
    let authority = Authority::new();
    let a = Node::start("node-a", authority.files("node-a"), types()).await;
    let b = Node::start("node-b", authority.files("node-b"), types()).await;
    let c = Node::start("node-c", authority.files("node-c"), types()).await;
    keep(authority);
    // The order in which the nodes are named says nothing.
    a.place("types", &[(&c, Distance::Far), (&b, Distance::Zone)]);
    for _ in 0..5 {
        a.call("types", (TYPES, "nothing"), Vec::new()).await.unwrap();
    }
    let expect = |counts: [u64; 3]| {
        let ids = ["types-0", "types@node-c", "types@node-b"].map(str::to_owned);
        ids.into_iter().zip(counts).collect::<Vec<_>>()
    };
    assert_eq!(requests(&a), expect([5, 0, 0]));
    // Two calls fill an endpoint: the next two go to the zone, and the last to the rest.
    let sleep = || a.call("types", (FAULTS, "sleep"), vec![Value::U32(3000)]);
    let (one, two, three, four, five, ()) = tokio::join!(sleep(), sleep(), sleep(), sleep(), sleep(), async {
        a.wait_for_calls("types", 5).await;
        assert_eq!(requests(&a), expect([7, 1, 2]));
    });
    assert!([one, two, three, four, five].iter().all(Result::is_ok));
    // A node that leaves takes its endpoint along; the others keep what they have counted.
    a.place("types", &[(&b, Distance::Zone)]);
    let after: Vec<_> = requests(&a).into_iter().filter(|(id, _)| id != "types@node-c").collect();
    assert_eq!(after, [("types-0".to_owned(), 7), ("types@node-b".to_owned(), 2)]);
    assert_eq!(requests(&a).len(), 2);
}

/// Without another node a call costs and reaches what it did: nothing of a cluster is in the table.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_another_node_stays_on_the_node_that_it_came_to() {
    let authority = Authority::new();
    let a = Node::start(
        "node-a",
        authority.files("node-a"),
        vec![Deployed::new("types", "fixture-types", super::elsewhere)],
    )
    .await;
    let b = Node::start(
        "node-b",
        authority.files("node-b"),
        vec![Deployed::new("types", "fixture-types", super::elsewhere)],
    )
    .await;
    keep(authority);
    // Each takes the other for the one that has instances.
    a.place("types", &[(&b, Distance::Zone)]);
    b.place("types", &[(&a, Distance::Zone)]);
    let error = a.call("types", (TYPES, "nothing"), Vec::new()).await.unwrap_err();
    assert_eq!(error.kind, host::base::ErrorKind::NoEndpoint);
    assert!(error.detail.contains("no instance of it is on this node"), "{error}");
    assert_eq!(requests(&a), [("types@node-b".to_owned(), 1)]);
    assert_eq!(requests(&b), [("types@node-a".to_owned(), 0)]);
}
