//! How long a failed event waits.

use std::time::Duration;

/// The pauses between the tries of one event: they double, and are drawn between a half and the whole, so that events
/// that failed together do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest pause before the second try.
    pub first: Duration,
    /// The longest pause before any try.
    pub most: Duration,
}

impl Backoff {
    /// The pause after `tries` failed tries, at least 1. `draw` is random.
    pub fn pause(&self, tries: u32, draw: u64) -> Duration {
        let doubled = 1u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX);
        let whole = self.first.checked_mul(doubled).unwrap_or(self.most).min(self.most);
        let half = whole / 2;
        let millis = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
        whole - half + Duration::from_millis(draw % (millis + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_most_and_are_drawn_from_the_upper_half() {
        let backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(60) };
        let least = |tries| backoff.pause(tries, 0).as_millis();
        assert_eq!([1, 2, 3, 6, 7, 40, u32::MAX].map(least), [500, 1000, 2000, 16_000, 30_000, 30_000, 30_000]);
        for draw in [1, 499, 500, 501, u64::MAX] {
            let pause = backoff.pause(1, draw);
            assert!(pause >= Duration::from_millis(500) && pause <= Duration::from_secs(1), "{pause:?}");
        }
        assert_eq!(backoff.pause(1, 500), Duration::from_secs(1));
    }
}
