//! Calls to other nodes that get no answer: not sent, in doubt, or answered; and what may be tried again.

use super::{Authority, Deployed, FAULTS, Node, TYPES, context, elsewhere, keep, pair};
use futures_util::future::join_all;
use host::base::{DeadlineOwner, ErrorKind};
use host::contract::Value as _;
use host::mesh::Distance;
use host::retry;
use host::rollout::PeerPlace;
use host::runtime::Value;
use std::time::{Duration, Instant};

/// A retry policy that allows one more try.
fn retried(spec: &mut host::rollout::ServiceSpec) {
    spec.traffic.retry = retry::Settings { tries: 1, ..retry::Settings::default() };
}

/// Three nodes: `types` stands on `node-b` and on `node-c`, and `node-a` calls it with one more try.
async fn three() -> (Node, Node, Node) {
    let authority = Authority::new();
    let here = vec![Deployed::new("types", "fixture-types", |spec| {
        retried(spec);
        elsewhere(spec);
    })];
    let there = || vec![Deployed::new("types", "fixture-types", |_| {})];
    let a = Node::start("node-a", authority.files("node-a"), here).await;
    let b = Node::start("node-b", authority.files("node-b"), there()).await;
    let c = Node::start("node-c", authority.files("node-c"), there()).await;
    a.place("types", &[(&b, Distance::Zone), (&c, Distance::Far)]);
    keep(authority);
    (a, b, c)
}

/// No function here is called idempotent: what was not sent goes elsewhere all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_not_sent_goes_to_another_node() {
    let (a, mut b, c) = three().await;
    b.kill().await;
    for number in 0..3 {
        let answer = a.call("types", (TYPES, "echo-u32"), vec![Value::U32(number)]).await;
        assert_eq!(answer.unwrap().unwrap().as_integer(), Some(number.into()));
    }
    assert_eq!(c.counts("types")[0].1, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_another_node_it_says_that_it_was_not_sent() {
    let (a, mut b) = pair().await;
    b.kill().await;
    let error = a.call("types", (TYPES, "nothing"), Vec::new()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Connect);
    assert!(error.detail.starts_with("not sent to node `node-b`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_under_way_on_a_node_that_dies_is_in_doubt_and_goes_nowhere_else() {
    let (a, mut b, c) = three().await;
    let context = context();
    let call = a.call_within("types", (FAULTS, "sleep"), vec![Value::U32(60_000)], &context);
    let (outcome, ()) = tokio::join!(call, async {
        b.wait_for_calls("types", 1).await;
        b.kill().await;
    });
    let error = outcome.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Reset);
    assert!(error.detail.starts_with("in doubt at node `node-b`"), "{error}");
    assert_eq!(c.counts("types")[0].1, 0, "nobody has said that `sleep` may be called twice");
}

/// A node that drains takes no new stream (GOAWAY), and finishes those that it has.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_drains_loses_no_call() {
    let (a, b, c) = three().await;
    let sleeping = (0..20).map(|_| a.call("types", (FAULTS, "sleep"), vec![Value::U32(400)]));
    let (sleeping, ()) = tokio::join!(join_all(sleeping), async {
        b.wait_for_calls("types", 20).await;
        b.drain.start(Duration::from_secs(30));
        for _ in 0..20 {
            a.call("types", (TYPES, "nothing"), Vec::new()).await.unwrap();
        }
    });
    assert!(sleeping.iter().all(Result::is_ok), "{sleeping:?}");
    let (at_b, at_c) = (b.counts("types")[0].1, c.counts("types")[0].1);
    assert_eq!(at_b + at_c, 40, "each call was made once: {at_b} and {at_c}");
    assert!(at_c > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_the_other_node_tells_keeps_its_kind() {
    let (a, b) = pair().await;
    for (function, kind) in [("trap", ErrorKind::Trap), ("abort-memory", ErrorKind::Trap)] {
        let error = a.call("types", (FAULTS, function), Vec::new()).await.unwrap_err();
        assert!(error.kind == kind || error.kind == ErrorKind::Memory, "{error}");
        assert!(error.detail.starts_with("answered by node `node-b`"), "{error}");
    }
    // An error of the function itself is an answer like any other.
    let refused = a.call("types", (FAULTS, "refuse"), Vec::new()).await.unwrap().unwrap();
    assert!(refused.as_result().unwrap().is_err());
    // `unavailable` counts against the endpoint here as it does there.
    a.call("types", (FAULTS, "be-unavailable"), vec![Value::string("x".into())]).await.unwrap();
    let failures = |node: &Node| {
        node.registry.snapshot().get("types").unwrap().group.endpoints[0].stats.state(Instant::now()).failures
    };
    assert_eq!((failures(&a), failures(&b)), (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_ends_the_call_on_the_other_node() {
    let (a, b) = pair().await;
    let context = context();
    let mut call = Box::pin(a.call_within("types", (FAULTS, "sleep"), vec![Value::U32(60_000)], &context));
    tokio::select! {
        outcome = &mut call => panic!("{outcome:?}"),
        () = b.wait_for_calls("types", 1) => {}
    }
    drop(call);
    b.wait_for_calls("types", 0).await;
    // Many of them do no harm to the connection: the other node trusts its peers.
    let short = |_| context.within(Instant::now(), Duration::from_millis(20), DeadlineOwner::Caller);
    for _ in 0..30 {
        let contexts: Vec<_> = (0..50).map(short).collect();
        let calls = contexts.iter().map(|one| a.call_within("types", (FAULTS, "sleep"), vec![Value::U32(5000)], one));
        join_all(calls).await;
    }
    a.call("types", (TYPES, "nothing"), Vec::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_the_right_certificate_gets_no_call_and_makes_none() {
    let (a, b) = pair().await;
    let place = |client| vec![PeerPlace { client, distance: Distance::Zone, weight: 1 }];
    // The node at that address proves that it is `node-b`, and not this one.
    a.place_at("types", place(a.client("node-x", &b)));
    let error = a.call("types", (TYPES, "nothing"), Vec::new()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Connect);
    assert!(error.detail.contains("not sent") && error.detail.contains("not valid for name"), "{error}");
    // A stranger trusts the cluster's authority, and has a certificate of its own authority.
    let stranger = Authority::new();
    let (own, cluster) = (stranger.files("node-s"), a.files.clone());
    let files = host::peer::PeerTls { authority: cluster.authority, ..own };
    let here = vec![Deployed::new("types", "fixture-types", elsewhere)];
    let s = Node::start("node-s", files, here).await;
    s.place("types", &[(&b, Distance::Zone)]);
    let error = s.call("types", (TYPES, "nothing"), Vec::new()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Connect, "{error}");
    assert!(error.detail.starts_with("not sent to node `node-b`"), "{error}");
    assert_eq!(b.counts("types")[0].1, 0);
    keep(stranger);
}

/// The authority of a cluster may have signed more than its nodes.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_authority_that_is_for_no_node_makes_no_call() {
    let authority = Authority::new();
    let service = |change: fn(&mut host::rollout::ServiceSpec)| vec![Deployed::new("types", "fixture-types", change)];
    let a = Node::start("billing", authority.files("billing"), service(elsewhere)).await;
    let b = Node::start("node-b", authority.files("node-b"), service(|_| {})).await;
    a.place("types", &[(&b, Distance::Zone)]);
    let error = a.call("types", (TYPES, "nothing"), Vec::new()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoEndpoint);
    assert!(error.detail.contains("for `billing`, which is no node that this one knows"), "{error}");
    assert_eq!(b.counts("types")[0].1, 0);
    keep(authority);
}

/// No function here is called idempotent: a node that is full has not begun the call, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_another_node_has_no_room_for_goes_elsewhere() {
    let authority = Authority::new();
    let service = |change: fn(&mut host::rollout::ServiceSpec)| vec![Deployed::new("types", "fixture-types", change)];
    let here = service(|spec| {
        retried(spec);
        elsewhere(spec);
    });
    let a = Node::start("node-a", authority.files("node-a"), here).await;
    let narrow = service(|spec| {
        (spec.traffic.bulkhead.concurrency, spec.traffic.bulkhead.waiting) = (1, 0);
    });
    let b = Node::start("node-b", authority.files("node-b"), narrow).await;
    let c = Node::start("node-c", authority.files("node-c"), service(|_| {})).await;
    a.place("types", &[(&b, Distance::Zone), (&c, Distance::Far)]);
    let context = context();
    let mut first = Box::pin(a.call_within("types", (FAULTS, "sleep"), vec![Value::U32(60_000)], &context));
    tokio::select! {
        outcome = &mut first => panic!("{outcome:?}"),
        () = b.wait_for_calls("types", 1) => {}
    }
    a.call("types", (TYPES, "nothing"), Vec::new()).await.unwrap();
    assert_eq!((b.counts("types")[0].1, c.counts("types")[0].1), (1, 1));
    drop(first);
    keep(authority);
}

#[tokio::test(flavor = "multi_thread")]
async fn components_of_two_contracts_refuse_each_other_by_name() {
    const PRODUCTS: &str = "shop:products/products@1.0.0";
    let authority = Authority::new();
    let here = vec![Deployed::new("products", "fixture-products-more", elsewhere)];
    let there = vec![Deployed::new("products", "fixture-products-changed", |_| {})];
    let a = Node::start("node-a", authority.files("node-a"), here).await;
    let b = Node::start("node-b", authority.files("node-b"), there).await;
    a.place("products", &[(&b, Distance::Zone)]);
    keep(authority);
    // The other functions have the same types in both.
    let page = vec![Value::Option(None), Value::Option(None)];
    assert!(a.call("products", (PRODUCTS, "list"), page).await.is_ok());
    let lines = vec![Value::string("key".into()), Value::List(Vec::new())];
    let error = a.call("products", (PRODUCTS, "reserve"), lines).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoEndpoint);
    let told = format!("{PRODUCTS}#reserve has other types on the calling node");
    assert!(error.detail.contains(&told) && error.detail.contains("node-b"), "{error}");
    let error = a.call("products", (PRODUCTS, "release"), vec![Value::string("key".into())]).await.unwrap_err();
    assert!(error.detail.contains("its component on this node exports no"), "{error}");
    assert_eq!(b.counts("products")[0].1, 1, "what is refused reaches no instance");
}
