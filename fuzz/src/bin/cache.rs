//! The cache: any request and any answer lead to a key and a decision without a panic, and no decision gives an answer
//! to whom it is not for.
//!
//! The text is lines: the path with its query; the status; then fields, `>name: value` of the request, `<name: value`
//! of the answer.
#![no_main]

use host::base::HostAndPort;
use host::cache::{
    AnswerMoment, AnswerStore, CacheControl, CacheDecision, CacheKey, CachePolicy, KeyDigest, StoreLookup, decide, keep,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let (target, status) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let (mut request, mut answer) = (HeaderMap::new(), HeaderMap::new());
    for line in lines.take(64) {
        let Some((name, value)) = line.get(1..).and_then(|rest| rest.split_once(": ")) else { continue };
        let to = if line.starts_with('>') { &mut request } else { &mut answer };
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            to.append(name, value);
        }
    }
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let key = CacheKey::new(true, HostAndPort::parse("shop.example"), path, query);
    let location = answer.get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if let Some(named) = key.named_by(location) {
        assert!(format!("{named:?}").starts_with("https://shop.example/"), "{named:?} is of another host");
    }
    let status = status.parse().ok().and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::OK);
    let policy = CachePolicy { ttl: Some(Duration::from_secs(9)), client_directives: true, ..CachePolicy::default() };
    let now = Instant::now();
    let moment = AnswerMoment { asked: now, received: now, received_at: SystemTime::UNIX_EPOCH };
    let Ok(kept) = keep(status, &answer, (&request, false), &policy, moment) else { return };
    let control = CacheControl::of(&answer);
    assert!(!control.private, "private, and kept");
    let for_all = control.public || control.s_maxage.is_some() || control.must_revalidate;
    assert!(for_all || !request.contains_key("authorization"), "an answer to credentials is kept");
    assert!(control.public || !answer.contains_key("set-cookie"), "an answer with a cookie is kept");
    assert!(kept.selection.selects(&request), "it misses its own request");
    let decision = decide(&kept, &request, &policy, now);
    assert!(decision != CacheDecision::Give || !control.no_cache, "given without a validation");
    let (mut store, digest) = (AnswerStore::new(1 << 20, 0), KeyDigest::of((0, &policy), &request, None, &[]));
    let stored = store.insert(&key, digest, Arc::new(kept), store.epoch());
    assert_eq!(stored, matches!(store.find(&key, digest, &request, now), StoreLookup::Found(_)));
});
