//! Journals: what follows from what, and what is refused.

use super::definition;
use crate::saga::{JournalEntry, RefusedOrder, SagaMove, SagaOutcome, SagaPhase, SagaRun};
use proptest::prelude::*;

fn started() -> JournalEntry {
    JournalEntry::Started { at: 5, definition: "d".into(), input: "{}".into() }
}

fn run(pivot: Option<usize>, entries: &[JournalEntry]) -> SagaRun {
    let mut run = SagaRun::begin(definition(3, pivot, false), "7f", &started()).unwrap();
    for entry in entries {
        assert!(run.apply(entry), "{entry:?}");
    }
    run
}

fn begun(step: usize) -> JournalEntry {
    JournalEntry::Begun { step, at: 6 }
}

fn done(step: usize) -> JournalEntry {
    JournalEntry::Done { step, result: format!("{step}") }
}

#[test]
fn the_step_in_doubt_is_undone_first_and_then_backwards() {
    let mut run = run(None, &[begun(0), done(0), begun(1), JournalEntry::turned("no money")]);
    assert_eq!((run.next(), run.phase()), (SagaMove::Undo(1), SagaPhase::Backward));
    assert!(run.apply(&JournalEntry::Undone { step: 1 }));
    assert_eq!(run.next(), SagaMove::Undo(0));
    assert!(!run.apply(&JournalEntry::Undone { step: 1 }) && !run.apply(&begun(2)) && !run.apply(&done(1)));
    assert!(run.apply(&JournalEntry::Undone { step: 0 }));
    assert_eq!(run.next(), SagaMove::End(SagaOutcome::Compensated));
}

#[test]
fn each_step_says_what_it_is_at() {
    let states = |run: &SagaRun| [0, 1, 2].map(|step| run.step_state(step));
    let mut run = run(None, &[]);
    assert_eq!(states(&run), ["waiting"; 3]);
    assert!(run.apply(&begun(0)) && run.apply(&done(0)) && run.apply(&begun(1)));
    assert_eq!(states(&run), ["done", "under-way", "waiting"]);
    assert!(run.apply(&JournalEntry::turned("no money")));
    assert_eq!(states(&run), ["done", "under-way", "left-out"]);
    assert!(run.apply(&JournalEntry::Undone { step: 1 }));
    assert_eq!(states(&run), ["under-way", "undone", "left-out"]);
}

#[test]
fn behind_the_pivot_there_is_no_way_back() {
    let mut run = run(Some(0), &[begun(0), done(0), begun(1)]);
    assert!(!run.may_turn(true) && !run.apply(&JournalEntry::turned("late")));
    assert_eq!(run.compensate(), Err(RefusedOrder::PastPivot));
    let failed = JournalEntry::failed(1, crate::saga::StepDirection::Action, "no carrier");
    assert!(run.apply(&failed) && run.next() == SagaMove::Act(1) && run.apply(&failed));
    assert_eq!((run.next(), run.phase()), (SagaMove::Wait, SagaPhase::Parked));
    assert_eq!(
        (run.retry(7), run.skip()),
        (Ok(JournalEntry::Resumed { at: 7 }), Ok(JournalEntry::Skipped { step: 1 }))
    );
    assert!(run.apply(&JournalEntry::Resumed { at: 7 }) && run.next() == SagaMove::Act(1));
}

#[test]
fn a_pivot_that_nothing_undoes_is_left_only_by_a_certain_refusal() {
    let mut run = run(Some(1), &[begun(0), done(0), begun(1)]);
    assert!(run.may_turn(true) && !run.may_turn(false));
    run.recover();
    assert!(!run.may_turn(true), "after a restart its action may have been called before");
}

proptest! {
    #[test]
    fn any_prefix_of_a_journal_is_a_journal(picks in proptest::collection::vec(0usize..6, 0..24), pivot in 0usize..4) {
        let pivot = (pivot < 3).then_some(pivot);
        let mut entries = Vec::new();
        let mut live = SagaRun::begin(definition(3, pivot, true), "7f", &started()).unwrap();
        for pick in picks {
            let entry = match (live.next(), pick) {
                (SagaMove::Begin(step), _) => begun(step),
                (SagaMove::Act(_), 0) if live.may_turn(false) => JournalEntry::turned("so"),
                (SagaMove::Act(step), 1) => JournalEntry::failed(step, crate::saga::StepDirection::Action, "so"),
                (SagaMove::Act(step), _) => done(step),
                (SagaMove::Undo(step), 1) => JournalEntry::failed(step, crate::saga::StepDirection::Undo, "so"),
                (SagaMove::Undo(step), _) => JournalEntry::Undone { step },
                (SagaMove::Wait, 0) => live.skip().unwrap(),
                (SagaMove::Wait, _) => live.retry(0).unwrap(),
                (SagaMove::Pause(..) | SagaMove::Await(..) | SagaMove::Lock, _) => unreachable!("no step waits"),
                (SagaMove::End(_), _) => break,
            };
            prop_assert!(live.apply(&entry));
            entries.push(entry);
        }
        for length in 0..=entries.len() {
            let mut again = SagaRun::begin(definition(3, pivot, true), "7f", &started()).unwrap();
            for entry in &entries[..length] {
                let stored = JournalEntry::decode(&entry.encode());
                prop_assert_eq!(stored.as_ref(), Ok(entry));
                prop_assert!(again.apply(entry));
            }
            if length == entries.len() {
                prop_assert_eq!(again.next(), live.next());
            }
        }
    }
}
