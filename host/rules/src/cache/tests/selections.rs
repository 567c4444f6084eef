//! What tells requests apart, what `Cache-Status` says, and what a purge takes.

use super::*;
use crate::base::{HostAndPort, Identity, IdentityFields, ProofKind};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn selects(vary: &str, one: Fields<'_>, other: Fields<'_>) -> bool {
    let selection = Selection::of(&headers(&[("vary", vary)]), &headers(one)).expect("it selects");
    selection.selects(&headers(other))
}

#[test]
fn vary_tells_requests_apart_by_the_fields_that_it_names_alone() {
    assert!(selects("", &[("foo", "1")], &[("foo", "2")]));
    assert!(selects("Foo", &[("foo", "1"), ("bar", "1")], &[("foo", "1"), ("bar", "2")]));
    assert!(!selects("Foo", &[("foo", "1")], &[("foo", "2")]));
    assert!(!selects("Foo, Bar", &[("foo", "1"), ("bar", "1")], &[("foo", "1")]));
    assert!(!selects("Foo", &[], &[("foo", "")]), "absent is not empty");
    assert!(selects("Foo", &[("foo", "1, 2")], &[("foo", "1"), ("foo", "2")]));
    assert!(selects("Foo", &[("foo", "1,2")], &[("foo", " 1 ,  2 ")]));
    assert!(!selects("Foo", &[("foo", "1, 2")], &[("foo", "2, 1")]), "nobody knows what the order means");
    assert!(selects("Accept-Language", &[("accept-language", "en, de")], &[("accept-language", "De,EN")]));
    assert!(!selects("Foo, Bar", &[("foo", "1"), ("bar", "")], &[("foo", ""), ("bar", "1")]));
    let many = (0..17).map(|at| format!("x-{at}")).collect::<Vec<_>>().join(",");
    assert!(Selection::of(&headers(&[("vary", &many)]), &HeaderMap::new()).is_none());
    for own in ["X-Forwarded-For", "Forwarded", "X-Request-Id", "x-atoll-depth", "X-Real-IP"] {
        assert!(Selection::of(&headers(&[("vary", own)]), &HeaderMap::new()).is_none(), "{own}");
    }
}

#[test]
fn a_value_of_a_field_is_not_shown() {
    let secret = headers(&[("authorization", "Bearer secret")]);
    let selection = Selection::of(&headers(&[("vary", "Authorization")]), &secret).expect("it selects");
    let key =
        KeyDigest::of((0, &policy(&[KeyPart::Header("authorization".parse().expect("a name"))])), &secret, None, &[]);
    let kept = kept(&[("cache-control", "public, max-age=1"), ("x-secret", "secret")], &[]).expect("kept");
    let uri = CacheKey::new(false, None, "/a", Some("token=secret"));
    assert!(!format!("{selection:?} {key:?} {kept:?} {uri:?}").contains("secret"));
}

fn policy(key: &[KeyPart]) -> CachePolicy {
    CachePolicy { key: key.to_vec(), ..CachePolicy::default() }
}

#[test]
fn a_routes_key_tells_requests_apart_by_its_parts() {
    let who = |subject: &str| Identity {
        subject: subject.into(),
        policy: "staff".into(),
        proof: ProofKind::Token,
        scopes: BTreeSet::new(),
        claims: "{}".into(),
        told: IdentityFields::default(),
    };
    let by = |part: KeyPart, fields: Fields<'_>, subject: Option<&str>| {
        KeyDigest::of((0, &policy(&[part])), &headers(fields), subject.map(who).as_ref(), &[])
    };
    let tenant = || KeyPart::Header("x-tenant".parse().expect("a name"));
    assert_ne!(by(tenant(), &[("x-tenant", "a")], None), by(tenant(), &[("x-tenant", "b")], None));
    assert_ne!(by(tenant(), &[("x-tenant", "")], None), by(tenant(), &[], None));
    assert_eq!(by(tenant(), &[("x-tenant", "a"), ("x", "1")], None), by(tenant(), &[("x-tenant", "a")], Some("z")));
    let session = || KeyPart::Cookie("s".into());
    assert_eq!(by(session(), &[("cookie", "s=1; t=2")], None), by(session(), &[("cookie", "t=3;s=1")], None));
    assert_ne!(by(session(), &[("cookie", "s=1")], None), by(session(), &[("cookie", "ss=1")], None));
    assert_ne!(by(KeyPart::Subject, &[], Some("a")), by(KeyPart::Subject, &[], Some("b")));
    assert_ne!(by(KeyPart::Subject, &[], Some("a")), by(KeyPart::Subject, &[], None));
    let told = |told: &[&[u8]]| KeyDigest::of((0, &CachePolicy::default()), &HeaderMap::new(), None, told);
    assert_ne!(told(&[b"a", b"bc"]), told(&[b"ab", b"c"]));
    assert_ne!(told(&[b"shop.example"]), told(&[]));
}

#[test]
fn a_uri_is_the_same_for_all_spellings_of_its_host() {
    let key = |secure, host: &str, path| CacheKey::new(secure, HostAndPort::parse(host), path, None);
    assert_eq!(key(false, "Shop.example:80", "/a"), key(false, "shop.example.", "/a"));
    assert_eq!(key(true, "shop.example:443", "/a"), key(true, "shop.example", "/a"));
    for other in [
        key(true, "shop.example", "/a"),
        key(false, "shop.example:8080", "/a"),
        key(false, "other.example", "/a"),
        key(false, "shop.example", "/A"),
        CacheKey::new(false, HostAndPort::parse("shop.example"), "/a", Some("")),
    ] {
        assert_ne!(key(false, "shop.example", "/a"), other);
    }
}

#[test]
fn a_reference_names_a_uri_of_the_same_host_alone() {
    let own = CacheKey::new(true, HostAndPort::parse("shop.example"), "/a/b", Some("q=1"));
    let named = |text: &str| own.named_by(text);
    let c = Some(CacheKey::new(true, HostAndPort::parse("shop.example"), "/c", Some("d")));
    for text in ["/c?d", "/c?d#e", "https://SHOP.example:443/c?d", "//shop.example/c?d"] {
        assert_eq!(named(text), c, "{text}");
    }
    assert_eq!(named("https://shop.example"), Some(CacheKey::new(true, HostAndPort::parse("shop.example"), "/", None)));
    for text in ["http://shop.example/c", "https://other.example/c", "//other.example/c", "c", "?d", "", "mailto:a@b"] {
        assert_eq!(named(text), None, "{text}");
    }
}

#[test]
fn cache_status_says_what_was_done_behind_those_before_it() {
    let mut fields = headers(&[("cache-status", "origin; hit")]);
    CacheStatus { ttl: Some(-3), ..CacheStatus::default() }.write(&mut fields);
    let forwarded = Some(ForwardReason::Stale);
    CacheStatus { forwarded, status: Some(304), stored: true, collapsed: true, detail: Some("x"), ttl: None }
        .write(&mut fields);
    let lines: Vec<_> = fields.get_all("cache-status").iter().collect();
    assert_eq!(
        lines,
        ["origin; hit", "atoll; hit; ttl=-3", "atoll; fwd=stale; fwd-status=304; stored; collapsed; detail=x"]
    );
}

#[test]
fn a_purge_takes_paths_by_their_segments_and_answers_by_their_tags() {
    let kept = kept(&[("cache-control", "max-age=1"), ("cache-tag", "a, b"), ("surrogate-key", "c d")], &[]);
    let kept = kept.expect("kept");
    let takes = |purge: Purge, path: &str| {
        purge.takes(&CacheKey::new(true, HostAndPort::parse("h"), path, Some("q=/x")), &kept)
    };
    let (path, prefix) = (|text: &str| Purge::Path(text.into()), |text: &str| Purge::Prefix(text.into()));
    assert!(takes(path("/a"), "/a") && !takes(path("/a"), "/a/b") && takes(Purge::All, "/"));
    assert!(takes(prefix("/a"), "/a") && takes(prefix("/a/"), "/a/b") && !takes(prefix("/a"), "/ab"));
    assert!(takes(prefix("/"), "/a"));
    for tag in ["a", "b", "c", "d"] {
        assert!(takes(Purge::Tag(tag.into()), "/"), "{tag}");
    }
    assert!(!takes(Purge::Tag("a, b".into()), "/") && !takes(Purge::Tag("".into()), "/"));
}

proptest! {
    /// Two requests select the same answer exactly if the fields that `Vary` names have the same members.
    #[test]
    fn requests_select_alike_exactly_if_the_named_fields_agree(
        one in prop::collection::vec(prop::option::of("[ab]{0,2}(, ?[ab]{0,2}){0,2}"), 3),
        other in prop::collection::vec(prop::option::of("[ab]{0,2}(, ?[ab]{0,2}){0,2}"), 3),
    ) {
        const NAMES: [&str; 3] = ["x", "y", "z"];
        let fields = |values: &[Option<String>]| {
            let own: Vec<(&'static str, &str)> =
                NAMES.into_iter().zip(values).filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
            headers(&own)
        };
        let members = |value: &Option<String>| {
            let own = |text: &String| -> Vec<String> {
                text.split(',').map(str::trim).filter(|member| !member.is_empty()).map(String::from).collect()
            };
            value.as_ref().map(own)
        };
        let selection = Selection::of(&headers(&[("vary", "X, Y")]), &fields(&one)).expect("it selects");
        let agree = one.iter().zip(&other).take(2).all(|(one, other)| members(one) == members(other));
        prop_assert_eq!(selection.selects(&fields(&other)), agree);
    }
}

#[test]
fn no_route_gets_the_answers_of_another() {
    let of = |route| KeyDigest::of((route, &CachePolicy::default()), &HeaderMap::new(), None, &[]);
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}
