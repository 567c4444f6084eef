//! How long answers live, and which may be kept.

use super::*;
use proptest::prelude::*;

const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");

/// The lifetime and the age, in seconds, of an answer that came just now.
fn times(answer: &[(&'static str, &str)]) -> (u64, u64) {
    let kept = kept(answer, &[]).expect("it may be kept");
    let now = kept.freshness.age(moment().received);
    (kept.freshness.lifetime().as_secs(), now.as_secs())
}

#[test]
fn a_lifetime_is_that_of_the_first_that_says_one() {
    let expires = ("expires", "Sun, 06 Nov 1994 08:50:37 GMT");
    let etag = ("etag", "\"a\"");
    assert_eq!(times(&[DATE, expires]).0, 60);
    assert_eq!(times(&[expires]).0, 60, "without Date, from now on");
    assert_eq!(times(&[DATE, expires, ("cache-control", "max-age=5")]).0, 5);
    assert_eq!(times(&[DATE, expires, ("cache-control", "max-age=5, s-maxage=7")]).0, 7);
    assert_eq!(times(&[DATE, ("expires", "Sunday, 06-Nov-94 08:49:47 GMT")]).0, 10, "RFC 850");
    for past in ["0", "", "yesterday", "Sun, 06 Nov 1994 08:49:36 GMT"] {
        assert_eq!(times(&[DATE, etag, ("expires", past)]).0, 0, "{past}");
    }
    assert_eq!(times(&[DATE, etag, expires, expires]).0, 0, "twice");
    // A tenth of the time since the last change: 1,000 s.
    let changed = ("last-modified", "Sun, 06 Nov 1994 08:32:57 GMT");
    assert_eq!(times(&[DATE, changed]).0, 100);
    assert_eq!(times(&[DATE, ("last-modified", "Sun, 06 Nov 1988 08:49:37 GMT")]).0, 86_400);
    assert_eq!(times(&[DATE, changed, ("cache-control", "no-cache")]).0, 0);
}

#[test]
fn an_age_is_what_the_answer_says_or_what_its_date_shows() {
    let fresh = ("cache-control", "max-age=60");
    assert_eq!(times(&[DATE, fresh]).1, 0);
    assert_eq!(times(&[DATE, fresh, ("age", "20")]), (60, 20));
    assert_eq!(times(&[("date", "Sun, 06 Nov 1994 08:49:07 GMT"), fresh, ("age", "20")]), (60, 30));
    assert_eq!(times(&[("date", "Sun, 06 Nov 1994 09:49:07 GMT"), fresh]), (60, 0), "a clock that is ahead");
    // An age that nobody can read: the answer is stale, and is kept for its validator alone.
    for age in ["x", "-1", "1.5", "0, 0", "1;a=2", ""] {
        assert_eq!(kept(&[DATE, fresh, ("age", age)], &[]).err(), Some(Unkept::Lifetime), "{age}");
        assert_eq!(times(&[DATE, fresh, ("age", age), ("etag", "\"a\"")]).0, 0, "{age}");
    }
    assert_eq!(kept(&[DATE, fresh, ("age", "0"), ("age", "0")], &[]).err(), Some(Unkept::Lifetime));
}

#[test]
fn what_may_not_be_kept_is_not_kept() {
    let fresh = ("cache-control", "max-age=60");
    let cases: [(Fields<'_>, Fields<'_>, Option<Unkept>); 22] = [
        (&[fresh], &[], None),
        (&[("etag", "\"a\"")], &[], None),
        (&[], &[], Some(Unkept::Lifetime)),
        (&[("cache-control", "max-age=0")], &[], Some(Unkept::Lifetime)),
        (&[("cache-control", "no-store, max-age=60")], &[], Some(Unkept::NoStore)),
        (&[("cache-control", "no-store, must-understand, max-age=60")], &[], None),
        (&[("cache-control", "private, max-age=60")], &[], Some(Unkept::Private)),
        (&[("cache-control", "private=\"x\", max-age=60")], &[], Some(Unkept::Private)),
        (&[fresh], &[("cache-control", "no-store")], Some(Unkept::NoStore)),
        (&[fresh], &[("authorization", "Bearer x")], Some(Unkept::Credentials)),
        (&[("cache-control", "max-age=60, public")], &[("authorization", "Bearer x")], None),
        (&[("cache-control", "s-maxage=60")], &[("authorization", "Bearer x")], None),
        (&[("cache-control", "max-age=60, must-revalidate")], &[("authorization", "Bearer x")], None),
        (&[fresh, ("set-cookie", "a=b")], &[], Some(Unkept::SetCookie)),
        (&[("cache-control", "public, max-age=60"), ("set-cookie", "a=b")], &[], None),
        (&[fresh], &[("cookie", "a=b")], None),
        (&[fresh, ("vary", "*")], &[], Some(Unkept::Varies)),
        (&[fresh, ("vary", "a, *")], &[], Some(Unkept::Varies)),
        (&[fresh, ("vary", "X-Forwarded-For")], &[], Some(Unkept::Varies)),
        (&[fresh, ("vary", "x-forwarded-proto, Accept")], &[], None),
        (&[fresh, ("content-type", "text/event-stream; charset=utf-8")], &[], Some(Unkept::Stream)),
        (&[fresh, ("cache-tag", &"a,".repeat(65))], &[], Some(Unkept::Tags)),
    ];
    for (answer, request, expected) in cases {
        assert_eq!(kept(answer, request).err(), expected, "{answer:?} for {request:?}");
    }
}

#[test]
fn a_status_is_kept_where_the_rfc_or_the_answer_says_so() {
    let kept = |status: u16, fields: &[(&'static str, &str)]| {
        let status = StatusCode::from_u16(status).expect("a status");
        keep(status, &headers(fields), (&HeaderMap::new(), false), &CachePolicy::default(), moment()).is_ok()
    };
    let (changed, fresh) = (("last-modified", "Sun, 06 Nov 1988 08:49:37 GMT"), ("cache-control", "max-age=9"));
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        assert!(kept(status, &[changed]) && kept(status, &[fresh]), "{status}");
    }
    for status in [201, 202, 302, 303, 307, 400, 403, 500, 502, 503, 504, 599] {
        assert!(!kept(status, &[changed]) && kept(status, &[fresh]), "{status}");
    }
    for status in [206, 304, 416] {
        assert!(!kept(status, &[fresh]), "{status}");
    }
    assert!(!kept(599, &[("cache-control", "max-age=9, must-understand")]));
    assert!(kept(599, &[changed, ("cache-control", "public")]));
}

#[test]
fn the_routes_ttl_is_for_answers_that_say_nothing_and_not_for_those_of_one_user() {
    let ttl = CachePolicy { ttl: Some(Duration::from_secs(30)), ..CachePolicy::default() };
    let lifetime = |kept: &KeptAnswer| kept.freshness.lifetime().as_secs();
    assert_eq!(kept_by(&ttl, &[], &[]).as_ref().map(lifetime), Ok(30));
    assert_eq!(kept_by(&ttl, &[("cache-control", "max-age=5")], &[]).as_ref().map(lifetime), Ok(5));
    assert_eq!(kept_by(&ttl, &[], &[("cookie", "session=1")]).err(), Some(Unkept::Cookie));
    assert_eq!(kept_by(&ttl, &[], &[("authorization", "x")]).err(), Some(Unkept::Credentials));
    let by_cookie = CachePolicy { key: vec![KeyPart::Cookie("session".into())], ..ttl.clone() };
    assert!(kept_by(&by_cookie, &[], &[("cookie", "session=1")]).is_ok());
    let anonymous = kept_by(&ttl, &[], &[]).expect("kept");
    let to = |fields: &[(&'static str, &str)]| decide(&anonymous, &headers(fields), &ttl, Instant::now());
    assert_eq!((to(&[]), to(&[("cookie", "a=b")])), (CacheDecision::Give, CacheDecision::Personal));
    assert_eq!(to(&[("authorization", "x")]), CacheDecision::Personal);
    // A key by subject tells callers apart that the gateway knows; a header that nobody has proved tells nothing.
    let by_subject = CachePolicy { key: vec![KeyPart::Subject], ..ttl };
    assert_eq!(kept_by(&by_subject, &[], &[("authorization", "x")]).err(), Some(Unkept::Credentials));
    let proved = (&headers(&[("authorization", "x")]), true);
    assert!(keep(StatusCode::OK, &HeaderMap::new(), proved, &by_subject, moment()).is_ok());
}

#[test]
fn a_stale_answer_is_given_only_where_that_is_allowed() {
    let policy = CachePolicy {
        stale_while_revalidate: Some(Duration::from_secs(10)),
        stale_if_error: Some(Duration::from_secs(20)),
        ..CachePolicy::default()
    };
    let at = |control: &str, age: u64| {
        let kept = kept_by(&policy, &[("cache-control", control), ("etag", "\"a\"")], &[]).expect("kept");
        let now = Instant::now() + Duration::from_secs(age);
        (decide(&kept, &HeaderMap::new(), &policy, now), may_stand_in(&kept, 503, now), may_stand_in(&kept, 404, now))
    };
    use CacheDecision::{Give, GiveAndRefresh, Validate};
    assert_eq!(at("max-age=60", 59), (Give, true, false));
    assert_eq!(at("max-age=60", 65), (GiveAndRefresh, true, false));
    assert_eq!(at("max-age=60", 75), (Validate, true, false));
    assert_eq!(at("max-age=60", 85), (Validate, false, false));
    assert_eq!(at("max-age=60, stale-while-revalidate=2, stale-if-error=3", 61), (GiveAndRefresh, true, false));
    assert_eq!(at("max-age=60, stale-while-revalidate=2, stale-if-error=3", 64), (Validate, false, false));
    for strict in ["must-revalidate", "proxy-revalidate", "no-cache"] {
        assert_eq!(at(&format!("max-age=60, {strict}"), 61), (Validate, false, false), "{strict}");
    }
    assert_eq!(at("s-maxage=60", 61), (Validate, false, false));
    assert_eq!(at("s-maxage=60, stale-while-revalidate=5", 61), (GiveAndRefresh, false, false));
}

#[test]
fn a_request_says_how_fresh_it_wants_its_answer_where_the_route_listens() {
    let listens = CachePolicy { client_directives: true, ..CachePolicy::default() };
    let kept = kept(&[("cache-control", "max-age=60")], &[]).expect("kept");
    let at = |policy: &CachePolicy, wanted: &str, age: u64| {
        decide(&kept, &headers(&[("cache-control", wanted)]), policy, Instant::now() + Duration::from_secs(age))
    };
    use CacheDecision::{Asked, Give, Validate};
    for (wanted, age, expected) in [
        ("no-cache", 1, Asked),
        ("max-age=0", 1, Asked),
        ("max-age=30", 29, Give),
        ("max-age=30", 31, Asked),
        ("min-fresh=20", 39, Give),
        ("min-fresh=20", 45, Asked),
        ("max-stale", 1000, Give),
        ("max-stale=10", 65, Give),
        ("max-stale=10", 80, Validate),
    ] {
        assert_eq!(at(&listens, wanted, age), expected, "{wanted} at {age}");
        let deaf = if age < 60 { Give } else { Validate };
        assert_eq!(at(&CachePolicy::default(), wanted, age), deaf, "{wanted} at {age}");
    }
}

#[test]
fn a_304_renews_the_answer_and_leaves_what_tells_of_its_content() {
    let old = kept(&[("cache-control", "max-age=1"), ("etag", "\"a\""), ("x-a", "1"), ("content-encoding", "br")], &[]);
    let update = headers(&[
        ("cache-control", "max-age=60"),
        ("etag", "\"b\""),
        ("x-a", "2"),
        ("x-a", "3"),
        ("content-encoding", "gzip"),
        ("content-length", "5"),
        ("age", "7"),
    ]);
    let (fresh, outcome) = old.expect("kept").freshened(&update, &HeaderMap::new(), &CachePolicy::default(), moment());
    let all = |name: &str| fresh.headers.get_all(name).iter().map(|v| v.to_str().expect("text")).collect::<Vec<_>>();
    assert_eq!((all("x-a"), all("etag"), all("content-encoding")), (vec!["2", "3"], vec!["\"a\""], vec!["br"]));
    assert_eq!((all("content-length"), all("age")), (vec![], vec![]));
    assert_eq!((fresh.freshness.lifetime().as_secs(), outcome), (60, Ok(())));
    let age = fresh.freshness.age(Instant::now()).as_secs();
    assert!((7..9).contains(&age), "{age}");
    for (control, expected) in [("no-store", Unkept::NoStore), ("private", Unkept::Private)] {
        let update = headers(&[("cache-control", control)]);
        let (_, outcome) = fresh.freshened(&update, &HeaderMap::new(), &CachePolicy::default(), moment());
        assert_eq!(outcome, Err(expected));
    }
}

proptest! {
    /// An answer is fresh exactly while its age is below its lifetime, and both are what its fields say.
    #[test]
    fn an_answer_is_fresh_until_its_age_reaches_its_lifetime(
        lifetime in 0_u64..100, age in 0_u64..100, later in 0_u64..200, delay in 0_u64..5,
    ) {
        let received = Instant::now();
        let asked = received - Duration::from_secs(delay);
        let at = AnswerMoment { asked, received, received_at: wall(0) };
        let (control, age_field) = (format!("max-age={lifetime}"), age.to_string());
        let fields = headers(&[("cache-control", &control), ("age", &age_field), ("etag", "\"a\"")]);
        let request = (&HeaderMap::new(), false);
        let kept = keep(StatusCode::OK, &fields, request, &CachePolicy::default(), at).expect("kept");
        let fresh = kept.freshness.is_fresh(received + Duration::from_secs(later));
        prop_assert_eq!(fresh, age + delay + later < lifetime);
    }
}
