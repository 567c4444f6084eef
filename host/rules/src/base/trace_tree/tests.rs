//! The tests of the tree of spans, also of those that guests open.

use super::*;
use http::HeaderValue;
use std::collections::HashSet;

fn tree(most: u32, began: Instant) -> Arc<TraceTree> {
    let start = TraceStart {
        id: TraceId::from_random(7),
        random: true,
        parent: None,
        stranger: None,
        state: None,
        sampled: true,
        most,
        seed: 42,
    };
    Arc::new(TraceTree::new(start, began))
}

#[test]
fn a_tree_has_parents_times_links_and_owners() {
    let began = Instant::now();
    let at = |millis| began + Duration::from_millis(millis);
    let tree = tree(8, began);
    let root = tree.root("GET");
    let owner = Arc::new(SpanOwner { service: "users".into(), revision: "abc".into() });
    let mut first = root.scope().open(SpanKind::Client, "try", at(1)).unwrap();
    first.fail("timeout");
    first.fail("later");
    let first_id = first.id();
    first.end_at(at(3));
    let mut second = root.scope().open(SpanKind::Client, "try", at(4)).unwrap();
    second.link(first_id);
    let guest = second.scope().owned_by(&owner).open(SpanKind::Server, "guest", at(5)).unwrap();
    let (root_id, second_id) = (root.id(), second.id());
    guest.end_at(at(8));
    second.end_at(at(9));
    root.end_at(at(10));
    let EndedTree { spans, lost } = tree.end();
    let seen: Vec<_> = spans
        .iter()
        .map(|span| {
            let owner = span.owner.as_ref().map(|owner| owner.service.as_str());
            (&*span.name, span.parent, span.began.as_millis(), span.took.as_millis(), owner)
        })
        .collect();
    let expected = [
        ("try", Some(root_id), 1, 2, None),
        ("guest", Some(second_id), 5, 3, Some("users")),
        ("try", Some(root_id), 4, 5, None),
        ("GET", None, 0, 10, None),
    ];
    assert_eq!((seen.as_slice(), lost), (expected.as_slice(), 0));
    assert_eq!(spans[0].error.as_deref(), Some("timeout"));
    assert_eq!((spans[0].link, spans[2].link), (None, Some(first_id)));
}

#[test]
fn a_tree_takes_so_many_spans_and_counts_the_others() {
    let tree = tree(3, Instant::now());
    let root = tree.root("GET");
    let opened: Vec<_> = (0..10).filter_map(|_| root.scope().open(SpanKind::Internal, "x", Instant::now())).collect();
    assert_eq!(opened.len(), 2);
    drop((opened, root));
    let EndedTree { spans, lost } = tree.end();
    assert_eq!((spans.len(), lost), (3, 8));
    let ids: HashSet<_> = spans.iter().map(|span| span.id).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(tree.end().spans.len(), 0, "it ends once");
}

#[test]
fn a_span_that_ends_after_its_trace_is_lost() {
    let tree = tree(3, Instant::now());
    let root = tree.root("GET");
    let late = root.scope().open(SpanKind::Internal, "late", Instant::now());
    drop(root);
    assert_eq!(tree.end().spans.len(), 1);
    drop(late);
    assert_eq!(tree.end().spans.len(), 0);
}

#[test]
fn a_host_outside_learns_the_parent_and_nothing_else() {
    let tree = tree(3, Instant::now());
    let root = tree.root("GET");
    let mut headers = HeaderMap::new();
    for name in [TraceParent::HEADER, TraceState::HEADER, BAGGAGE] {
        headers.append(&name, HeaderValue::from_static("forged"));
        headers.append(&name, HeaderValue::from_static("twice"));
    }
    let mut inside = headers.clone();
    root.scope().write_headers(&mut inside);
    root.scope().write_outside_headers(&mut headers);
    let parent = TraceParent { trace: tree.start().id, span: root.id(), sampled: true };
    assert_eq!(TraceParent::of(&headers), Some(parent));
    assert_eq!(headers.len(), 1);
    assert_eq!(TraceParent::of(&inside), Some(parent));
    assert!(!inside.contains_key(TraceState::HEADER), "a stranger's state is not passed on");
    assert_eq!(headers[TraceParent::HEADER].to_str().unwrap(), format!("00-{}-{}-03", parent.trace, parent.span));
}

#[test]
fn marks_add_up() {
    let tree = tree(3, Instant::now());
    tree.mark(TraceMark::CircuitOpen);
    tree.mark(TraceMark::Failed);
    assert!(tree.has(TraceMark::CircuitOpen) && tree.has(TraceMark::Failed) && !tree.has(TraceMark::Trapped));
}

/// A place in a call, with the call's span and the span of the try above it.
fn call(tree: &Arc<TraceTree>) -> (OpenSpan, OpenSpan, TraceScope) {
    let root = tree.root("GET");
    let call = root.scope().open(SpanKind::Server, "handle", Instant::now()).unwrap();
    let scope = call.scope();
    (root, call, scope)
}

fn own(number: u64) -> SpanId {
    SpanId::from_random(number)
}

#[test]
fn a_guests_span_is_below_its_call_and_the_hosts_below_the_innermost() {
    let tree = tree(16, Instant::now());
    let (root, call, scope) = call(&tree);
    assert_eq!(scope.clone().innermost().parent(), scope.parent());
    assert!(scope.claim(own(1), Instant::now()) && scope.claim(own(2), Instant::now()));
    let state = scope.clone().innermost().open(SpanKind::Client, "state", Instant::now()).unwrap();
    drop(state);
    let internal = |name| (SpanKind::Internal, SpanText::Static(name));
    // The outer one ends first, and says that it is below the inner one: that would be a circle.
    drop(scope.release(own(1), Some(own(2)), internal("outer")).unwrap());
    assert_eq!(scope.clone().innermost().parent().span, own(2));
    drop(scope.release(own(2), Some(own(1)), internal("inner")).unwrap());
    assert!(scope.release(own(2), None, internal("twice")).is_none());
    let call_id = call.id();
    drop((call, root));
    let spans = tree.end().spans;
    let parent = |name: &str| spans.iter().find(|span| &*span.name == name).unwrap().parent;
    assert_eq!((parent("outer"), parent("inner"), parent("state")), (Some(call_id), Some(own(1)), Some(own(2))));
}

#[test]
fn a_guest_can_take_no_id_of_others_and_no_more_than_its_share() {
    let tree = tree(256, Instant::now());
    let (root, call, scope) = call(&tree);
    let other = root.scope().open(SpanKind::Server, "other call", Instant::now()).unwrap();
    let now = Instant::now();
    assert!(scope.claim(own(1), now));
    assert!(!other.scope().claim(own(1), now), "another call has it");
    let internal = || (SpanKind::Internal, SpanText::Static("forged"));
    assert!(other.scope().release(own(1), None, internal()).is_none());
    // The host's, which are there, and one that comes later.
    assert!(![root.id(), call.id(), tree.id(200)].into_iter().any(|id| scope.claim(id, now)));
    // A parent of another call is none.
    assert!(other.scope().claim(own(2), now));
    let span = other.scope().release(own(2), Some(own(1)), internal()).unwrap();
    assert_eq!(span.span().parent, Some(other.id()));
    assert_eq!((10..200).filter(|number| scope.claim(own(*number), now)).count(), 63);
    // Refused ones, however many, leave the room of the trace to the host.
    assert!(!(0..300).any(|_| scope.claim(own(1), now)));
    assert!(root.scope().open(SpanKind::Server, "later", now).is_some());
}

#[test]
fn what_a_guest_has_not_ended_is_there_and_what_it_says_is_bounded() {
    let tree = tree(256, Instant::now());
    let (root, call, scope) = call(&tree);
    let extras = |length: usize| SpanExtras { message: Some("x".repeat(length).into()), ..SpanExtras::default() };
    let mut said = 0;
    for number in 1..=60 {
        assert!(scope.claim(own(number), Instant::now()));
        let mut span = scope.release(own(number), None, (SpanKind::Internal, "x".into())).unwrap();
        said += usize::from(span.describe(extras(32 << 10)));
    }
    assert_eq!(said, 7, "256 KiB in all");
    assert!(scope.claim(own(100), Instant::now()));
    let call_id = call.id();
    drop((call, root));
    let EndedTree { spans, lost } = tree.end();
    let open = spans.iter().find(|span| span.id == own(100)).unwrap();
    assert_eq!((&*open.name, open.parent, spans.len(), lost), ("(not ended)", Some(call_id), 63, 0));
    assert!(spans.iter().map(TraceSpan::bytes).sum::<usize>() < 300 << 10);
}
