//! Round robin by weight, without a lock.
//!
//! Turns are numbered: turn `t` is the one of endpoint `t % n` in round `t / n`. The heaviest endpoint takes all of its turns, one with
//! half its weight every other turn: in round `r` it takes its turn if `(r + 1) · weight / heaviest`, rounded down, is more than
//! `r · weight / heaviest` (gRPC's static stride scheduler thins in the same way). That depends on nothing but `r`, so the next turn of
//! each endpoint is known at once and one cursor is all that is shared.

use super::candidate::Candidate;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct WeightedRoundRobin {
    /// The next turn that nobody has taken.
    cursor: AtomicU64,
}

/// A turn and whose it is.
#[derive(Clone, Copy)]
struct TurnState {
    number: u64,
    /// The place among the candidates.
    place: usize,
}

/// One choice's view of the rounds.
struct Rounds {
    endpoints: u64,
    heaviest: u64,
}

impl Rounds {
    /// The first turn at or after `from` of somebody who has not been asked.
    fn next(&self, choice: &[Candidate], from: u64) -> Option<TurnState> {
        let (round, within) = (from / self.endpoints, from % self.endpoints);
        let turns =
            choice.iter().enumerate().filter(|(_, candidate)| candidate.weight > 0).map(|(place, candidate)| {
                let endpoint = candidate.endpoint as u64;
                let round = self.taken(round + u64::from(endpoint < within), candidate.weight as u64);
                TurnState { number: round.wrapping_mul(self.endpoints).wrapping_add(endpoint), place }
            });
        turns.min_by_key(|turn| turn.number)
    }

    /// The first round at or after `round` in which somebody of this weight takes the turn.
    fn taken(&self, round: u64, weight: u64) -> u64 {
        if weight >= self.heaviest {
            return round;
        }
        // The pattern repeats after `heaviest` rounds; within those no product grows large.
        let phase = round % self.heaviest;
        let before = phase * weight / self.heaviest;
        round - phase + ((before + 1) * self.heaviest).div_ceil(weight) - 1
    }
}

impl WeightedRoundRobin {
    /// Asks those in `choice`, out of `endpoints` in all, from the one on whose turn it is. The weights of those asked become 0.
    pub(super) fn pick<P>(
        &self,
        choice: &mut [Candidate],
        endpoints: usize,
        mut admit: impl FnMut(usize) -> Option<P>,
    ) -> Option<(usize, P)> {
        let heaviest = choice.iter().map(|candidate| candidate.weight).max().unwrap_or(0);
        let rounds = Rounds { endpoints: endpoints.max(1) as u64, heaviest: heaviest as u64 };
        let mut turn = self.take(choice, &rounds)?;
        let mut alone = true;
        loop {
            let asked = &mut choice[turn.place];
            if let Some(granted) = admit(asked.endpoint) {
                return Some((asked.endpoint, granted));
            }
            asked.weight = 0;
            let after = turn.number.wrapping_add(1);
            turn = rounds.next(choice, after)?;
            // The turns of those that refused are over too, or the one after them would get their share on top of its own. If another
            // call has taken a turn meanwhile, it is left at that: moving the cursor on then would pass over an endpoint unasked.
            let next = turn.number.wrapping_add(1);
            alone = alone && self.cursor.compare_exchange(after, next, Relaxed, Relaxed).is_ok();
        }
    }

    /// Takes the next turn, which is nobody else's then.
    fn take(&self, choice: &[Candidate], rounds: &Rounds) -> Option<TurnState> {
        let mut from = self.cursor.load(Relaxed);
        loop {
            let turn = rounds.next(choice, from)?;
            match self.cursor.compare_exchange_weak(from, turn.number.wrapping_add(1), Relaxed, Relaxed) {
                Ok(_) => return Some(turn),
                Err(moved) => from = moved,
            }
        }
    }
}
