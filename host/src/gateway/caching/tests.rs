//! Answers that are kept by state: what ends them, at each moment of a fetch.

use super::*;
use crate::base::{
    Body, BodyError, CallContext, Identity, IdentityFields, Input, InputWatch, ProofKind, RequestId, ServiceName,
};
use crate::base::{empty_body, full_body};
use crate::cache::CachePolicy;
use crate::gateway::problem::Problem;
use crate::telemetry::CacheMetrics;
use bytes::Bytes;
use futures_util::FutureExt;
use http::request::Parts;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// A cache, a route that keeps by state, and the number of the discovery table.
struct Rig {
    cache: Arc<SharedCache>,
    policy: Arc<CachePolicy>,
    table: Arc<AtomicU64>,
}

/// What the cache has done with a request.
enum Outcome {
    Hit(Response<Body>),
    Fetch(Box<CacheFetch>, Arc<dyn InputWatch>),
}

impl Rig {
    fn new() -> Self {
        let table = Arc::new(AtomicU64::new(7));
        let number = Arc::clone(&table);
        let metrics = CacheMetrics::new([(0, "GET /users/{id}".to_owned(), "users".to_owned())]);
        let cache = SharedCache::new(CacheBounds::default(), None, Arc::new(metrics), move || number.load(SeqCst));
        let policy = CachePolicy { by_state: true, ..CachePolicy::default() };
        Self { cache: Arc::new(cache), policy: Arc::new(policy), table }
    }

    async fn ask_as(&self, identity: Option<Identity>) -> Outcome {
        let head = head();
        let mut context = CallContext::new(RequestId::from_random(1), Instant::now(), Duration::from_secs(5));
        context.identity = identity.map(Arc::new);
        let at = RequestPlace { host: None, secure: false, trusted: false, route: 0 };
        let request = CachedRequest { head: &head, is_bare: true, at, context: &context };
        let turn = self.cache.turn(&request, Some(&self.policy)).await;
        match turn.unwrap_or_else(|_| panic!("no problem")).into_parts() {
            (Some(answer), ..) => Outcome::Hit(answer),
            (None, Some(fetch), _) => {
                let watch = fetch.watch().expect("a fetch by state is watched");
                Outcome::Fetch(fetch, watch)
            }
            (None, None, _) => panic!("the route has a cache"),
        }
    }

    async fn ask(&self) -> Outcome {
        self.ask_as(None).await
    }

    async fn fetch(&self) -> (Box<CacheFetch>, Arc<dyn InputWatch>) {
        match self.ask().await {
            Outcome::Fetch(fetch, watch) => (fetch, watch),
            Outcome::Hit(answer) => panic!("a hit: {answer:?}"),
        }
    }

    async fn hit(&self) -> Response<Body> {
        match self.ask().await {
            Outcome::Hit(answer) => answer,
            Outcome::Fetch(..) => panic!("no hit"),
        }
    }

    /// Fetches, and has the answer kept.
    async fn keep(&self) -> Arc<dyn InputWatch> {
        let (fetch, watch) = self.fetch().await;
        let answer = finish(fetch, || {}).await;
        assert!(status(&answer).ends_with("; stored"), "{answer:?}");
        watch
    }
}

fn head() -> Parts {
    Request::get("/users/1").body(()).expect("a request").into_parts().0
}

/// Ends a fetch with an answer, before which `during` happens.
async fn finish(fetch: Box<CacheFetch>, during: impl FnOnce() + Send + 'static) -> Response<Body> {
    let ask = async move {
        during();
        Ok::<_, Problem>(Response::new(full_body("one")))
    };
    fetch.finish(ask).await.unwrap_or_else(|_| panic!("an answer"))
}

fn status(answer: &Response<Body>) -> &str {
    answer.headers()["cache-status"].to_str().expect("text")
}

fn identity(subject: &str, scope: &str, claims: &str) -> Identity {
    let (subject, policy, claims) = (subject.to_owned(), "api".to_owned(), claims.to_owned());
    Identity {
        subject,
        policy,
        proof: ProofKind::Token,
        scopes: [scope.to_owned()].into(),
        claims,
        told: IdentityFields::default(),
    }
}

#[tokio::test]
async fn an_answer_is_given_until_what_it_rests_on_changes() {
    let rig = Rig::new();
    let watch = rig.keep().await;
    for _ in 0..2 {
        let answer = rig.hit().await;
        assert_eq!(status(&answer), "atoll; hit; detail=state");
        assert!(!answer.headers().contains_key("age"), "it has no age");
        assert!(!answer.headers().contains_key("date"), "nor a date by which a client could ask for a newer one");
    }
    watch.standing().expect("it is watched").end();
    let (fetch, _) = rig.fetch().await;
    assert_eq!(status(&finish(fetch, || {}).await), "atoll; fwd=stale; stored");
    rig.hit().await;
}

#[tokio::test]
async fn a_change_between_the_read_and_the_storing_wins() {
    let rig = Rig::new();
    let (fetch, watch) = rig.fetch().await;
    let answer = finish(fetch, move || watch.standing().expect("watched").end()).await;
    assert_eq!(status(&answer), "atoll; fwd=uri-miss; detail=changed");
    // In the last moment: after the call, while its content is read.
    let (fetch, watch) = rig.fetch().await;
    let ask = async move {
        let content = futures_util::stream::once(async move {
            watch.standing().expect("watched").end();
            Ok::<_, BodyError>(Frame::data(Bytes::from_static(b"old")))
        });
        Ok::<_, Problem>(Response::new(StreamBody::new(content).boxed_unsync()))
    };
    let answer = fetch.finish(ask).await.unwrap_or_else(|_| panic!("an answer"));
    assert_eq!(answer.into_body().collect().await.expect("whole").to_bytes(), "old");
    rig.fetch().await;
}

#[tokio::test]
async fn an_answer_of_another_table_is_not_given() {
    let rig = Rig::new();
    rig.keep().await;
    rig.table.store(8, SeqCst);
    let (fetch, _) = rig.fetch().await;
    let table = Arc::clone(&rig.table);
    // A swap while the call is under way: nobody knows which revision has answered.
    let answer = finish(fetch, move || table.store(9, SeqCst)).await;
    assert_eq!(status(&answer), "atoll; fwd=stale; detail=changed");
    rig.keep().await;
    rig.hit().await;
    rig.table.store(10, SeqCst);
    rig.fetch().await;
}

#[tokio::test]
async fn what_is_no_state_ends_it_by_name_also_after_the_answer() {
    let rig = Rig::new();
    let users = ServiceName::new("users").expect("a name");
    let (fetch, watch) = rig.fetch().await;
    let name = users.clone();
    let answer = finish(fetch, move || watch.note(&name, Input::WallClock(Duration::ZERO))).await;
    assert_eq!(status(&answer), "atoll; fwd=uri-miss; detail=clock");
    let watch = rig.keep().await;
    rig.hit().await;
    watch.note(&users, Input::StateChange { operation: "set", committed: None });
    rig.fetch().await;
    assert_eq!(rig.cache.metrics().unkept(0, "clock"), 1);
}

#[tokio::test]
async fn no_answer_crosses_identities_that_differ_in_anything() {
    let rig = Rig::new();
    let all = [
        None,
        Some(identity("ada", "read", "{}")),
        Some(identity("bob", "read", "{}")),
        Some(identity("ada", "write", "{}")),
        Some(identity("ada", "read", r#"{"tenant":1}"#)),
        Some(Identity { policy: "other".into(), ..identity("ada", "read", "{}") }),
        Some(Identity { proof: ProofKind::ApiKey, ..identity("ada", "read", "{}") }),
    ];
    for identity in &all {
        let Outcome::Fetch(fetch, _) = rig.ask_as(identity.clone()).await else { panic!("{identity:?} got another's") };
        finish(fetch, || {}).await;
    }
    for identity in &all {
        assert!(matches!(rig.ask_as(identity.clone()).await, Outcome::Hit(_)), "{identity:?} has its own");
    }
}

#[tokio::test]
async fn many_wait_for_one_fetch_and_for_another_one_after_a_change() {
    let rig = Rig::new();
    let (fetch, watch) = rig.fetch().await;
    let mut waiting = Box::pin(rig.ask());
    assert!(waiting.as_mut().now_or_never().is_none(), "it waits for the first one");
    finish(fetch, || {}).await;
    let Outcome::Hit(answer) = waiting.await else { panic!("it gets the answer of the first one") };
    assert_eq!(status(&answer), "atoll; fwd=uri-miss; collapsed; detail=state");
    watch.standing().expect("watched").end();

    let (fetch, watch) = rig.fetch().await;
    let (mut second, mut third) = (Box::pin(rig.ask()), Box::pin(rig.ask()));
    assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
    finish(fetch, move || watch.standing().expect("watched").end()).await;
    let Outcome::Fetch(fetch, _) = second.await else { panic!("one of them asks again") };
    assert!(third.as_mut().now_or_never().is_none(), "and the other one waits for it");
    finish(fetch, || {}).await;
    assert!(matches!(third.await, Outcome::Hit(_)));
}

#[tokio::test]
async fn an_error_is_not_kept_and_a_purge_takes_what_is_kept_and_what_is_fetched() {
    let rig = Rig::new();
    let (fetch, _) = rig.fetch().await;
    let failed = ready(Ok(Response::builder().status(500).body(empty_body()).expect("an answer")));
    let answer = fetch.finish(failed).await.unwrap_or_else(|_| panic!("an answer"));
    assert_eq!(status(&answer), "atoll; fwd=uri-miss; detail=status");
    rig.keep().await;
    assert_eq!(rig.cache.purge(&crate::cache::Purge::Prefix("/users".into())), 1);
    let (fetch, _) = rig.fetch().await;
    rig.cache.purge(&crate::cache::Purge::All);
    assert_eq!(status(&finish(fetch, || {}).await), "atoll; fwd=uri-miss");
    rig.fetch().await;
}
