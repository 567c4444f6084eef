//! Ranges against a naive model, conditions against a table.

use super::*;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};
use proptest::prelude::*;

#[test]
fn a_range_is_a_part_all_or_none_of_the_content() {
    let part = |first, last| Some(RangeChoice::Part(ByteRange { first, last }));
    let none = Some(RangeChoice::Unsatisfiable);
    for (text, length, expected) in [
        ("bytes=0-0", 10, part(0, 0)),
        ("Bytes=2-", 10, part(2, 9)),
        ("bytes=2-100", 10, part(2, 9)),
        ("bytes=-3", 10, part(7, 9)),
        ("bytes=-30", 10, part(0, 9)),
        ("bytes= 1-2 ", 10, part(1, 2)),
        ("bytes=0-99999999999999999999999", 10, part(0, 9)),
        ("bytes=10-", 10, none),
        ("bytes=99999999999999999999999-", 10, none),
        ("bytes=-0", 10, none),
        ("bytes=0-", 0, none),
        ("bytes=-5", 0, none),
        ("bytes=3-2", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("bytes=-", 10, None),
        ("bytes=a-b", 10, None),
        ("bytes=+1-2", 10, None),
        ("lines=0-1", 10, None),
        ("bytes", 10, None),
        ("", 10, None),
    ] {
        assert_eq!(RangeChoice::parse(text.as_bytes(), length), expected, "{text} of {length}");
    }
}

proptest! {
    #[test]
    fn a_range_is_what_a_naive_reader_cuts(
        first in 0_usize..30, last in 0_usize..30, length in 0_usize..20, form in 0..3,
    ) {
        let content: Vec<usize> = (0..length).collect();
        let (text, wanted): (String, Vec<usize>) = match form {
            0 => {
                let cut = content.iter().copied().filter(|at| (first..=last).contains(at)).collect();
                (format!("bytes={first}-{last}"), cut)
            }
            1 => (format!("bytes={first}-"), content.iter().copied().skip(first).collect()),
            _ => (format!("bytes=-{last}"), content.iter().copied().rev().take(last).rev().collect()),
        };
        let cut = match RangeChoice::parse(text.as_bytes(), length) {
            Some(RangeChoice::Part(ByteRange { first, last })) => content[first..=last].to_vec(),
            Some(RangeChoice::Unsatisfiable) => Vec::new(),
            other => {
                prop_assert!(form == 0 && first > last, "{:?} for {}", other, text);
                return Ok(());
            }
        };
        prop_assert_eq!(cut, wanted);
    }

    #[test]
    fn any_range_can_be_read(value in prop::collection::vec(any::<u8>(), 0..40), length in 0_usize..100) {
        if let Some(RangeChoice::Part(ByteRange { first, last })) = RangeChoice::parse(&value, length) {
            prop_assert!(first <= last && last < length);
        }
    }
}

#[test]
fn a_range_holds_only_for_the_answer_that_if_range_names() {
    let own = headers(&[("etag", "\"a\""), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")]);
    for (named, holds) in [
        ("\"a\"", true),
        ("\"b\"", false),
        ("W/\"a\"", false),
        ("Sun, 06 Nov 1994 08:49:37 GMT", true),
        ("Sun, 06 Nov 1994 08:49:38 GMT", false),
    ] {
        let request = headers(&[("range", "bytes=0-1"), ("if-range", named)]);
        let part = matches!(RangeChoice::of(&request, StatusCode::OK, &own, 9), RangeChoice::Part(_));
        assert_eq!(part, holds, "{named}");
    }
    let twice = headers(&[("range", "bytes=0-1"), ("range", "bytes=2-3")]);
    assert_eq!(RangeChoice::of(&twice, StatusCode::OK, &own, 9), RangeChoice::Whole);
    let once = headers(&[("range", "bytes=0-1")]);
    assert_eq!(RangeChoice::of(&once, StatusCode::NOT_FOUND, &own, 9), RangeChoice::Whole);
}

#[test]
fn a_condition_is_judged_by_the_tag_and_without_one_by_the_date() {
    let (day, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT");
    let tagged = [("etag", "W/\"a,b\""), ("last-modified", day)];
    let cases: [(Fields<'_>, Fields<'_>, bool); 14] = [
        (&[("if-none-match", "\"a,b\"")], &tagged, true),
        (&[("if-none-match", "\"x\", W/\"a,b\", \"y\"")], &tagged, true),
        (&[("if-none-match", "\"x\""), ("if-none-match", "\"a,b\"")], &tagged, true),
        (&[("if-none-match", "*")], &tagged, true),
        (&[("if-none-match", "\"a\"")], &tagged, false),
        (&[("if-none-match", "a,b")], &tagged, false),
        (&[("if-none-match", "\"x\""), ("if-modified-since", later)], &tagged, false),
        (&[("if-modified-since", day)], &tagged, true),
        (&[("if-modified-since", later)], &tagged, true),
        (&[("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT")], &tagged, false),
        (&[("if-modified-since", "soon")], &tagged, false),
        (&[("if-modified-since", later)], &[("date", day)], true),
        (&[("if-none-match", "\"a\"")], &[], false),
        (&[], &tagged, false),
    ];
    for (request, answer, expected) in cases {
        let found = is_not_modified(&headers(request), StatusCode::OK, &headers(answer));
        assert_eq!(found, expected, "{request:?} for {answer:?}");
    }
    assert!(!is_not_modified(&headers(&[("if-none-match", "*")]), StatusCode::NOT_FOUND, &headers(&tagged)));
}

#[test]
fn a_service_is_asked_by_the_kept_answers_validators_and_not_by_the_clients() {
    let day = "Sun, 06 Nov 1994 08:49:37 GMT";
    let sent = [("if-none-match", "\"mine\""), ("range", "bytes=0-1"), ("if-range", "\"mine\""), ("accept", "a/b")];
    let (mut with, mut without) = (headers(&sent), headers(&sent));
    let kept = kept(&[("etag", "\"kept\""), ("last-modified", day)], &[]).expect("kept");
    set_validators(&mut with, Some(&kept));
    set_validators(&mut without, None);
    assert_eq!(
        (&with[IF_NONE_MATCH], &with[IF_MODIFIED_SINCE]),
        (&HeaderValue::from_static("\"kept\""), &HeaderValue::from_static(day))
    );
    assert_eq!((with.contains_key(RANGE), without.len()), (false, 1));
    assert!(is_conditional(&headers(&[("if-match", "*")])) && !is_conditional(&with));
}
