//! What is given from the cache, and when the service is asked.

use super::*;
use futures_util::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// An age beyond the lifetime: the answer is stale when it comes, and no test has to wait.
const STALE: [(&str, &str); 2] = [("age", "100"), ("etag", "\"one\"")];

#[tokio::test]
async fn a_fresh_answer_is_given_again_whole_in_part_and_as_304() {
    let fields = [("cache-control", "max-age=60"), ("etag", "\"one\""), ("x-own", "1")];
    let host = Cached::start("", move |_, before| numbered(&fields, before)).await;
    let first = host.get("/cached/a", &[]).await;
    assert_eq!((text(&first), status(&first).as_str()), ("answer 0", "atoll; fwd=uri-miss; stored"));
    let again = host.get("/cached/a", &[]).await;
    assert_eq!((text(&again), again.header("x-own"), again.header("content-length")), ("answer 0", "1", "8"));
    assert!(status(&again).starts_with("atoll; hit; ttl="), "{again:?}");
    assert!(again.header("age").parse::<u64>().unwrap() < 60);
    assert_eq!(again.header("date"), first.header("date"));
    let head = host.send(Method::HEAD, "/cached/a", &[]).await;
    assert_eq!((text(&head), head.header("content-length"), head.status.as_u16()), ("", "8", 200));
    let part = host.get("/cached/a", &[("range", "bytes=0-2")]).await;
    assert_eq!((part.status.as_u16(), text(&part), part.header("content-range")), (206, "ans", "bytes 0-2/8"));
    let beyond = host.get("/cached/a", &[("range", "bytes=8-")]).await;
    assert_eq!((beyond.status.as_u16(), beyond.header("content-range")), (416, "bytes */8"));
    let known = host.get("/cached/a", &[("if-none-match", "W/\"one\"")]).await;
    assert_eq!((known.status.as_u16(), text(&known), known.header("etag")), (304, "", "\"one\""));
    let unknown = host.get("/cached/a", &[("if-none-match", "\"two\"")]).await;
    assert_eq!((unknown.status.as_u16(), text(&unknown)), (200, "answer 0"));
    assert_eq!(host.origin.requests(), 1);
    // Another query and another host are other resources.
    assert_eq!(text(&host.get("/cached/a?b", &[]).await), "answer 1");
    assert_eq!(text(&host.get("/cached/a", &[("host", "other.example")]).await), "answer 2");
    assert_eq!((host.counted("/cached/*", "hit").await, host.counted("/cached/*", "miss").await), (6, 3));
    let plain = host.get("/plain/a", &[]).await;
    assert_eq!((text(&plain), plain.headers.get("cache-status")), ("answer 3", None));
    assert_eq!(text(&host.get("/plain/a", &[]).await), "answer 4");
}

#[tokio::test]
async fn an_answer_that_says_no_lifetime_is_not_kept_and_one_that_forbids_it_neither() {
    let host = Cached::start("", |head, before| {
        let control = head.uri.query().unwrap_or_default();
        let fields = [("cache-control", control)];
        numbered(if control.is_empty() { &[] } else { &fields }, before)
    })
    .await;
    for (at, (query, detail)) in
        [("", "no-lifetime"), ("?no-store", "no-store"), ("?private", "private")].into_iter().enumerate()
    {
        let path = format!("/cached{query}");
        let (first, second) = (host.get(&path, &[]).await, host.get(&path, &[]).await);
        assert_eq!((text(&first), text(&second)), (&*format!("answer {}", 2 * at), &*format!("answer {}", 2 * at + 1)));
        assert_eq!(status(&first), format!("atoll; fwd=uri-miss; detail={detail}"));
        assert_eq!(status(&second), format!("atoll; fwd=bypass; detail={detail}"), "nobody waits for it");
    }
    assert_eq!(host.counted("/cached/*", "pass").await, 6);
}

#[tokio::test]
async fn a_stale_answer_is_validated_and_the_304_renews_it() {
    let host = Cached::start("", |head, before| {
        let mut fields = vec![("cache-control", "max-age=60".to_owned()), ("etag", "\"one\"".into())];
        if head.headers.contains_key("if-none-match") {
            fields.push(("x-renewed", before.to_string()));
            return (304, fields, String::new());
        }
        fields.push(("age", "100".into()));
        (200, fields, format!("answer {before}"))
    })
    .await;
    host.get("/cached/a", &[]).await;
    // The client's own condition is not the one that the service gets.
    let renewed = host.get("/cached/a", &[("if-none-match", "\"mine\"")]).await;
    assert_eq!((text(&renewed), renewed.header("x-renewed"), renewed.status.as_u16()), ("answer 0", "1", 200));
    assert_eq!(status(&renewed), "atoll; fwd=stale; fwd-status=304; stored");
    assert_eq!(host.origin.seen()[1].1["if-none-match"], "\"one\"");
    let fresh = host.get("/cached/a", &[]).await;
    assert_eq!((text(&fresh), fresh.header("x-renewed"), host.origin.requests()), ("answer 0", "1", 2));
    assert_eq!(host.counted("/cached/*", "validated").await, 1);
}

#[tokio::test]
async fn one_fetch_serves_all_who_wait_for_it() {
    let host = Arc::new(Cached::start("", |_, n| numbered(&[("cache-control", "max-age=60")], n)).await);
    host.origin.open(false);
    let many = join_all((0..20).map(|_| {
        let host = Arc::clone(&host);
        tokio::spawn(async move { host.get("/cached/a", &[]).await })
    }));
    let all = tokio::spawn(many);
    eventually("the origin has a request", async || (host.origin.requests() > 0).then_some(())).await;
    host.origin.open(true);
    let answers: Vec<Answer> = all.await.unwrap().into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|answer| text(answer) == "answer 0"));
    assert_eq!(host.origin.requests(), 1);
    let collapsed = answers.iter().filter(|answer| status(answer).contains("; collapsed")).count() as u64;
    assert_eq!(collapsed, host.counted("/cached/*", "collapsed").await);
    assert_eq!(collapsed + host.counted("/cached/*", "hit").await, 19);
}

#[tokio::test]
async fn those_who_wait_for_an_answer_that_is_not_kept_ask_all_at_once() {
    let host = Arc::new(Cached::start("", |_, before| numbered(&[("cache-control", "no-store")], before)).await);
    host.origin.open(false);
    let ask = || {
        let host = Arc::clone(&host);
        tokio::spawn(async move { host.get("/cached/a", &[]).await })
    };
    let first = ask();
    eventually("the first one asks", async || (host.origin.requests() == 1).then_some(())).await;
    let rest: Vec<_> = (0..5).map(|_| ask()).collect();
    host.origin.open(true);
    let mut answers = vec![first.await.unwrap()];
    for one in rest {
        answers.push(one.await.unwrap());
    }
    let mut texts: Vec<&str> = answers.iter().map(text).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!((texts.len(), host.origin.requests()), (6, 6), "no two share an answer");
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_its_fetch_to_the_next() {
    let host = Arc::new(Cached::start("", |_, n| numbered(&[("cache-control", "max-age=60")], n)).await);
    host.origin.open(false);
    let ask = || {
        let host = Arc::clone(&host);
        tokio::spawn(async move { host.get("/cached/a", &[]).await })
    };
    let first = ask();
    eventually("the first one asks", async || (host.origin.requests() == 1).then_some(())).await;
    let second = ask();
    first.abort();
    eventually("the second one asks", async || (host.origin.requests() == 2).then_some(())).await;
    host.origin.open(true);
    assert_eq!(text(&second.await.unwrap()), "answer 1");
    assert_eq!(text(&host.get("/cached/a", &[]).await), "answer 1");
}

#[tokio::test]
async fn a_stale_answer_is_given_while_a_new_one_is_fetched_behind() {
    let host = Cached::start("", |_, before| {
        let fields = [("cache-control", "max-age=60, stale-while-revalidate=600"), STALE[0]];
        numbered(&fields[..if before == 0 { 2 } else { 1 }], before)
    })
    .await;
    assert_eq!(text(&host.get("/cached/a", &[]).await), "answer 0");
    host.origin.open(false);
    let stale = host.get("/cached/a", &[]).await;
    assert_eq!(text(&stale), "answer 0");
    assert!(status(&stale).starts_with("atoll; hit; ttl=-"), "{stale:?}");
    assert_eq!(text(&host.get("/cached/a", &[]).await), "answer 0", "one fetch is enough");
    host.origin.open(true);
    eventually("the new answer is there", async || {
        (text(&host.get("/cached/a", &[]).await) == "answer 1").then_some(())
    })
    .await;
    assert_eq!(host.origin.requests(), 2);
}

#[tokio::test]
async fn a_stale_answer_stands_in_for_an_error_where_that_is_allowed() {
    let down = Arc::new(AtomicBool::new(false));
    let is_down = Arc::clone(&down);
    let answer = move |head: &http::request::Parts, before: usize| {
        if is_down.load(SeqCst) {
            return (503, Vec::new(), "down".to_owned());
        }
        let strict = head.uri.path().ends_with("strict");
        let control = if strict { "max-age=60, must-revalidate" } else { "max-age=60" };
        numbered(&[("cache-control", control), STALE[0], STALE[1]], before)
    };
    let host = Cached::start(r#"{ stale_if_error = "1h" }"#, answer).await;
    for path in ["/told/a", "/told/strict", "/cached/a"] {
        assert_eq!(host.get(path, &[]).await.status, 200);
    }
    down.store(true, SeqCst);
    let stale = host.get("/told/a", &[]).await;
    assert_eq!((stale.status.as_u16(), text(&stale)), (200, "answer 0"));
    assert_eq!(status(&stale), "atoll; fwd=stale; fwd-status=503; detail=stale-if-error");
    assert_eq!(host.get("/told/strict", &[]).await.status, 503, "the answer forbids it");
    assert_eq!(host.get("/cached/a", &[]).await.status, 503, "nobody allows it");
    assert_eq!(host.counted("/told/*", "stale").await, 1);
}

#[tokio::test]
async fn what_is_too_large_streams_and_is_not_kept() {
    let host = Cached::start("", |_, before| {
        let (status, fields, _) = numbered(&[("cache-control", "max-age=60")], before);
        (status, fields, "x".repeat((1 << 20) + 1))
    })
    .await;
    for _ in 0..2 {
        let answer = host.get("/cached/a", &[]).await;
        assert_eq!(answer.body.len(), (1 << 20) + 1);
        assert!(status(&answer).ends_with("; detail=too-large"), "{}", status(&answer));
    }
    assert_eq!(host.origin.requests(), 2);
}

#[tokio::test]
async fn only_if_cached_asks_nobody_and_other_wishes_count_where_the_route_listens() {
    let host = Cached::start("{ client_directives = true }", |_, n| {
        numbered(&[("cache-control", "max-age=60"), ("etag", "\"one\"")], n)
    })
    .await;
    let absent = host.get("/cached/a", &[("cache-control", "only-if-cached")]).await;
    assert_eq!((absent.status.as_u16(), &absent.problem()["type"]), (504, &"urn:atoll:problem:not-cached".into()));
    assert_eq!(host.origin.requests(), 0);
    for path in ["/cached/a", "/told/a"] {
        host.get(path, &[]).await;
    }
    assert_eq!(text(&host.get("/cached/a", &[("cache-control", "no-cache")]).await), "answer 0");
    let asked = host.get("/told/a", &[("cache-control", "no-cache")]).await;
    assert_eq!((text(&asked), status(&asked).as_str()), ("answer 2", "atoll; fwd=request; stored"));
}

#[tokio::test]
async fn the_handshake_of_a_websocket_is_for_the_service() {
    let host = Cached::start("true\nwebsocket = true", |_, n| numbered(&[("cache-control", "max-age=60")], n)).await;
    assert_eq!(text(&host.get("/told/a", &[]).await), "answer 0");
    let handshake = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    assert_eq!(text(&host.get("/told/a", &handshake).await), "answer 1");
    assert_eq!(text(&host.get("/told/a", &[]).await), "answer 0");
}
