//! Histories: what was asked and answered and when, and whether one order of it all explains each answer.
//!
//! A history is linearizable if each operation can be given a moment between its beginning and its end, so that one
//! after the other they are what one register would have answered (Herlihy and Wing, 1990). The search goes through the
//! orders that the times allow, and remembers from where it has found none (Lowe, 2017).

use std::collections::BTreeSet;

/// One thing that was asked of a register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operation<A> {
    pub(super) began: u64,
    /// When the answer came; `None`: whether it was done, nobody knows, and it may be done at any time after.
    pub(super) ended: Option<u64>,
    pub(super) action: A,
}

/// What a register does.
pub(super) trait Action {
    type State: Clone + Ord;

    /// What the register is after it; `None`: from this state it would have been answered otherwise.
    fn apply(&self, state: &Self::State) -> Option<Self::State>;
}

/// How far a search has come: so many operations are done, these of the 64 after them, these of the doubtful ones, and
/// the register is that.
type Reached<S> = (usize, u64, u64, S);

/// The operations of a history, in the order of their beginnings.
pub(super) struct History<A> {
    /// Those that were answered.
    sure: Vec<(u64, u64, A)>,
    /// When each of those that were not began.
    doubtful: Vec<(u64, A)>,
}

impl<A: Action> History<A> {
    pub(super) fn new(operations: impl IntoIterator<Item = Operation<A>>) -> Self {
        let (mut sure, mut doubtful) = (Vec::new(), Vec::new());
        for Operation { began, ended, action } in operations {
            match ended {
                Some(ended) => sure.push((began, ended, action)),
                None => doubtful.push((began, action)),
            }
        }
        sure.sort_by_key(|(began, ended, _)| (*began, *ended));
        assert!(doubtful.len() <= 64, "{} operations in doubt are too many to look through", doubtful.len());
        Self { sure, doubtful }
    }

    pub(super) fn len(&self) -> usize {
        self.sure.len()
    }

    /// Whether one order explains all of it, if the register was `first`.
    pub(super) fn linearizes(&self, first: A::State) -> bool {
        let (mut seen, mut open) = (BTreeSet::new(), vec![(0, 0, 0, first)]);
        while let Some(reached) = open.pop() {
            if reached.0 == self.sure.len() {
                return true;
            }
            if !seen.contains(&reached) {
                self.go_on(&reached, &mut open);
                seen.insert(reached);
            }
        }
        false
    }

    /// What can come next.
    fn go_on(&self, (done, next, doubts, state): &Reached<A::State>, found: &mut Vec<Reached<A::State>>) {
        let (done, next, doubts) = (*done, *next, *doubts);
        let is_open = |at: &usize| next & (1 << (at - done)) == 0;
        let window = done..self.sure.len().min(done + 64);
        // Whatever comes next has begun before the first of the others has ended.
        let until = window.clone().filter(is_open).map(|at| self.sure[at].1).min().expect("the first one is open");
        let beyond = self.sure.get(done + 64).is_some_and(|(began, ..)| *began <= until);
        assert!(!beyond, "more than 64 operations at a time are too many to look through");
        let doubtful = self.doubtful.iter().enumerate().filter(|(at, _)| doubts & (1 << at) == 0);
        for (at, (_, action)) in doubtful.filter(|(_, (began, _))| *began <= until) {
            if let Some(after) = action.apply(state).filter(|after| after != state) {
                found.push((done, next, doubts | (1 << at), after));
            }
        }
        for at in window.filter(is_open).rev() {
            let (began, _, action) = &self.sure[at];
            if let Some(after) = action.apply(state).filter(|_| *began <= until) {
                let (mut done, mut next) = (done, next | (1 << (at - done)));
                while next & 1 == 1 {
                    (done, next) = (done + 1, next >> 1);
                }
                found.push((done, next, doubts, after));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A register of one number.
    #[derive(Debug, Clone)]
    enum Cell {
        Write(u64),
        Read(u64),
        /// From the first to the second.
        Compare(u64, u64),
    }

    impl Action for Cell {
        type State = u64;

        fn apply(&self, state: &u64) -> Option<u64> {
            match *self {
                Self::Write(value) => Some(value),
                Self::Read(value) => (value == *state).then_some(value),
                Self::Compare(from, to) => (from == *state).then_some(to),
            }
        }
    }

    fn linearizes(history: &[(u64, Option<u64>, Cell)]) -> bool {
        let operation = |(began, ended, action): &(u64, Option<u64>, Cell)| Operation {
            began: *began,
            ended: *ended,
            action: action.clone(),
        };
        History::new(history.iter().map(operation)).linearizes(0)
    }

    #[test]
    fn an_order_is_found_where_there_is_one_and_only_there() {
        use Cell::{Compare, Read, Write};
        assert!(linearizes(&[]));
        // At the same time a read may come first, or second.
        assert!(linearizes(&[(0, Some(10), Write(1)), (5, Some(6), Read(0)), (7, Some(8), Read(1))]));
        assert!(!linearizes(&[(0, Some(10), Write(1)), (5, Some(6), Read(1)), (7, Some(8), Read(0))]));
        // What was read late is an old value.
        assert!(!linearizes(&[(0, Some(1), Write(1)), (2, Some(3), Read(0))]));
        // Two that compare with one value cannot both win.
        assert!(!linearizes(&[(0, Some(9), Compare(0, 1)), (0, Some(9), Compare(0, 2))]));
        assert!(linearizes(&[(0, Some(9), Compare(0, 1)), (0, Some(9), Compare(1, 2))]));
        // One in doubt may have been done, at any time from then on, or not; and once.
        assert!(linearizes(&[(0, None, Write(1)), (2, Some(3), Read(0)), (4, Some(5), Read(1))]));
        assert!(linearizes(&[(0, None, Write(1)), (2, Some(3), Read(0))]));
        assert!(!linearizes(&[(4, None, Write(1)), (2, Some(3), Read(1))]));
        let twice = [(0, None, Write(1)), (2, Some(3), Read(1)), (4, Some(5), Write(0)), (6, Some(7), Read(1))];
        assert!(!linearizes(&twice));
    }

    #[test]
    fn long_histories_are_looked_through_too() {
        let mut history: Vec<_> = (0..2_000).map(|at| (2 * at, Some(2 * at + 3), Cell::Compare(at, at + 1))).collect();
        assert!(linearizes(&history));
        history[1_500].2 = Cell::Compare(7, 1_501);
        assert!(!linearizes(&history));
    }
}
