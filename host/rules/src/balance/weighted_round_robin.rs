//! Round robin by weight, without a lock.
//!
//! Turns are numbered: with `n` endpoints, turn `t` belongs to endpoint `t % n` in round `t / n`. The heaviest
//! endpoint takes all of its turns; an endpoint with half its weight takes every other one. In round `r` an endpoint
//! takes its turn if `(r + 1) · weight / heaviest`, rounded up, is more than `r · weight / heaviest`, rounded up
//! (gRPC's static stride scheduler skips in the same way). This depends on nothing but `r`, so the next turn of each
//! endpoint is known at once, and one cursor is all that threads share.
//!
//! Rounded up and not down, so that a lighter endpoint loses the last turns of the pattern and not the first one: two
//! endpoints that began a millisecond apart differ by a thousandth within their slow start, and take turns all the
//! same.

use super::candidates::Candidate;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The scheduler: it knows the next turn.
#[derive(Debug, Default)]
pub(super) struct WeightedRoundRobin {
    /// The next turn that no choice has taken.
    cursor: AtomicU64,
}

/// One turn, and the candidate that it belongs to.
#[derive(Clone, Copy)]
struct Turn {
    number: u64,
    /// The candidate's index in the choice.
    position: usize,
}

/// The rounds, as one choice computes them.
struct Rounds {
    endpoints: u64,
    heaviest: u64,
}

impl Rounds {
    /// The first turn at or after `from` of an endpoint that has not been asked.
    fn next(&self, choice: &[Candidate], from: u64) -> Option<Turn> {
        let (round, within) = (from / self.endpoints, from % self.endpoints);
        let turns =
            choice.iter().enumerate().filter(|(_, candidate)| candidate.weight > 0).map(|(position, candidate)| {
                let endpoint = candidate.endpoint as u64;
                let round = self.next_taken(round + u64::from(endpoint < within), candidate.weight as u64);
                Turn { number: round.wrapping_mul(self.endpoints).wrapping_add(endpoint), position }
            });
        turns.min_by_key(|turn| turn.number)
    }

    /// The first round at or after `round` in which an endpoint of this weight takes its turn.
    fn next_taken(&self, round: u64, weight: u64) -> u64 {
        if weight >= self.heaviest {
            return round;
        }
        // The pattern repeats after `heaviest` rounds. Within these rounds no product grows large.
        let phase = round % self.heaviest;
        let taken = (phase * weight).div_ceil(self.heaviest);
        round - phase + taken * self.heaviest / weight
    }
}

impl WeightedRoundRobin {
    /// Asks the endpoints in `choice` in the order of their turns, beginning with the next turn. `endpoints` is the
    /// number of all endpoints of the service. An endpoint that refuses gets the weight 0.
    pub(super) fn pick<P>(
        &self,
        choice: &mut [Candidate],
        endpoints: usize,
        mut admit: impl FnMut(usize) -> Option<P>,
    ) -> Option<(usize, P)> {
        let heaviest = choice.iter().map(|candidate| candidate.weight).max().unwrap_or(0);
        let rounds = Rounds { endpoints: endpoints.max(1) as u64, heaviest: heaviest as u64 };
        let mut turn = self.take(choice, &rounds)?;
        let mut is_alone = true;
        loop {
            let asked = &mut choice[turn.position];
            if let Some(granted) = admit(asked.endpoint) {
                return Some((asked.endpoint, granted));
            }
            asked.weight = 0;
            let after = turn.number.wrapping_add(1);
            turn = rounds.next(choice, after)?;
            // The turns of endpoints that refused are over too; otherwise the endpoint after them would get their
            // share on top of its own. Races with `take` of another choice: if it has taken a turn meanwhile, the
            // cursor stays as that choice left it. To move the cursor then would skip an endpoint that no choice has
            // asked.
            let next = turn.number.wrapping_add(1);
            is_alone = is_alone && self.cursor.compare_exchange(after, next, Relaxed, Relaxed).is_ok();
        }
    }

    /// Takes the next turn. No other choice gets the same turn.
    fn take(&self, choice: &[Candidate], rounds: &Rounds) -> Option<Turn> {
        let mut from = self.cursor.load(Relaxed);
        loop {
            let turn = rounds.next(choice, from)?;
            match self.cursor.compare_exchange_weak(from, turn.number.wrapping_add(1), Relaxed, Relaxed) {
                Ok(_) => return Some(turn),
                Err(changed) => from = changed,
            }
        }
    }
}
