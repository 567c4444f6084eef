//! What a new revision has written, read by the revision before.

use super::*;

/// A call of `revision` that reads `key`, and then perhaps writes it.
fn reads(revision: &str, key: &str, value: Option<&str>, writes: Option<&str>) -> Recording {
    let read = RecordedReply::Values(vec![value.map(|value| (blob(value), 1))]);
    let mut exchanges = vec![exchange(get(key), read, 0)];
    if let Some(new) = writes {
        exchanges.push(exchange(commit(key, new), RecordedReply::Change { version: 9, sums: Vec::new() }, 1));
    }
    Recording { revision: revision.into(), exchanges, ..recording() }
}

/// Replays `recording` with a guest that fails at a value which begins with `{`.
fn replay(recording: &Recording) -> PlaybackReport {
    let mut playback = playback(recording.clone());
    let answer = playback.ask(&recording.exchanges[0].question).unwrap().answer;
    let Some(RecordedReply::Values(values)) = answer else { panic!("{answer:?}") };
    let fails = values.iter().flatten().any(|(value, _)| value.bytes().starts_with(b"{"));
    let status = if fails { 500 } else { 200 };
    playback.report(RecordedOutcome::Http { status, headers: Vec::new(), body: Blob::default() })
}

fn rehearse(all: &[Recording]) -> WayBack {
    let overlay = WrittenOverlay::of(all.iter(), "new");
    let mut way = WayBack::new(&overlay);
    for recording in all {
        if let Some(laid) = overlay.laid_over(recording) {
            way.count(&overlay, &laid, &replay(&laid));
        }
    }
    way
}

#[test]
fn a_value_that_the_revision_before_cannot_read_is_named_by_its_key() {
    let old = reads("old", "user/7", Some("Ann"), None);
    let fits =
        rehearse(&[old.clone(), reads("new", "user/7", Some("Ann"), Some("Bob")), reads("new", "b", None, None)]);
    assert_eq!(fits.unreadable(), None);
    assert_eq!(fits.in_words(), "the revision before reads 1 of the 1 keys that it has written, in 2 recorded calls");
    let misfits = rehearse(&[old, reads("new", "user/7", Some("Ann"), Some("{\"name\":\"Bob\"}"))]);
    assert_eq!(misfits.unreadable().map(|one| one.key.as_str()), Some("user/7"));
    assert!(misfits.in_words().ends_with("as this one writes it: request r1 ends with 500"), "{}", misfits.in_words());
}

#[test]
fn what_nobody_has_read_is_not_claimed() {
    let unread = rehearse(&[reads("old", "a", Some("x"), None), reads("new", "b", None, None)]);
    assert_eq!(unread.in_words(), "the way back is not rehearsed: no recorded call of it has written anything");
    let mut writes = reads("new", "a", None, Some("{"));
    writes.exchanges.remove(0);
    let unread = rehearse(&[reads("old", "b", Some("x"), None), writes]);
    assert_eq!(
        unread.in_words(),
        "the way back is not rehearsed: no recorded call reads any of the 1 keys that it has written"
    );
    // A call that stops says nothing, whatever it would have come to.
    let overlay = WrittenOverlay::of([reads("new", "a", None, Some("{"))].iter(), "new");
    let mut way = WayBack::new(&overlay);
    let stopped = PlaybackReport {
        differences: Vec::new(),
        stopped: Some("asks for something new".into()),
        outcome: None,
        read: vec![blob("a")],
    };
    way.count(&overlay, &recording(), &stopped);
    assert_eq!((way.unreadable(), way.in_words().contains("not rehearsed")), (None, true));
}

/// It says something of the host, and nothing of the values.
#[test]
fn a_call_that_takes_too_long_says_nothing() {
    let overlay = WrittenOverlay::of([reads("new", "a", None, Some("{"))].iter(), "new");
    for (kind, is_unreadable) in [("timeout", false), ("trap", true)] {
        let mut way = WayBack::new(&overlay);
        let (frames, stack) = (Vec::new(), None);
        let outcome = RecordedOutcome::Failed { kind: kind.into(), cause: "as the test says".into(), frames, stack };
        let differences = Vec::new();
        let report = PlaybackReport { differences, stopped: None, outcome: Some(outcome), read: vec![blob("a")] };
        way.count(&overlay, &recording(), &report);
        assert_eq!(way.unreadable().is_some(), is_unreadable, "{kind}");
    }
}

#[test]
fn the_last_value_counts_also_in_pages_and_a_key_that_was_removed_is_gone() {
    let removed = RecordedQuestion::Commit(RecordedCommit {
        writes: vec![(blob("b"), None), (blob("a"), Some(blob("2")))],
        ..RecordedCommit::default()
    });
    let change = || RecordedReply::Change { version: 12, sums: Vec::new() };
    let counted = exchange(commit("n", "+1"), RecordedReply::Change { version: 13, sums: vec![1] }, 0);
    let writes =
        Recording { exchanges: vec![exchange(removed, change(), 0), counted], ..reads("new", "a", None, None) };
    let overlay = WrittenOverlay::of([reads("new", "a", None, Some("1")), writes].iter(), "new");
    assert_eq!((overlay.keys(), overlay.has(&blob("n"))), (1, false), "a counter has the host's form");
    let scan = |limit| RecordedQuestion::Scan { prefix: blob(""), after: None, limit };
    let entries = ["a", "b", "c"].map(|key| (blob(key), blob("0"), 1)).to_vec();
    let page = RecordedReply::Page { entries, next: None };
    let listed = |limit| Recording { exchanges: vec![exchange(scan(limit), page.clone(), 0)], ..recording() };
    let laid = overlay.laid_over(&listed(10)).unwrap();
    let expected = vec![(blob("a"), blob("2"), 12), (blob("c"), blob("0"), 1)];
    assert_eq!(laid.exchanges[0].answer, Some(RecordedReply::Page { entries: expected, next: None }));
    assert_eq!(overlay.laid_over(&listed(0)), None, "a page of keys has no values");
}
