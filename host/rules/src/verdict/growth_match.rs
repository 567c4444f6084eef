//! Which calls of kept instances are compared: those of instances of the same age.

use super::toss::Toss;
use std::collections::{HashMap, VecDeque};

/// Older instances are not compared. It bounds what is remembered, and a leak shows in fewer calls.
const OLDEST: u32 = 1000;
/// The most calls of one revision that wait for one of the other revision, for each age: the last ones.
const MOST_WAITING: usize = 4;

/// A call whose instance's growth is known, and the growth.
type Sample = (Toss, u64);

/// Matches each call of the canary with calls of the stable revision at the same age of their instances.
///
/// How an instance grows depends on its age, and the instances of a canary are younger than those of the stable
/// revision: so the odds of the coin do not hold for "it has grown". At one age those of equal revisions grow alike.
/// Of `n` such calls, which are chosen before anybody looks at their growth, each is as likely as the others to be the
/// one that has grown most, so it is the canary's with the odds 1 : n − 1.
#[derive(Debug, Clone, Default)]
pub(super) struct GrowthMatch {
    /// By age, the calls that wait: all of one revision.
    waiting: HashMap<u32, VecDeque<Sample>>,
}

impl GrowthMatch {
    /// Takes a call of an instance of this age. The call that has grown more than all that it is compared with, with
    /// the odds that it is the canary's; `None`: there is none, or nothing to compare with yet.
    pub(super) fn note(&mut self, toss: Toss, bytes: u64, age: u32) -> Option<Toss> {
        if age > OLDEST {
            return None;
        }
        let waiting = self.waiting.entry(age).or_default();
        if waiting.front().is_none_or(|(other, _)| other.canary == toss.canary) {
            if waiting.len() == MOST_WAITING {
                waiting.pop_front();
            }
            waiting.push_back((toss, bytes));
            return None;
        }
        // One call of the canary, with all of the stable revision that there are.
        let others = if toss.canary { waiting.len() } else { 1 };
        let mut most = (Some(toss), bytes);
        for (other, grown) in waiting.drain(..others) {
            if grown >= most.1 {
                most = ((grown > most.1).then_some(other), grown);
            }
        }
        most.0.map(|winner| Toss { share: 1.0 / (others as f64 + 1.0), ..winner })
    }
}
