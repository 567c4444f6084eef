//! Keys are fetched once for all who wait, and seldom; the last good ones stay. Issuers are asked once for all.

use crate::gateway::authentication::policy_refusal::PolicyRefusal;
use crate::gateway::authentication::{AskIssuer, Introspector, IssuerFuture, KeyPace, KeySource, TokenKeys};
use crate::identity::IntrospectionPolicy;
use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;

/// The time of a fetch and of a question.
const TAKES: Duration = Duration::from_millis(100);
const PACE: KeyPace = KeyPace { refresh: Duration::from_secs(600), least: Duration::from_secs(30) };

/// An issuer that answers after [`TAKES`], and counts.
#[derive(Clone, Default)]
struct FakeIssuer {
    answer: Arc<Mutex<Option<Bytes>>>,
    asked: Arc<AtomicUsize>,
}

impl FakeIssuer {
    fn says(&self, answer: Option<&str>) {
        *self.answer.lock().unwrap() = answer.map(|answer| Bytes::copy_from_slice(answer.as_bytes()));
    }

    fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    fn answer(&self) -> IssuerFuture<'_> {
        self.asked.fetch_add(1, SeqCst);
        Box::pin(async {
            sleep(TAKES).await;
            self.answer.lock().unwrap().clone().ok_or_else(|| "it is away".to_owned())
        })
    }
}

impl KeySource for FakeIssuer {
    fn fetch(&self) -> IssuerFuture<'_> {
        self.answer()
    }
}

impl AskIssuer for FakeIssuer {
    fn ask<'a>(&'a self, _: &'a str) -> IssuerFuture<'a> {
        self.answer()
    }
}

/// A set with one key.
fn jwks(id: &str) -> String {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"; // RFC 8037, appendix A.2
    json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": x }] }).to_string()
}

fn keys(issuer: &FakeIssuer) -> Arc<TokenKeys> {
    let keys = Arc::new(TokenKeys::fetched("staff", issuer.clone(), PACE));
    let fresh = Arc::clone(&keys);
    tokio::spawn(async move { fresh.keep_fresh().await });
    keys
}

#[tokio::test(start_paused = true)]
async fn the_first_requests_wait_for_the_first_fetch_and_not_for_one_that_failed() {
    let issuer = FakeIssuer::default();
    let keys = keys(&issuer);
    tokio::task::yield_now().await;
    assert!(keys.current().await.is_none());
    assert_eq!(issuer.asked(), 1);
    issuer.says(Some(&jwks("a")));
    sleep(Duration::from_secs(1) + TAKES * 2).await;
    assert!(keys.current().await.is_some());
    assert_eq!(issuer.asked(), 2, "it is asked again after a second, since there are no keys at all");
}

#[tokio::test(start_paused = true)]
async fn one_fetch_serves_all_who_wait_for_a_new_key_and_the_next_comes_30_s_later() {
    let issuer = FakeIssuer::default();
    issuer.says(Some(&jwks("a")));
    let keys = keys(&issuer);
    tokio::task::yield_now().await;
    let first = keys.current().await.expect("the first set").number;
    issuer.says(Some(&jwks("b")));
    assert!(keys.newer_than(first).await.is_none(), "the last fetch was a moment ago");
    assert_eq!(issuer.asked(), 1);
    sleep(PACE.least).await;
    let all = join_all((0..50).map(|_| keys.newer_than(first))).await;
    assert!(all.iter().all(|found| found.as_ref().is_some_and(|found| found.number == first + 1)));
    assert_eq!(issuer.asked(), 2);
    // A client that goes away does not end the fetch.
    sleep(PACE.least).await;
    issuer.says(Some(&jwks("c")));
    assert!(tokio::time::timeout(TAKES / 2, keys.newer_than(first + 1)).await.is_err());
    sleep(TAKES).await;
    assert_eq!((issuer.asked(), keys.current().await.expect("a set").number), (3, first + 2));
}

#[tokio::test(start_paused = true)]
async fn the_last_good_set_stays_while_its_source_is_away_or_broken() {
    let issuer = FakeIssuer::default();
    issuer.says(Some(&jwks("a")));
    let keys = keys(&issuer);
    tokio::task::yield_now().await;
    let number = keys.current().await.expect("a set").number;
    for broken in [None, Some("{"), Some(r#"{"keys":[]}"#)] {
        issuer.says(broken);
        sleep(PACE.refresh + TAKES).await;
        assert_eq!(keys.current().await.expect("the last good set").number, number);
    }
    let before = issuer.asked();
    issuer.says(Some(&jwks("b")));
    sleep(PACE.least + TAKES).await;
    assert_eq!(issuer.asked(), before + 1, "after a failure it is fetched again within 30 s");
    assert_eq!(keys.current().await.expect("the new set").number, number + 1);
    // The same text is the same set, whose proved tokens count on.
    sleep(PACE.refresh + TAKES).await;
    assert_eq!((issuer.asked(), keys.current().await.expect("a set").number), (before + 2, number + 1));
}

fn introspector(issuer: &FakeIssuer, within: Duration) -> Introspector {
    let policy = IntrospectionPolicy { name: "opaque".into(), issuer: None, audience: Vec::new() };
    Introspector::new(policy, issuer.clone(), within, 1000)
}

#[tokio::test(start_paused = true)]
async fn one_question_serves_all_requests_with_a_token_until_it_ends_or_a_minute_has_passed() {
    let issuer = FakeIssuer::default();
    let introspector = introspector(&issuer, Duration::from_secs(2));
    issuer.says(Some(r#"{"active":true,"sub":"ada","exp":1030}"#));
    let all = join_all((0..50).map(|_| introspector.identify(b"t1", 1000))).await;
    assert!(all.iter().all(|found| found.as_ref().is_ok_and(|identity| identity.subject == "ada")));
    assert_eq!(issuer.asked(), 1);
    assert!(introspector.identify(b"t1", 1029).await.is_ok());
    assert_eq!(issuer.asked(), 1);
    issuer.says(Some(r#"{"active":false}"#));
    assert!(introspector.identify(b"t1", 1030).await.is_err());
    assert!(introspector.identify(b"t1", 1039).await.is_err(), "a refusal counts for 10 s");
    assert_eq!(issuer.asked(), 2);
    issuer.says(Some(r#"{"active":true,"sub":"ada"}"#));
    assert!(introspector.identify(b"t1", 1040).await.is_ok());
    assert!(introspector.identify(b"t1", 1099).await.is_ok());
    assert_eq!(issuer.asked(), 3);
    assert!(introspector.identify(b"t1", 1100).await.is_ok());
    assert_eq!(issuer.asked(), 4, "without an end it counts for a minute");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_away_slow_or_confused_is_no_refusal_and_is_asked_again() {
    let issuer = FakeIssuer::default();
    let (patient, hasty) = (introspector(&issuer, TAKES * 2), introspector(&issuer, TAKES / 2));
    let is_away = |outcome| matches!(outcome, Err(PolicyRefusal::Unavailable(_)));
    assert!(is_away(patient.identify(b"t1", 1000).await));
    issuer.says(Some("<html>"));
    assert!(is_away(patient.identify(b"t1", 1000).await));
    assert!(is_away(hasty.identify(b"t1", 1000).await));
    issuer.says(Some(r#"{"active":true,"sub":"ada"}"#));
    assert!(patient.identify(b"t1", 1000).await.is_ok());
    assert_eq!(issuer.asked(), 4);
    // Whoever asks and goes away leaves the question to the next.
    let gone = tokio::time::timeout(TAKES / 2, patient.identify(b"t2", 1000)).await;
    assert!(gone.is_err());
    assert!(patient.identify(b"t2", 1000).await.is_ok());
    // What can be no token is no question.
    let before = issuer.asked();
    for no_token in [&b""[..], b"a b", b"\xff", &[b'a'; 9000]] {
        let outcome = patient.identify(no_token, 1000).await;
        assert!(matches!(outcome, Err(PolicyRefusal::Refused { .. })), "{outcome:?}");
    }
    assert_eq!(issuer.asked(), before);
}
