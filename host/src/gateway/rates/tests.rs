//! Limits of a route, without a socket.

use super::limit_key::{ClientBytes, LimitedRequest};
use super::rate_fields::LEFT;
use super::*;
use crate::base::{Identity, IdentityFields, ProofKind, RequestId, TakenWork};
use crate::gateway::problem::Problem;
use crate::limit::{Limiter, Quota, QuotaEntry, QuotaTable, Rate, WorkBudget, WorkLimiter};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A route's limits, and a client that uses them.
struct Route {
    limits: RouteLimits,
    hasher: RandomState,
    headers: HeaderMap,
    now: Instant,
}

impl Route {
    fn new(limits: Vec<Arc<RateLimit>>, now: Instant) -> Self {
        let limits = RouteLimits::new(limits).expect("one at least");
        Self { limits, hasher: RandomState::new(), headers: HeaderMap::new(), now }
    }

    fn begin(&self) -> Box<RateAdmission<'_>> {
        let client = "192.0.2.1".parse().expect("an address");
        let request = RequestToAdmit { headers: &self.headers, client, route: 0 };
        RateAdmission::begin(&self.limits, &self.hasher, request, self.now)
    }

    /// Both stages, with the fields that the answer gets.
    async fn ask(&self, identity: Option<&Identity>) -> Result<[(HeaderName, HeaderValue); 2], Problem> {
        let mut admission = self.begin();
        admission.admit(LimitStage::Early, None).await?;
        admission.admit(LimitStage::Late, identity).await?;
        Ok(admission.fields())
    }
}

fn rate(count: u32, millis: u64, burst: u32, now: Instant) -> LimitMeasures {
    let rate = Rate::new(count, Duration::from_millis(millis), burst).expect("legal");
    LimitMeasures { rate: Some(Limiter::new(rate, 64, now)), ..LimitMeasures::default() }
}

fn limit(name: &str, measures: LimitMeasures, by: LimitKey) -> Arc<RateLimit> {
    Arc::new(RateLimit::new(name, measures, by))
}

fn identity(subject: &str, proof: ProofKind) -> Identity {
    let claims = r#"{"tenant":"blue"}"#.to_owned();
    Identity {
        subject: subject.into(),
        policy: "staff".into(),
        proof,
        scopes: BTreeSet::new(),
        claims,
        told: IdentityFields::default(),
    }
}

#[tokio::test]
async fn an_answer_says_what_is_left() {
    let now = Instant::now();
    let default = limit("default", rate(100, 10_000, 20, now), LimitKey::Client);
    let route = Route::new(vec![default, limit("fast", rate(3, 500, 3, now), LimitKey::Route)], now);
    let fields = route.ask(None).await.expect("admitted");
    assert_eq!(fields[0].1, "\"default\";q=100;w=10, \"fast\";q=6;w=1");
    assert_eq!(fields[1].1, "\"default\";r=19;t=1, \"fast\";r=2;t=1");
    for _ in 0..2 {
        route.ask(None).await.expect("admitted");
    }
    let mut admission = route.begin();
    let refused = admission.admit(LimitStage::Early, None).await.expect_err("used up");
    assert_eq!((&admission.fields()[1].0, &admission.fields()[1].1), (&LEFT, &"\"fast\";r=0;t=1".parse().unwrap()));
    let answer = refused.answer(&RequestId::from_random(1));
    assert_eq!(
        (answer.status(), &answer.headers()[RETRY_AFTER]),
        (StatusCode::TOO_MANY_REQUESTS, &HeaderValue::from(1))
    );
}

#[tokio::test]
async fn a_refusal_after_authentication_gives_back_what_was_taken_before_it() {
    let now = Instant::now();
    let early = limit("early", rate(1, 60_000, 10, now), LimitKey::Client);
    let late = limit("late", rate(1, 60_000, 2, now), LimitKey::Subject);
    // The order of the route does not matter.
    let route = Route::new(vec![Arc::clone(&late), Arc::clone(&early)], now);
    let (ada, bob) = (identity("ada", ProofKind::Token), identity("bob", ProofKind::Token));
    for _ in 0..2 {
        route.ask(Some(&ada)).await.expect("admitted");
    }
    for _ in 0..20 {
        route.ask(Some(&ada)).await.expect_err("used up");
    }
    let counts = |limit: &RateLimit| (limit.counts(now).admitted, limit.counts(now).refused);
    assert_eq!((counts(&early), counts(&late)), ((2, 0), (2, 20)));
    // A request that authentication refuses is not given back.
    for _ in 0..6 {
        route.begin().admit(LimitStage::Early, None).await.expect("admitted");
    }
    for _ in 0..2 {
        route.ask(Some(&bob)).await.expect("admitted");
    }
    let refused = route.begin().admit(LimitStage::Early, None).await.expect_err("ten");
    assert_eq!(refused.counted_as(), "quota-exceeded");
}

#[tokio::test]
async fn the_work_of_a_request_is_charged_to_whom_the_limit_counts_by() {
    let now = Instant::now();
    let cpu = WorkBudget::new(2_000_000_000, Duration::from_secs(10)).expect("legal");
    let memory =
        WorkBudget::new(TakenWork::held(64 << 20, Duration::from_secs(10)), Duration::from_secs(10)).expect("legal");
    let (cpu, memory) = (WorkLimiter::new(cpu, 64, now), WorkLimiter::new(memory, 64, now));
    let measures = LimitMeasures { cpu: Some(cpu), memory: Some(memory), ..LimitMeasures::default() };
    let fair = limit("fair", measures, LimitKey::Subject);
    let route = Route::new(vec![fair], now);
    let (ada, bob) = (identity("ada", ProofKind::Token), identity("bob", ProofKind::Token));
    let mut admission = route.begin();
    admission.admit(LimitStage::Early, None).await.expect("nothing to ask");
    admission.admit(LimitStage::Late, Some(&ada)).await.expect("admitted");
    let [(_, policy), (_, left)] = admission.fields();
    let policies =
        "\"fair.cpu\";q=2000;w=10;qu=\"cpu-milliseconds\", \"fair.memory\";q=640;w=10;qu=\"mebibyte-seconds\"";
    assert_eq!(
        (policy, left),
        (policies.parse().unwrap(), "\"fair.cpu\";r=2000;t=0, \"fair.memory\";r=640;t=0".parse().unwrap())
    );
    let payer = admission.payer().expect("work is limited");
    payer.pay(TakenWork { cpu: Duration::from_millis(2500), memory: 0 });
    let refused = route.ask(Some(&ada)).await.expect_err("in debt");
    let answer = refused.answer(&RequestId::from_random(1));
    // Half a second of work is refilled in 2.5 s.
    assert_eq!(answer.headers()[RETRY_AFTER], HeaderValue::from(3));
    route.ask(Some(&bob)).await.expect("another account");
    let mut admission = route.begin();
    admission.admit(LimitStage::Late, Some(&bob)).await.expect("admitted");
    admission.payer().expect("work is limited").pay(TakenWork { cpu: Duration::ZERO, memory: u64::MAX });
    route.ask(Some(&bob)).await.expect_err("its memory is used up");
}

/// A disk that keeps what it is told, unless it is full.
#[derive(Debug, Default)]
struct Disk {
    saved: Mutex<Vec<QuotaEntry>>,
    is_full: bool,
}

impl KeepQuota for Disk {
    fn key(&self, bytes: &[u8]) -> u64 {
        bytes.iter().fold(1, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()))
    }

    fn save<'a>(&'a self, name: &'a str, _: Duration, entry: QuotaEntry) -> SavedFuture<'a> {
        assert_eq!(name, "yearly");
        let full = self.is_full;
        self.saved.lock().expect("nobody panics").push(entry);
        Box::pin(async move { if full { Err("no room".to_owned()) } else { Ok(()) } })
    }
}

#[tokio::test]
async fn a_quota_is_noted_a_step_ahead_and_a_refusal_elsewhere_costs_it_nothing() {
    for is_full in [false, true] {
        let now = Instant::now();
        let quota = Quota::new(500, Duration::from_secs(366 * 24 * 3600)).expect("legal");
        let measures = LimitMeasures { quota: Some(QuotaTable::new(quota, 64)), ..LimitMeasures::default() };
        let yearly = limit("yearly", measures, LimitKey::Client);
        let disk = Arc::new(Disk { is_full, ..Disk::default() });
        yearly.keep_quota(Arc::clone(&disk) as Arc<dyn KeepQuota>);
        let late = limit("late", rate(1, 60_000, 7, now), LimitKey::Subject);
        let route = Route::new(vec![yearly, late], now);
        let ada = identity("ada", ProofKind::Token);
        for at in 0..20 {
            assert_eq!(route.ask(Some(&ada)).await.is_ok(), at < 7, "{at}");
        }
        let mut admission = route.begin();
        admission.admit(LimitStage::Early, None).await.expect("admitted");
        let [(_, policy), (_, left)] = admission.fields();
        assert_eq!(policy, "\"yearly.quota\";q=500;w=31622400, \"late\";q=1;w=60");
        assert!(left.to_str().expect("text").starts_with("\"yearly.quota\";r=492;t="), "{left:?}");
        let saved: Vec<_> = disk.saved.lock().expect("nobody panics").iter().map(|entry| entry.count).collect();
        // Eight were used. When the disk is full the quota holds all the same.
        assert_eq!(saved, [5, 10]);
        for _ in 8..500 {
            route.begin().admit(LimitStage::Early, None).await.expect("admitted");
        }
        let refused = route.begin().admit(LimitStage::Early, None).await.expect_err("used up");
        let answer = refused.answer(&RequestId::from_random(1));
        let wait = &answer.headers()[RETRY_AFTER];
        assert!(wait.to_str().expect("text").parse::<u64>().expect("seconds") > 0, "until the next window");
    }
}

#[test]
fn each_key_has_its_own_bucket() {
    let hasher = RandomState::new();
    let key = |by: &LimitKey, client: &str, header: Option<&'static str>, identity: Option<&Identity>, route| {
        let headers = header.map(|value| (HeaderName::from_static("x-tenant"), HeaderValue::from_static(value)));
        let headers: HeaderMap = headers.into_iter().collect();
        let client = ClientBytes::of(client.parse::<IpAddr>().expect("an address"));
        let request = LimitedRequest { headers: &headers, identity, route };
        let text = by.of(&request, &client);
        (std::hash::BuildHasher::hash_one(&hasher, &text), text.stable())
    };
    let (one, other) = ("2001:db8:0:1::1", "2001:db8:0:2::1");
    let by = LimitKey::Client;
    assert_eq!(key(&by, one, None, None, 0), key(&by, "2001:db8:0:1:ffff::9", None, None, 0), "one /64");
    assert_ne!(key(&by, one, None, None, 0), key(&by, other, None, None, 0));
    assert_ne!(key(&by, "192.0.2.1", None, None, 0), key(&by, "192.0.2.2", None, None, 0));
    let by = LimitKey::Header(HeaderName::from_static("x-tenant"));
    assert_eq!(key(&by, one, Some("a"), None, 0), key(&by, other, Some("a"), None, 1));
    assert_ne!(key(&by, one, Some("a"), None, 0), key(&by, one, Some("b"), None, 0));
    assert_ne!(key(&by, one, None, None, 0), key(&by, other, None, None, 0), "without the header, by client");
    let (key_a, token_a) = (identity("a", ProofKind::ApiKey), identity("a", ProofKind::Token));
    let b = identity("b", ProofKind::Token);
    let by = LimitKey::ApiKey;
    assert_eq!(key(&by, one, None, Some(&key_a), 0), key(&by, other, None, Some(&key_a), 0));
    assert_ne!(key(&by, one, None, Some(&token_a), 0), key(&by, other, None, Some(&token_a), 0));
    assert_ne!(key(&LimitKey::Subject, one, None, Some(&token_a), 0), key(&LimitKey::Subject, one, None, Some(&b), 0));
    let tenant = LimitKey::Claim("tenant".into());
    assert_eq!(key(&tenant, one, None, Some(&token_a), 0), key(&tenant, other, None, Some(&b), 0));
    assert_ne!(key(&LimitKey::Route, one, None, None, 0), key(&LimitKey::Route, one, None, None, 1));
}
