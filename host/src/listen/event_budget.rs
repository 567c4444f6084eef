//! How often a peer may do what costs it nothing and the host something.

use std::time::{Duration, Instant};

/// What a peer may do at once, and what it may do in each second besides: the bounds of nghttp2 for resets, after
/// CVE-2023-44487 (`nghttp2_option_set_stream_reset_rate_limit`).
const BURST: u64 = 1000;
const PER_SECOND: u64 = 33;

/// A token bucket.
#[derive(Debug)]
pub(super) struct EventBudget {
    left: u64,
    /// Until when the time has been turned into tokens.
    counted: Instant,
}

impl EventBudget {
    /// A full one.
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, counted: now }
    }

    /// Takes one; `false` if none is left.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        if self.left < BURST {
            let seconds = now.saturating_duration_since(self.counted).as_secs();
            if seconds > 0 {
                self.left = self.left.saturating_add(seconds.saturating_mul(PER_SECOND)).min(BURST.max(self.left));
                self.counted += Duration::from_secs(seconds);
            }
        } else {
            self.counted = now;
        }
        self.left = match self.left.checked_sub(1) {
            Some(left) => left,
            None => return false,
        };
        true
    }

    /// Adds what the peer has earned otherwise, above the burst if need be.
    pub(super) fn give(&mut self, count: u64) {
        self.left = self.left.saturating_add(count).min(1 << 20);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_fills_again_with_time_and_not_beyond_its_burst() {
        let start = Instant::now();
        let mut budget = EventBudget::new(start);
        let taken = |budget: &mut EventBudget, at| (0..5000).take_while(|_| budget.take(at)).count();
        assert_eq!(taken(&mut budget, start), 1000);
        assert_eq!(taken(&mut budget, start + Duration::from_millis(900)), 0);
        assert_eq!(taken(&mut budget, start + Duration::from_secs(2)), 66);
        assert_eq!(taken(&mut budget, start + Duration::from_secs(3600)), 1000);
        budget.give(3000);
        assert_eq!(taken(&mut budget, start + Duration::from_secs(3600)), 3000);
    }
}
