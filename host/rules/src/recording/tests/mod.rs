//! Recordings, their files, masks and store; replays against them.

mod way_back;

use super::testing::*;
use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

fn playback(recording: Recording) -> Playback {
    Playback::new(Arc::new(recording), &MaskRules::default())
}

fn words(report: &PlaybackReport) -> Vec<String> {
    report.differences.iter().map(Difference::in_words).collect()
}

#[test]
fn a_file_is_read_back_with_bytes_that_are_no_text_and_other_files_are_refused_with_the_reason() {
    let mut whole = recording();
    whole.outcome = RecordedOutcome::Function(Some(vec![0xff, 0x00].into()));
    let file = whole.to_file();
    assert_eq!(Recording::from_file(&file).unwrap(), whole);
    let text = String::from_utf8(file).unwrap();
    assert!(text.contains(r#""base64": "/wA=""#) && text.contains(r#""user/7""#), "{text}");
    let newer = text.replace("\"atoll_recording\": 1", "\"atoll_recording\": 2");
    assert_eq!(Recording::from_file(newer.as_bytes()), Err(RecordingError::OtherFormat(2)));
    for (bytes, reason) in [
        (&b"\0asm"[..], "it is no recording"),
        (b"{}", "no member `atoll_recording`"),
        (b"{\"atoll_recording\":1}", "missing field"),
    ] {
        let error = Recording::from_file(bytes).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn debug_output_shows_no_bytes() {
    let text = format!("{:?}", recording());
    for secret in ["Bearer", "Ann", "1200", "postgres", "pw"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[test]
fn short_names_of_secrets_are_found_as_whole_words() {
    let rules = MaskRules::default();
    for secret in ["pin", "PIN", "cardPin", "card_pin", "x-otp-code", "idTokenJwt", "auth", "basic.auth", "CVC", "SSN"]
    {
        assert!(rules.hides(secret), "{secret}");
    }
    for plain in ["spinner", "pinned", "author", "hotplate", "shopping", "authority", "id", "", "-", "Ünpin"] {
        assert!(!rules.hides(plain), "{plain}");
    }
}

#[test]
fn a_copy_for_outside_has_no_secret_and_says_how_many_it_lacks() {
    let rules = MaskRules::new(["/ok/email", "Name"]);
    let copy = rules.masked(&recording());
    let text = String::from_utf8(copy.to_file()).unwrap();
    for secret in ["abcdefgh", "Ann", "a@b.c", "postgres", "\\\"pw\\\""] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(text.contains("1200") && text.contains("\"50\"") && text.contains("*/*"), "{text}");
    // The query, the header, the password, the name, the mail, the environment, the random bytes.
    assert_eq!(copy.masked, 7);
    assert_eq!(rules.masked(&copy), Recording { masked: copy.masked, ..rules.masked(&copy) });
}

#[test]
fn a_secret_that_the_guest_sends_on_is_in_no_part_of_a_copy_or_of_a_difference() {
    let secret = "sk live/4711";
    let said = |name: &str| format!(r#"{{"{name}":"with {secret}"}}"#);
    let mut whole = Recording { secrets: BTreeMap::from([("partner".into(), blob(secret))]), ..recording() };
    let address = "http://partner.example/charge?k=sk%20live%2F4711";
    let headers = vec![("x-partner".into(), blob(secret))];
    let request =
        RecordedQuestion::Http { method: "POST".into(), address: blob(address), headers, body: blob(&said("a")) };
    whole.exchanges = vec![
        exchange(request, RecordedReply::Result(Some(blob(&said(secret)))), 0),
        exchange(commit(&format!("by/{secret}"), secret), RecordedReply::Key(Some(blob(secret))), 1),
        exchange(get(secret), found(&said("b"), 1), 2),
    ];
    let cause = format!("panicked: token=abcdefgh, {secret} was refused");
    let (kind, frames) = ("trap".to_owned(), Vec::new());
    whole.outcome = RecordedOutcome::Failed { kind, cause, frames, stack: None };
    for copy in [MaskRules::default().masked(&whole), MaskRules::default().masked_for_replay(&whole)] {
        let text = String::from_utf8(copy.to_file()).unwrap();
        assert!(!text.contains("4711") && !text.contains("abcdefgh"), "{text}");
        assert!(text.contains("panicked: token=***, *** was refused"), "{text}");
    }
    let given = |copy: Recording| copy.inputs.random;
    assert_eq!(given(MaskRules::default().masked_for_replay(&whole)), whole.inputs.random, "a replay needs them");
    assert_ne!(given(MaskRules::default().masked(&whole)), whole.inputs.random);

    let mut play = playback(whole);
    play.ask(&commit(&format!("by/{secret}"), &said("c"))).unwrap();
    play.ask(&get(&format!("other/{secret}"))).unwrap_err();
    let report = play.report(answered(secret));
    let text = format!("{report:?}");
    assert!(!report.differences.is_empty() && !text.contains("4711"), "{text}");
}

#[test]
fn the_store_stays_within_its_bound_and_gives_failed_calls_up_last() {
    let size = recording().size();
    let store = RecordingStore::new(RecordingBounds { entry: 2 * size, total: 3 * size });
    let failed = Recording {
        request: "bad".into(),
        outcome: RecordedOutcome::Http { status: 500, headers: Vec::new(), body: Blob::default() },
        ..recording()
    };
    store.keep(failed).unwrap();
    for _ in 0..9 {
        store.keep(recording()).unwrap();
        assert!(store.list().iter().map(|(_, size)| size).sum::<usize>() <= 3 * size);
    }
    let numbers: Vec<_> = store.list().iter().map(|(recording, _)| recording.number).collect();
    assert_eq!(numbers, [10, 9, 1]);
    assert_eq!(store.find("bad", None).unwrap().number, 1);
    assert_eq!(store.find("9", None).unwrap().number, 9);
    assert!(store.find("bad", Some("users")).is_none() && store.find("2", None).is_none());
    let large = Recording { outcome: answered(&"x".repeat(2 * size)), ..recording() };
    assert!(store.keep(large).is_none());
    assert_eq!(store.list().len(), 3, "what is not kept pushes nothing out");
}

#[test]
fn of_one_request_the_deepest_failure_is_found_first_and_else_the_gateways_own_call() {
    let store = RecordingStore::default();
    let of = |service: &str, depth, status| Recording {
        service: service.into(),
        depth,
        outcome: RecordedOutcome::Http { status, headers: Vec::new(), body: Blob::default() },
        ..recording()
    };
    store.keep(of("users", 1, 200)).unwrap();
    store.keep(of("orders", 0, 200)).unwrap();
    assert_eq!(store.find("r1", None).unwrap().service, "orders");
    assert_eq!(store.find("r1", Some("users")).unwrap().service, "users");
    store.keep(of("products", 1, 500)).unwrap();
    store.keep(of("orders", 0, 502)).unwrap();
    assert_eq!(store.find("r1", None).unwrap().service, "products");
}

#[test]
fn a_replay_that_does_the_same_differs_in_nothing_and_answers_arrive_in_their_order() {
    let mut play = playback(recording());
    assert_eq!((play.time(), play.time(), play.time()), (1, 2, 2), "time stands still after the last");
    let read = play.ask(&get("user/7")).unwrap();
    let called = play.ask(&call("7")).unwrap();
    assert!(!play.is_due(&read) && play.is_due(&called));
    play.arrived(&called);
    assert!(play.is_due(&read));
    play.arrived(&read);
    assert_eq!(read.answer, Some(found(r#"{"name":"Ann"}"#, 3)));
    let written = play.ask(&commit("order/42", r#"{"total":1200}"#)).unwrap();
    assert_eq!(written.answer, Some(RecordedReply::Change { version: 9, sums: Vec::new() }));
    // Headers of the host and the order of members do not count.
    let outcome = RecordedOutcome::Http {
        status: 200,
        headers: vec![("content-type".into(), blob("application/json")), ("date".into(), blob("tomorrow"))],
        body: blob(r#"{"total":1200,"id":42}"#),
    };
    let report = play.report(outcome);
    assert!(report.is_equal(), "{report:?}");
}

#[test]
fn differences_are_named_by_their_places_and_writes_are_compared_and_not_made() {
    let mut play = playback(recording());
    play.ask(&get("user/7")).unwrap();
    play.ask(&call("7")).unwrap();
    let written = play.ask(&commit("order/42", r#"{"total":1250}"#)).unwrap();
    assert_eq!(
        written.answer,
        Some(RecordedReply::Change { version: 9, sums: Vec::new() }),
        "another write is answered as the recorded one"
    );
    let known = play.ask(&RecordedQuestion::Get { keys: vec![blob("order/42"), blob("user/7")] }).unwrap();
    let values = vec![Some((blob(r#"{"total":1250}"#), 9)), Some((blob(r#"{"name":"Ann"}"#), 3))];
    assert_eq!(known.answer, Some(RecordedReply::Values(values)), "a key that was read or written is known");
    let report = play.report(answered(r#"{"id":42,"total":1250,"tax":1}"#));
    assert_eq!(
        words(&report),
        ["write order/* /total: 1200 is 1250", "body /total: 1200 is 1250", "body /tax: nothing is 1"]
    );
}

#[test]
fn what_was_not_recorded_stops_the_guest_and_is_named_with_what_came_closest() {
    let mut play = playback(recording());
    let stopped = play.ask(&call("8")).unwrap_err();
    assert_eq!(stopped.to_string(), "asks for something new: call shop:users/users@1.0.0#get");
    assert_eq!(play.ask(&get("user/7")).unwrap_err(), stopped, "nothing is answered afterwards");
    let report = play.report(answered("{}"));
    assert_eq!(words(&report), ["call shop:users/users@1.0.0#get argument 1: 7 is 8"]);
    assert!(report.stopped.is_some() && report.outcome.is_none());
    let mut play = playback(recording());
    assert!(play.ask(&get("user/8")).is_err(), "a read of an unknown key");
    let mut play = playback(recording());
    assert!(play.ask(&commit("order/42", r#"{"total":1200}"#)).is_ok());
    assert!(play.ask(&commit("order/43", "{}")).is_err(), "one write more");
}

#[test]
fn an_effect_that_is_left_out_is_a_difference_and_a_read_is_not() {
    let mut play = playback(recording());
    play.ask(&call("7")).unwrap();
    let report = play.report(answered(r#"{"id":42,"total":1200}"#));
    assert_eq!(words(&report), ["write `order/*`: write `order/42` is nothing"]);
}

#[test]
fn failures_are_compared_by_kind_cause_and_frames() {
    let failed = |cause: &str, frames: &[&str], stack: &str| RecordedOutcome::Failed {
        kind: "trap".into(),
        cause: cause.into(),
        frames: frames.iter().map(|frame| (*frame).into()).collect(),
        stack: Some(stack.into()),
    };
    let was = failed("unreachable", &["abort", "place"], "1");
    let differences = |is: &RecordedOutcome| {
        let found = outcome_differences(&was, is, &MaskRules::default());
        found.iter().map(Difference::in_words).collect::<Vec<_>>()
    };
    assert!(differences(&failed("unreachable", &["abort", "place"], "2")).is_empty());
    assert_eq!(differences(&failed("unreachable", &["abort", "check"], "1")), ["frame 1: place is check"]);
    assert_eq!(differences(&failed("overflow", &["abort"], "1")).len(), 2);
    assert_eq!(differences(&answered("{}")), ["outcome: trap: unreachable is 200"]);
}

#[test]
fn a_shadow_counts_each_place_once_a_call_and_shows_masked_samples() {
    let rules = Arc::new(MaskRules::new(["email"]));
    let report = |was: serde_json::Value, is: serde_json::Value| {
        let differences = outcome_differences(
            &RecordedOutcome::Function(Some(blob(&was.to_string()))),
            &RecordedOutcome::Function(Some(blob(&is.to_string()))),
            &rules,
        );
        PlaybackReport { differences, stopped: None, outcome: None, read: Vec::new() }
    };
    let mut tally = ShadowTally::default();
    tally.count(&report(json!(1), json!(1)), 1, "a");
    tally.count(&report(json!([{"price": 1}, {"price": 2}]), json!([{"price": 2}, {"price": 4}])), 2, "b");
    tally.count(&report(json!([{"price": 1}]), json!([{"price": 3}])), 3, "c");
    tally.count(&report(json!({"email": "a@b"}), json!({"email": "b@c"})), 4, "d");
    let stopped = PlaybackReport {
        differences: Vec::new(),
        stopped: Some("asks for something new: read `u/7`".into()),
        outcome: None,
        read: Vec::new(),
    };
    tally.count(&stopped, 5, "e");
    let places: Vec<_> =
        tally.places.iter().map(|one| (one.sample.in_words(), one.calls, one.request.as_str())).collect();
    assert_eq!(
        places,
        [
            ("result /*/price: 1 is 2".to_owned(), 2, "b"),
            ("result /email: *** is ***".to_owned(), 1, "d"),
            ("asks for something new: read `u/*`: nothing is asks for something new: read `u/7`".to_owned(), 1, "e"),
        ]
    );
    assert_eq!((tally.compared, tally.differing, tally.stopped), (5, 3, 1));
    assert!(tally.differs() && tally.in_words().starts_with("5 calls compared in the shadow, 3 differ, 1 ask for"));
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        "[a-z/~*]{0,4}".prop_map(Into::into)
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("[a-z~/]{1,3}", inner, 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Two values differ somewhere exactly if they are not equal.
    #[test]
    fn values_without_a_difference_are_equal(one in any_json(), other in any_json()) {
        let of = |value: &serde_json::Value| RecordedOutcome::Function(Some(blob(&value.to_string())));
        let found = outcome_differences(&of(&one), &of(&other), &MaskRules::default());
        prop_assert_eq!(found.is_empty(), one == other, "{:?}", found);
        prop_assert!(outcome_differences(&of(&one), &of(&one), &MaskRules::default()).is_empty());
    }

    /// What a rule names is in no part of the copy, wherever it stands.
    #[test]
    fn a_masked_member_never_stays(depth in 0_usize..4, value in "[a-z]{8}") {
        let mut json = json!({ "PassWord": value.clone() });
        (0..depth).for_each(|at| json = if at % 2 == 0 { json!([json]) } else { json!({ "a": json }) });
        let whole = Recording { outcome: RecordedOutcome::Function(Some(blob(&json.to_string()))), ..recording() };
        let copy = MaskRules::default().masked(&whole);
        prop_assert!(!String::from_utf8(copy.to_file()).unwrap().contains(&value));
    }

    #[test]
    fn any_bytes_are_read_as_a_recording_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(Recording::from_file(&bytes).is_err());
    }

    #[test]
    fn more_random_bytes_than_were_recorded_are_the_same_in_each_replay(
        lengths in prop::collection::vec(1_usize..9, 1..5),
    ) {
        let bytes = || {
            let mut play = playback(recording());
            lengths.iter().map(|length| {
                let mut bytes = vec![0; *length];
                play.random(&mut bytes, false);
                bytes
            }).collect::<Vec<_>>()
        };
        prop_assert_eq!(bytes(), bytes());
    }
}
