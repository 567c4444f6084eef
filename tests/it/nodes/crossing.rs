//! What crosses from one node to another: values, who calls, depth, deadline, trace, bodies.

use super::{Authority, Deployed, LONGEST, Node, STREAMS, TYPES, context, elsewhere, keep, pair};
use host::base::{
    CallContext, DeadlineOwner, ErrorKind, Identity, IdentityFields, ProofKind, ServiceName, SpanKind, empty_body,
    full_body,
};
use host::contract::Value as _;
use host::mesh::Distance;
use host::runtime::Value;
use http_body_util::BodyExt;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

const WHOAMI: &str = "atoll:fixture-caller/whoami@1.0.0";

fn text(text: &str) -> Value {
    Value::string(text.to_owned())
}

fn point(x: i32, y: i32) -> Value {
    Value::Record(vec![("x".into(), Value::S32(x)), ("y".into(), Value::S32(y))])
}

/// Bit by bit: a NaN is not equal to itself.
fn same(a: &Value, b: &Value) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_every_kind_come_back_as_they_went() {
    let (a, _b) = pair().await;
    let some = |value: Value| Value::Option(Some(Box::new(value)));
    let table: Vec<(&str, Value)> = vec![
        ("echo-bool", Value::Bool(true)),
        ("echo-s8", Value::S8(-128)),
        ("echo-u16", Value::U16(u16::MAX)),
        ("echo-s64", Value::S64(i64::MIN)),
        ("echo-u64", Value::U64(u64::MAX)),
        ("echo-f32", Value::Float32(f32::NAN)),
        ("echo-f64", Value::Float64(-0.0)),
        ("echo-char", Value::Char('🏝')),
        ("echo-string", text("lagoon – ä")),
        ("echo-bytes", Value::List((0..=255).map(Value::U8).collect())),
        ("echo-strings", Value::List(vec![text(""), text("b")])),
        ("echo-points", Value::List(vec![point(1, -2), point(i32::MAX, i32::MIN)])),
        ("echo-five", Value::FixedLengthList((1..=5).map(Value::U32).collect())),
        ("echo-by-string", Value::Map(vec![(text("a"), Value::U32(1)), (text("b"), Value::U32(2))])),
        ("echo-tuple", Value::Tuple(vec![Value::U8(1), text("x"), Value::Bool(false)])),
        ("echo-option-option", some(Value::Option(None))),
        ("echo-result", Value::Result(Err(Some(Box::new(text("no")))))),
        ("echo-result-empty", Value::Result(Ok(None))),
        ("sync-string", text("of a plain func")),
    ];
    for (function, value) in table {
        let answer = a.call("types", (TYPES, function), vec![value.clone()]).await.unwrap().unwrap();
        assert!(same(&answer, &value), "{function}: {answer:?} in place of {value:?}");
    }
    assert!(a.call("types", (TYPES, "nothing"), Vec::new()).await.unwrap().is_none());
    let [(id, requests, under_way)] = &a.counts("types")[..] else { panic!("{:?}", a.counts("types")) };
    assert_eq!((id.as_str(), *requests, *under_way), ("types@node-b", 20, 0), "each call is one at the endpoint");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_one_node_does_not_cross_and_says_so() {
    let (a, _b) = pair().await;
    let error = a.call("types", (STREAMS, "items"), vec![Value::U32(1)]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoEndpoint);
    assert!(error.detail.contains("carries a stream, which does not cross to another node"), "{error}");
    let long = Value::List(vec![Value::U8(7); LONGEST]);
    let error = a.call("types", (TYPES, "echo-bytes"), vec![long]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BodyTooLarge);
    let most = Value::List(vec![Value::U8(7); LONGEST - 3]);
    assert!(a.call("types", (TYPES, "echo-bytes"), vec![most]).await.is_ok());
}

/// `front` stands on one node and imports from `back`, which stands on the other.
async fn callers() -> (Node, Node) {
    let authority = Authority::new();
    let here = vec![
        Deployed::new("front", "fixture-caller", |_| {}).linked(WHOAMI, "back"),
        Deployed::new("back", "fixture-caller", elsewhere).linked(WHOAMI, "back"),
    ];
    let there = vec![Deployed::new("back", "fixture-caller", |_| {}).linked(WHOAMI, "back")];
    let a = Node::start("node-a", authority.files("node-a"), here).await;
    let b = Node::start("node-b", authority.files("node-b"), there).await;
    a.place("back", &[(&b, Distance::Far)]);
    keep(authority);
    (a, b)
}

fn ada() -> CallContext {
    let mut context = context();
    let identity = Identity {
        subject: "Ada Ł.".into(),
        policy: "staff".into(),
        proof: ProofKind::Token,
        scopes: ["orders:read".to_owned()].into(),
        claims: r#"{"sub":"x"}"#.into(),
        told: IdentityFields::default(),
    };
    context.identity = Some(Arc::new(identity));
    context
}

async fn get(node: &Node, service: &str, path: &str, context: &CallContext) -> Json {
    let request = http::Request::get(path).header("host", "shop.test").header("x-own", "1").body(empty_body()).unwrap();
    let answer = node.mesh.call(&ServiceName::new(service).unwrap(), request, context).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("atoll-peer")), "{:?}", answer.headers());
    serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

/// The code of both services is the code of one host: `front` does not know that `back` is elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_on_another_node_learns_who_calls_by_its_contract_and_by_http() {
    let (a, b) = callers().await;
    let told = json!({
        "subject": "Ada Ł.", "policy": "staff", "proof": "jwt", "scopes": ["orders:read"],
        "claims": r#"{"sub":"x"}"#, "may_read": true,
    });
    assert_eq!(get(&a, "front", "/typed", &ada()).await, "Ada Ł.");
    assert_eq!(get(&a, "front", "/http/back", &ada()).await["caller"], told);
    let direct = get(&a, "back", "/me", &ada()).await;
    assert_eq!(direct["caller"], told);
    let fields = &direct["headers"];
    // The service sees the request that it would have seen on one node.
    let (mut there, mut here) = (fields.clone(), get(&b, "back", "/me", &ada()).await["headers"].clone());
    for fields in [&mut there, &mut here] {
        fields.as_object_mut().unwrap().remove("traceparent");
    }
    assert_eq!(there, here);
    assert_eq!((fields["x-atoll-scopes"].as_str(), fields["x-own"].as_str()), (Some("orders:read"), Some("1")));
    // And nobody is somebody there if nobody is here.
    assert_eq!(get(&a, "front", "/typed", &context()).await, Json::Null);
    assert_eq!(get(&a, "back", "/me", &context()).await["caller"], Json::Null);
    assert_eq!(b.counts("back")[0].1, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn depth_and_time_cross_as_what_is_left() {
    let (a, _b) = pair().await;
    // A chain may have 32 calls; the one that crosses counts on both nodes.
    let deep = context().at_depth(31);
    assert!(a.call_within("types", (TYPES, "nothing"), Vec::new(), &deep).await.is_ok());
    let error = a.call_within("types", (TYPES, "nothing"), Vec::new(), &deep.at_depth(32)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooDeep);

    let now = Instant::now();
    let short = context().within(now, Duration::from_millis(300), DeadlineOwner::Caller);
    let asleep = a.call_within("types", (super::FAULTS, "sleep"), vec![Value::U32(60_000)], &short).await;
    assert_eq!(asleep.unwrap_err().kind, ErrorKind::Timeout);
    assert!(now.elapsed() < Duration::from_secs(20), "{:?}", now.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn both_nodes_have_their_part_of_one_trace() {
    let (a, b) = pair().await;
    let tree = a.tracer.begin((None, None), false, (7, 8), Instant::now());
    let root = tree.root("request");
    let mut context = context();
    context.trace = Some(root.scope());
    a.call_within("types", (TYPES, "nothing"), Vec::new(), &context).await.unwrap();
    drop(root);
    let here = tree.end();
    let sent = here.spans.iter().find(|span| span.kind == SpanKind::Client).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    let there = loop {
        if let Some(found) = b.tracer.get(&tree.start().id.to_string()) {
            break found;
        }
        assert!(Instant::now() < end, "the other node keeps no part of the trace");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let came = there.spans.iter().find(|span| span.kind == SpanKind::Server).unwrap();
    assert_eq!(came.parent, Some(sent.id), "its first span is below the try of the calling node");
    assert_eq!(there.request_id, context.request_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_in_both_directions() {
    let (a, _b) = pair().await;
    let (mut sender, body) = futures_channel::mpsc::channel::<Vec<u8>>(1);
    let frames = futures_util::StreamExt::map(body, |piece| Ok(http_body::Frame::data(piece.into())));
    let body = BodyExt::boxed_unsync(http_body_util::StreamBody::new(frames));
    let request = http::Request::post("/").header("host", "x").body(body).unwrap();
    let (name, context) = (ServiceName::new("types").unwrap(), context());
    let (answer, ()) = tokio::join!(a.mesh.call(&name, request, &context), async {
        for piece in ["first ", "second ", "last"] {
            futures_util::SinkExt::send(&mut sender, piece.into()).await.unwrap();
        }
        drop(sender);
    });
    let answer = answer.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "first second last");

    let large = vec![b'x'; 3 << 20];
    let request = http::Request::post("/").header("host", "x").body(full_body(large.clone())).unwrap();
    let answer = a.mesh.call(&name, request, &context).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), large);
}
