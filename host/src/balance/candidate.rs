//! The endpoints of one choice, drawn one after the other.

use super::load::Load;
use std::time::{Duration, Instant};

/// One endpoint in a choice.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Candidate {
    pub(super) endpoint: usize,
    /// Its effective weight: above 0, except for one whose turn is over.
    pub(super) weight: usize,
}

/// All endpoints of one choice: those drawn, then those in the choice, then those out of it.
pub(super) struct Candidates<'s> {
    all: &'s mut [Candidate],
    drawn: usize,
    /// The end of those in the choice.
    choice: usize,
}

impl<'s> Candidates<'s> {
    /// Sorts the endpoints `0..space.len()` into those in the choice and those out of it: ejected, or not open to calls. If all are out, none
    /// is: a pool may have shrunk since.
    pub(super) fn new<'a>(
        space: &'s mut [Candidate],
        load: impl Fn(usize) -> &'a Load,
        open_to_calls: impl Fn(usize) -> bool,
        slow_start: Duration,
        now: Instant,
    ) -> Self {
        let (mut choice, mut out) = (0, space.len());
        for endpoint in 0..space.len() {
            let load = load(endpoint);
            let candidate = Candidate { endpoint, weight: load.effective_weight(slow_start, now) };
            if load.is_ejected(now) || !open_to_calls(endpoint) {
                out -= 1;
                space[out] = candidate;
            } else {
                space[choice] = candidate;
                choice += 1;
            }
        }
        if choice == 0 {
            choice = space.len();
        }
        Self { all: space, drawn: 0, choice }
    }

    /// All endpoints, in the choice or not.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The next one at random, by weight, out of the choice; `None` when nobody is left in it.
    pub(super) fn draw(&mut self, random: &mut dyn FnMut(usize) -> usize) -> Option<Candidate> {
        let left = &mut self.all[self.drawn..self.choice];
        let place = match left.len() {
            0 => return None,
            // One is no choice.
            1 => 0,
            _ => {
                let mut ticket = random(left.iter().map(|candidate| candidate.weight).sum());
                let holds = |candidate: &Candidate| {
                    let holds = ticket < candidate.weight;
                    ticket = ticket.saturating_sub(candidate.weight);
                    holds
                };
                // Every ticket is somebody's, unless `random` breaks its promise.
                left.iter().position(holds).unwrap_or(0)
            }
        };
        left.swap(0, place);
        self.drawn += 1;
        Some(left[0])
    }

    /// The whole choice, to be taken in turns: nobody in it is drawn any more.
    pub(super) fn take_choice(&mut self) -> &mut [Candidate] {
        let from = std::mem::replace(&mut self.drawn, self.choice);
        &mut self.all[from..self.choice]
    }

    /// The choice is over: those out of it are the choice now.
    pub(super) fn turn_to_the_others(&mut self) {
        (self.drawn, self.choice) = (self.choice, self.all.len());
    }
}
