//! A walk through every interleaving of small sagas: each call can succeed, be refused, fail with or without an effect,
//! or have its effect late; the host can crash at any place; an operator or the deadline can turn the saga at any
//! moment. What must hold is looked at in each state. A mutant breaks each rule in turn, and the walk must find it.

use super::definition;
use crate::saga::{JournalEntry, SagaDefinition, SagaMove, SagaOutcome, SagaRun, StepDirection};
use std::collections::HashSet;
use std::sync::Arc;

/// What a service has under the key of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Effect {
    None,
    Applied,
    Undone,
}

/// The world outside of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    effects: Vec<Effect>,
    /// Actions that are under way somewhere, and may take effect later.
    late: Vec<usize>,
    /// Whether the tombstone is on disk.
    turned: bool,
    /// The step that was undone last.
    undone: Option<usize>,
    /// How many failures and crashes may still happen.
    failures: u8,
    crashes: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct WalkState {
    journal: Vec<JournalEntry>,
    world: World,
}

/// A rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutant {
    None,
    /// No tombstone refuses late actions.
    NoTombstone,
    /// An action is called before its beginning is in the journal.
    ActBeforeBegun,
    /// The step in doubt is not undone.
    DoubtForgotten,
    /// The saga turns whenever somebody wants it to.
    TurnsAnywhere,
    /// A failed compensation counts as done.
    UndoGivenUp,
    /// The compensation is called before the turn is on disk.
    UndoBeforeTurn,
}

struct Walk {
    definition: Arc<SagaDefinition>,
    mutant: Mutant,
    seen: HashSet<WalkState>,
    /// What was found to be wrong.
    wrong: Option<String>,
    ends: HashSet<SagaOutcome>,
}

impl Walk {
    fn through(definition: Arc<SagaDefinition>, mutant: Mutant) -> Self {
        let steps = definition.steps.len();
        let world = World {
            effects: vec![Effect::None; steps],
            late: Vec::new(),
            turned: false,
            undone: None,
            failures: 2,
            crashes: 1,
        };
        let started = JournalEntry::Started { at: 0, definition: String::new(), input: "{}".into() };
        let mut walk = Self { definition, mutant, seen: HashSet::new(), wrong: None, ends: HashSet::new() };
        let mut waiting = vec![WalkState { journal: vec![started], world }];
        while let Some(state) = waiting.pop() {
            if walk.wrong.is_some() {
                break;
            }
            if walk.seen.insert(state.clone()) {
                waiting.extend(walk.after(&state));
            }
        }
        walk
    }

    fn run(&self, journal: &[JournalEntry], recovered: bool) -> SagaRun {
        let mut run = SagaRun::begin(Arc::clone(&self.definition), "id", &journal[0]).unwrap();
        for entry in &journal[1..] {
            assert!(run.apply(entry), "{entry:?} does not follow from {journal:?}");
        }
        if recovered {
            run.recover();
        }
        run
    }

    /// Every state that can follow.
    fn after(&mut self, state: &WalkState) -> Vec<WalkState> {
        // One crash at most, so what was called before it is in doubt from then on.
        let run = self.run(&state.journal, state.world.crashes == 0);
        let mut next = self.late(state);
        let with = |entry: JournalEntry, world: World| {
            let mut journal = state.journal.clone();
            journal.push(entry);
            WalkState { journal, world }
        };
        if let SagaMove::End(outcome) = run.next() {
            self.ends.insert(outcome);
            self.check_end(outcome, state);
            return next;
        }
        // The deadline, or an operator.
        let may_turn = run.may_turn(false) || (self.mutant == Mutant::TurnsAnywhere && run.turned().is_none());
        if may_turn {
            let world = self.turned(state.world.clone());
            let turned = with(JournalEntry::turned("an operator"), world);
            if self.follows(&run, &turned) {
                next.push(turned);
            } else {
                self.wrong = Some(format!("a turn behind the pivot: {:?}", turned.journal));
            }
        }
        match run.next() {
            SagaMove::Begin(step) => {
                next.push(with(JournalEntry::Begun { step, at: 0 }, state.world.clone()));
                if self.mutant == Mutant::ActBeforeBegun {
                    // The call is made, and the host crashes before the entry is written.
                    let mut world = state.world.clone();
                    self.act(step, &mut world);
                    next.push(WalkState { world: world.clone(), ..state.clone() });
                }
            }
            SagaMove::Act(step) => self.action(step, &run, state, &with, &mut next),
            SagaMove::Undo(step) => self.compensation(step, state, &with, &mut next),
            SagaMove::Wait => {
                next.push(with(run.retry(0).unwrap(), state.world.clone()));
            }
            SagaMove::Pause(..) | SagaMove::Await(..) | SagaMove::Lock | SagaMove::End(_) => {
                unreachable!("no step pauses, and an end was looked at")
            }
        }
        next
    }

    fn follows(&self, run: &SagaRun, state: &WalkState) -> bool {
        run.clone().apply(state.journal.last().unwrap())
    }

    fn turned(&self, world: World) -> World {
        let turned = self.mutant != Mutant::NoTombstone;
        World { turned, ..world }
    }

    /// A late action takes effect now; a crash of the host ends all that are under way.
    fn late(&mut self, state: &WalkState) -> Vec<WalkState> {
        let mut next = Vec::new();
        for (at, step) in state.world.late.iter().enumerate() {
            let mut world = state.world.clone();
            world.late.remove(at);
            self.act(*step, &mut world);
            next.push(WalkState { world, ..state.clone() });
        }
        if state.world.crashes > 0 {
            let world = World { late: Vec::new(), crashes: state.world.crashes - 1, ..state.world.clone() };
            next.push(WalkState { world, ..state.clone() });
        }
        next
    }

    /// An action reaches its service, whose commit the tombstone may refuse.
    fn act(&mut self, step: usize, world: &mut World) {
        if world.turned {
            return;
        }
        if world.effects[step] == Effect::Undone {
            self.wrong = Some(format!("step {step} took effect after its compensation"));
        }
        world.effects[step] = Effect::Applied;
    }

    fn action(
        &mut self,
        step: usize,
        run: &SagaRun,
        state: &WalkState,
        with: &impl Fn(JournalEntry, World) -> WalkState,
        next: &mut Vec<WalkState>,
    ) {
        if state.world.turned && self.mutant != Mutant::UndoBeforeTurn {
            self.wrong = Some("an action is called after the turn".to_owned());
        }
        let mut applied = state.world.clone();
        self.act(step, &mut applied);
        next.push(with(JournalEntry::Done { step, result: "null".into() }, applied.clone()));
        if state.world.failures == 0 {
            return;
        }
        let less = |world: World| World { failures: world.failures - 1, ..world };
        // It refuses, and has done nothing.
        if run.may_turn(true) {
            next.push(with(JournalEntry::turned("refused"), self.turned(less(state.world.clone()))));
        }
        let mut late = state.world.clone();
        late.late.push(step);
        for world in [state.world.clone(), applied, late] {
            let failed = JournalEntry::failed(step, StepDirection::Action, "lost");
            let state = with(failed, less(world));
            let mut run = run.clone();
            run.apply(state.journal.last().unwrap());
            if run.is_exhausted() && run.may_turn(false) {
                let mut journal = state.journal.clone();
                journal.push(JournalEntry::turned("exhausted"));
                next.push(WalkState { journal, world: self.turned(state.world.clone()) });
            }
            next.push(state);
        }
        if self.mutant == Mutant::UndoBeforeTurn {
            let mut world = less(state.world.clone());
            world.late.push(step);
            world.effects[step] = Effect::Undone;
            next.push(WalkState { world, ..state.clone() });
        }
    }

    fn compensation(
        &mut self,
        step: usize,
        state: &WalkState,
        with: &impl Fn(JournalEntry, World) -> WalkState,
        next: &mut Vec<WalkState>,
    ) {
        if state.world.undone.is_some_and(|before| before < step) {
            self.wrong = Some(format!("step {step} is undone after a step before it"));
        }
        let undone = JournalEntry::Undone { step };
        let mut world = state.world.clone();
        let is_in_doubt =
            !state.journal.iter().any(|entry| matches!(entry, JournalEntry::Done { step: done, .. } if *done == step));
        if !(self.mutant == Mutant::DoubtForgotten && is_in_doubt) {
            world.effects[step] = Effect::Undone;
        }
        world.undone = Some(step);
        next.push(with(undone.clone(), world.clone()));
        if state.world.failures > 0 {
            for world in [state.world.clone(), world] {
                let world = World { failures: world.failures - 1, ..world };
                let entry = match self.mutant {
                    Mutant::UndoGivenUp => undone.clone(),
                    _ => JournalEntry::failed(step, StepDirection::Undo, "lost"),
                };
                next.push(with(entry, world));
            }
        }
    }

    fn check_end(&mut self, outcome: SagaOutcome, state: &WalkState) {
        let steps = state.world.effects.iter().enumerate();
        let wrong = match outcome {
            SagaOutcome::Completed => steps.filter(|(_, effect)| **effect != Effect::Applied).collect::<Vec<_>>(),
            SagaOutcome::Compensated => steps.filter(|(_, effect)| **effect == Effect::Applied).collect(),
        };
        if !wrong.is_empty() {
            self.wrong = Some(format!("{outcome:?} with {wrong:?} after {:?}", state.journal));
        }
    }
}

#[test]
fn no_interleaving_loses_or_half_undoes_a_saga() {
    for steps in 1..=3 {
        for pivot in (0..steps).map(Some).chain([None]) {
            for has_undo in [true, false] {
                let walk = Walk::through(definition(steps, pivot, has_undo), Mutant::None);
                assert_eq!(walk.wrong, None, "{steps} steps, pivot {pivot:?}, undone: {has_undo}");
                assert_eq!(walk.ends.len(), 2, "both ends are reached: {steps} steps, pivot {pivot:?}");
                assert!(walk.seen.len() > 10, "{}", walk.seen.len());
            }
        }
    }
}

#[test]
fn every_broken_rule_is_found() {
    for mutant in [
        Mutant::NoTombstone,
        Mutant::ActBeforeBegun,
        Mutant::DoubtForgotten,
        Mutant::TurnsAnywhere,
        Mutant::UndoGivenUp,
        Mutant::UndoBeforeTurn,
    ] {
        let walk = Walk::through(definition(3, Some(1), true), mutant);
        assert!(walk.wrong.is_some(), "{mutant:?} is not found in {} states", walk.seen.len());
    }
}
