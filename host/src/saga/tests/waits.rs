//! A walk through every interleaving of a saga that waits twice and the events of its topic: before the saga, before a
//! wait, in it; with crashes between any two of these. A mutant breaks each rule in turn, and the walk must find it.

use super::definition;
use crate::saga::{EventWait, JournalEntry, SagaDefinition, SagaMove, SagaRun, SagaStep, StepAction};
use std::collections::HashSet;
use std::sync::Arc;

/// A rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutant {
    None,
    /// A wait looks only at what comes while it waits.
    DeafBefore,
    /// A wait looks at all that the topic has.
    FromBeginning,
    /// A wait does not remember which event it has taken.
    TakenTwice,
    /// The topic keeps nothing for a saga that is not at its wait.
    NothingKept,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct WalkEvent {
    fits: bool,
    /// Whether retention has taken it.
    has_gone: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct WalkState {
    journal: Vec<JournalEntry>,
    /// The events of the topic.
    log: Vec<WalkEvent>,
    /// How many of them are older than the saga.
    before: usize,
    /// The number from which on a wait listens, for the mutant that is deaf before.
    listens: usize,
}

/// A step, a wait, a step, a wait.
fn waiting() -> Arc<SagaDefinition> {
    let mut definition = SagaDefinition::clone(&definition(4, None, true));
    let wait = EventWait { topic: "paid".into(), key: None, fields: Vec::new(), timeout: None };
    for step in [1, 3] {
        let action = StepAction::Wait(wait.clone());
        definition.steps[step] = SagaStep { action, undo: None, ..definition.steps[step].clone() };
    }
    Arc::new(definition)
}

fn run(definition: &Arc<SagaDefinition>, journal: &[JournalEntry]) -> SagaRun {
    let mut run = SagaRun::begin(Arc::clone(definition), "id", &journal[0]).unwrap();
    assert!(journal[1..].iter().all(|entry| run.apply(entry)), "{journal:?}");
    run
}

/// The first event that fits, as the reader of the topic finds it.
fn found(state: &WalkState, run: &SagaRun, mutant: Mutant) -> Option<usize> {
    let after = match mutant {
        Mutant::FromBeginning if state.journal.len() < 6 => 0,
        Mutant::TakenTwice => state.before,
        Mutant::DeafBefore => state.listens,
        _ => usize::try_from(run.follows("paid").unwrap()).unwrap(),
    };
    (after..state.log.len()).find(|at| state.log[*at].fits && !state.log[*at].has_gone).map(|at| at + 1)
}

/// Every state that can follow, and what is wrong with this one.
fn after(definition: &Arc<SagaDefinition>, state: &WalkState, mutant: Mutant) -> (Vec<WalkState>, Option<String>) {
    let run = run(definition, &state.journal);
    let mut next = Vec::new();
    let with = |entry: JournalEntry| {
        let mut state = state.clone();
        state.journal.push(entry);
        state.listens = state.log.len();
        state
    };
    if state.log.len() < 4 {
        for fits in [true, false] {
            let mut state = state.clone();
            state.log.push(WalkEvent { fits, has_gone: false });
            next.push(state);
        }
    }
    // Retention takes the oldest event that no saga may still ask for.
    let step = run.next_wait("paid");
    let is_watched = matches!(run.next(), SagaMove::Await(step, _) if found(state, &run, mutant).is_none() && step < 4);
    let kept = match (step, mutant) {
        (None, _) | (_, Mutant::NothingKept) => state.log.len(),
        (Some(_), _) if is_watched => state.log.len(),
        (Some(_), _) => usize::try_from(run.follows("paid").unwrap()).unwrap(),
    };
    if let Some(oldest) = (0..kept).find(|at| !state.log[*at].has_gone) {
        let mut state = state.clone();
        state.log[oldest].has_gone = true;
        next.push(state);
    }
    match run.next() {
        SagaMove::Begin(step) => next.push(with(JournalEntry::Begun { step, at: 0 })),
        SagaMove::Act(step) => next.push(with(JournalEntry::Done { step, result: "null".into() })),
        SagaMove::Await(step, _) => {
            if let Some(event) = found(state, &run, mutant) {
                let event = u64::try_from(event).unwrap();
                next.push(with(JournalEntry::Received { step, event, result: "null".into() }));
            }
        }
        SagaMove::End(_) => {}
        other => unreachable!("{other:?}"),
    }
    (next, wrong(state, &run))
}

/// Which events the waits have taken, and whether one is passed over.
fn wrong(state: &WalkState, run: &SagaRun) -> Option<String> {
    let taken = state.journal.iter().filter_map(|entry| match entry {
        JournalEntry::Received { event, .. } => Some(usize::try_from(*event).unwrap()),
        _ => None,
    });
    let taken: Vec<usize> = taken.collect();
    if taken.iter().any(|event| *event <= state.before) {
        return Some(format!("an event of before the saga was taken: {taken:?}"));
    }
    if taken.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Some(format!("one event ended two waits: {taken:?}"));
    }
    // What has come since the saga began and fits, in its order, is what the waits take.
    let last = taken.last().copied().unwrap_or(state.before);
    let gone = run.next_wait("paid").is_some() && state.log[last..].iter().any(|event| event.fits && event.has_gone);
    gone.then(|| "an event that a wait needs has gone".to_owned())
}

fn walk(mutant: Mutant) -> Result<usize, String> {
    let definition = waiting();
    let mut seen = HashSet::new();
    let mut waiting: Vec<WalkState> = Vec::new();
    for before in 0..=1 {
        let topics = [("paid".to_owned(), before as u64)].into();
        let started = JournalEntry::Started { at: 0, definition: String::new(), input: "{}".into() };
        let journal = vec![started, JournalEntry::Following { topics }];
        waiting.push(WalkState {
            journal,
            log: vec![WalkEvent { fits: true, has_gone: false }; before],
            before,
            listens: before,
        });
    }
    let mut is_completed = false;
    while let Some(state) = waiting.pop() {
        if !seen.insert(state.clone()) {
            continue;
        }
        let (next, wrong) = after(&definition, &state, mutant);
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        is_completed |=
            state.journal.iter().filter(|entry| matches!(entry, JournalEntry::Received { .. })).count() == 2;
        // With two events that fit it must not stand for ever.
        let fitting = state.log[state.before..].iter().filter(|event| event.fits).count();
        let stands = next.is_empty() && !matches!(run(&definition, &state.journal).next(), SagaMove::End(_));
        if stands && fitting >= 2 {
            return Err(format!("it waits although its events are there: {state:?}"));
        }
        waiting.extend(next);
    }
    if is_completed { Ok(seen.len()) } else { Err("it never completes".to_owned()) }
}

#[test]
fn no_interleaving_of_events_and_waits_loses_one_or_takes_one_twice() {
    assert!(walk(Mutant::None).unwrap() > 100);
}

#[test]
fn every_broken_rule_of_waits_is_found() {
    for mutant in [Mutant::DeafBefore, Mutant::FromBeginning, Mutant::TakenTwice, Mutant::NothingKept] {
        assert!(walk(mutant).is_err(), "{mutant:?} is not found");
    }
}
