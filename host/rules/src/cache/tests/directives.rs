//! `Cache-Control`: a table, and any bytes.

use super::*;
use proptest::prelude::*;

#[test]
fn directives_are_read_across_lines_and_in_any_case_and_not_within_quotes() {
    let of = |lines: &[&str]| {
        CacheControl::of(&headers(&lines.iter().map(|line| ("cache-control", *line)).collect::<Vec<_>>()))
    };
    let max_age = |lines: &[&str]| of(lines).max_age;
    assert_eq!(max_age(&["MaX-AgE=60"]), Some(60));
    assert_eq!(max_age(&["public", "max-age=60"]), Some(60));
    assert_eq!(max_age(&["max-age=\"60\""]), Some(60));
    assert_eq!(max_age(&["max-age=0060"]), Some(60));
    assert_eq!(max_age(&["max-age=99999999999999999999"]), Some(1 << 31));
    // What is no number is a lifetime of nothing (RFC 9111, section 4.2.1).
    for wrong in ["max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age='60'", "max-age=60s", "max-age =60"] {
        assert_eq!(max_age(&[wrong]), Some(0), "{wrong}");
    }
    assert_eq!(max_age(&["max-age=60, max-age=5"]), Some(5));
    assert_eq!(max_age(&["x=\"max-age=60\""]), None);
    assert_eq!(max_age(&["x=\"a\\\"b, max-age=60\", max-age=7"]), Some(7));
    let strict = of(&["NO-store,PRIVATE=\"set-cookie\" , no-cache=\"a, b\", must-Revalidate, proxy-revalidate"]);
    assert!(strict.no_store && strict.private && strict.no_cache && strict.must_revalidate && strict.proxy_revalidate);
    assert_eq!(of(&["max-stale"]).max_stale, Some(u64::MAX));
    assert_eq!(of(&["max-stale=5, max-stale"]).max_stale, Some(5));
    assert_eq!(of(&["min-fresh=5, min-fresh=9"]).min_fresh, Some(9));
}

#[test]
fn pragma_counts_only_in_a_request_without_cache_control() {
    assert!(CacheControl::of_request(&headers(&[("pragma", "x, no-cache")])).no_cache);
    assert!(!CacheControl::of_request(&headers(&[("pragma", "no-cache"), ("cache-control", "max-age=1")])).no_cache);
    assert!(!CacheControl::of(&headers(&[("pragma", "no-cache")])).no_cache);
}

proptest! {
    /// A directive that forbids keeps its word, whatever stands beside it outside of quotes.
    #[test]
    fn no_store_counts_wherever_it_stands(before in "[a-z0-9=, -]{0,40}", after in "[a-z0-9=,\" -]{0,40}") {
        let text = format!("{before},no-store,{after}");
        prop_assert!(CacheControl::of(&headers(&[("cache-control", &text)])).no_store);
    }

    #[test]
    fn any_value_can_be_read(value in prop::collection::vec(0x20_u8..0x7f, 0..80)) {
        let text = String::from_utf8(value).expect("ASCII");
        let control = CacheControl::of(&headers(&[("cache-control", &text)]));
        prop_assert!(control.max_age.is_none_or(|seconds| seconds <= 1 << 31));
    }
}
