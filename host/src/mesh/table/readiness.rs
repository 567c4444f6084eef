//! Whether health checks find an endpoint ready.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The highest bit of `state`: set while the endpoint is unready. The other bits are a count.
const UNREADY: u32 = 1 << 31;

/// What health checks say of one endpoint. It is ready until they say otherwise.
#[derive(Debug, Default)]
pub struct Readiness {
    /// The flag [`UNREADY`], and how many checks in a row had the opposite result. Both are in one word, so no count is
    /// lost if two checks end at once.
    state: AtomicU32,
}

impl Readiness {
    /// Whether calls may go to the endpoint.
    pub fn is_ready(&self) -> bool {
        self.state.load(Relaxed) & UNREADY == 0
    }

    /// Records whether a check has passed. `down` failures in a row make the endpoint unready, `up` successes in a row
    /// make it ready again; both numbers are at least 1.
    ///
    /// Returns the new readiness if this check has changed it, and `None` otherwise.
    pub fn note(&self, passed: bool, down: u32, up: u32) -> Option<bool> {
        let next = |state: u32| {
            let (ready, count) = (state & UNREADY == 0, state & !UNREADY);
            if passed == ready {
                return state & UNREADY;
            }
            let needed = if ready { down } else { up };
            if count + 1 >= needed { (state & UNREADY) ^ UNREADY } else { state + 1 }
        };
        let before = self.state.fetch_update(Relaxed, Relaxed, |state| Some(next(state))).unwrap_or_default();
        let after = next(before);
        ((before ^ after) & UNREADY != 0).then_some(after & UNREADY == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_changes_after_enough_checks_in_a_row() {
        let readiness = Readiness::default();
        assert!(readiness.is_ready());
        for (passed, changed) in [
            (false, None),
            (false, None),
            (true, None),
            (false, None),
            (false, None),
            (false, Some(false)),
            (false, None),
            (true, None),
            (false, None),
            (true, None),
            (true, Some(true)),
            (true, None),
        ] {
            let before = readiness.is_ready();
            assert_eq!(readiness.note(passed, 3, 2), changed);
            assert_eq!(readiness.is_ready(), changed.unwrap_or(before));
        }
        assert_eq!(readiness.note(false, 1, 1), Some(false));
        assert_eq!(readiness.note(true, 1, 1), Some(true));
    }
}
