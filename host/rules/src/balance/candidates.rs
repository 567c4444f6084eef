//! The candidates of one choice: the service's endpoints, drawn one after the other.

use super::load::Load;
use std::time::{Duration, Instant};

/// One endpoint in a choice.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Candidate {
    pub(super) endpoint: usize,
    /// The effective weight: above 0, until round robin sets it to 0 because the endpoint has refused.
    pub(super) weight: usize,
}

/// All endpoints of one choice, in this order: those already drawn, those still in the choice, those out of the choice.
pub(super) struct Candidates<'s> {
    all: &'s mut [Candidate],
    drawn: usize,
    /// The index of the first endpoint out of the choice.
    choice: usize,
}

impl<'s> Candidates<'s> {
    /// Sorts the endpoints `0..space.len()` into those in the choice and those out of it: ejected, or not open to
    /// calls. If all endpoints are out, all are in the choice: the pool may have shrunk since they were ejected.
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

    /// The number of all endpoints, in the choice or not.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Draws the next endpoint of the choice, at random by weight; `None` when none is left.
    pub(super) fn draw(&mut self, random: &mut dyn FnMut(usize) -> usize) -> Option<Candidate> {
        let left = &mut self.all[self.drawn..self.choice];
        let position = match left.len() {
            0 => return None,
            // The last one needs no random number.
            1 => 0,
            _ => {
                let tickets = left.iter().map(|candidate| candidate.weight).sum();
                debug_assert!(tickets > 0, "an endpoint that can be drawn has a weight above 0");
                let mut ticket = random(tickets);
                debug_assert!(ticket < tickets, "`random(n)` answers a number below `n`");
                let holds = |candidate: &Candidate| {
                    let holds = ticket < candidate.weight;
                    ticket = ticket.saturating_sub(candidate.weight);
                    holds
                };
                // Every ticket belongs to a candidate, unless `random` answers a number that is too large.
                left.iter().position(holds).unwrap_or(0)
            }
        };
        left.swap(0, position);
        self.drawn += 1;
        Some(left[0])
    }

    /// The whole choice, for round robin: its endpoints count as drawn.
    pub(super) fn take_choice(&mut self) -> &mut [Candidate] {
        let from = std::mem::replace(&mut self.drawn, self.choice);
        &mut self.all[from..self.choice]
    }

    /// Ends the choice: the endpoints out of it are the choice now.
    pub(super) fn fall_back_to_the_rest(&mut self) {
        (self.drawn, self.choice) = (self.choice, self.all.len());
    }
}
