//! The retry policy of one service: how many tries, after which wait, from which budget.

use super::Budget;
use std::time::{Duration, Instant};

/// When a service's calls are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The most further tries of a call; 0: none. Default 1.
    pub tries: u32,
    /// The longest wait before the second try; doubled before each one after it. Default 25 ms.
    pub backoff: Duration,
    /// The longest wait before any try. Default 250 ms.
    pub backoff_most: Duration,
    /// How many further tries there may be for 100 calls of the service, over the last 10 s. Default 20.
    pub budget: u8,
    /// How many further tries a second there may be in addition, over the last 10 s: for a service with few calls.
    /// Default 10.
    pub budget_floor: u32,
    /// The longest request body, in bytes, that is recorded to be sent again. A call with a longer body has one try.
    /// Default 64 KiB.
    pub body: usize,
}

impl Default for Settings {
    // Budget and floor are the defaults of Finagle and `tower`. The waits are our own choice: short compared with a
    // service's timeout.
    fn default() -> Self {
        Self {
            tries: 1,
            backoff: Duration::from_millis(25),
            backoff_most: Duration::from_millis(250),
            budget: 20,
            budget_floor: 10,
            body: 64 * 1024,
        }
    }
}

/// Decides about the further tries of one service's calls; lives as long as the service's settings.
#[derive(Debug)]
pub struct Retry {
    settings: Settings,
    budget: Budget,
}

impl Retry {
    /// A policy with a fresh budget.
    pub fn new(settings: Settings) -> Self {
        let budget = Budget::new(settings.budget, settings.budget_floor);
        Self { settings, budget }
    }

    /// The settings that it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The budget, for metrics.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// A call begins: it pays into the budget. Call this once for each call, not for its further tries.
    pub fn called(&self, now: Instant) {
        if self.settings.tries > 0 {
            self.budget.called(now);
        }
    }

    /// One more try after `tried` of them (at least 1; 0 counts as 1) for a call that has `left` time: takes it from
    /// the budget, and returns how long to wait before it. `None` if no tries are left, if the wait would use up the
    /// time, or if the budget is spent.
    ///
    /// The wait has full jitter: it is drawn from 0 to `backoff`, which doubles with each try up to `backoff_most`, in
    /// whole microseconds, each as likely as the others. So calls that failed together do not come back together.
    /// `random(n)` returns a number below `n`, each as likely as the others.
    pub fn again(
        &self,
        tried: u32,
        left: Duration,
        now: Instant,
        random: &mut dyn FnMut(usize) -> usize,
    ) -> Option<Duration> {
        let made = tried.saturating_sub(1);
        if made >= self.settings.tries {
            return None;
        }
        let wait = jittered(self.longest_wait(made), random);
        // The budget comes last: a try that is not made for another reason costs nothing.
        (wait < left && self.budget.take(now)).then_some(wait)
    }

    /// The longest wait after `made` further tries.
    fn longest_wait(&self, made: u32) -> Duration {
        self.settings.backoff.saturating_mul(2_u32.saturating_pow(made)).min(self.settings.backoff_most)
    }
}

/// A random time from 0 to `most`, in whole microseconds.
fn jittered(most: Duration, random: &mut dyn FnMut(usize) -> usize) -> Duration {
    // The draw is below `micros + 1`, so `micros` must be less than the largest number. With 32 bits that bounds a wait
    // to 71 minutes.
    let micros = usize::try_from(most.as_micros()).unwrap_or(usize::MAX).min(usize::MAX - 1);
    Duration::from_micros(random(micros + 1) as u64)
}
