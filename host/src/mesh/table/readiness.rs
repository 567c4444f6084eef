//! Whether an endpoint has started, and whether health checks find it ready.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The highest bit of `state`: set while the endpoint is unready by its health checks.
const UNREADY: u32 = 1 << 31;
/// The next bit: set while the endpoint has not started. The other bits are a count.
const STARTING: u32 = 1 << 30;

/// Whether calls may go to one endpoint. It is ready until health checks say otherwise, or until it is told to wait for
/// its start.
#[derive(Debug, Default)]
pub struct Readiness {
    /// The flags [`UNREADY`] and [`STARTING`], and how many checks in a row had the opposite result. All are in one
    /// word: a call reads it once, and no count is lost if two checks end at once.
    state: AtomicU32,
}

impl Readiness {
    /// Whether calls may go to the endpoint.
    pub fn is_ready(&self) -> bool {
        self.state.load(Relaxed) & (UNREADY | STARTING) == 0
    }

    /// Whether the endpoint has not started: no call may go to it, not even a health check.
    pub fn is_starting(&self) -> bool {
        self.state.load(Relaxed) & STARTING != 0
    }

    /// Lets no call to the endpoint before [`Readiness::started`].
    pub fn hold(&self) {
        self.state.fetch_or(STARTING, Relaxed);
    }

    /// Lets calls to the endpoint.
    pub fn started(&self) {
        self.state.fetch_and(!STARTING, Relaxed);
    }

    /// Records whether a check has passed. `down` failures in a row make the endpoint unready, `up` successes in a row
    /// make it ready again; both numbers are at least 1.
    ///
    /// Returns the new readiness if this check has changed it, and `None` otherwise.
    pub fn note(&self, passed: bool, down: u32, up: u32) -> Option<bool> {
        let next = |state: u32| {
            let (flags, count) = (state & (UNREADY | STARTING), state & !(UNREADY | STARTING));
            let ready = state & UNREADY == 0;
            if passed == ready {
                return flags;
            }
            let needed = if ready { down } else { up };
            if count + 1 >= needed { flags ^ UNREADY } else { state + 1 }
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

    #[test]
    fn an_endpoint_that_has_not_started_stays_so_whatever_checks_say() {
        let readiness = Readiness::default();
        readiness.hold();
        for passed in [true, false, false, true, false] {
            readiness.note(passed, 2, 1);
            assert!(readiness.is_starting() && !readiness.is_ready());
        }
        readiness.note(true, 2, 1);
        readiness.started();
        assert!(readiness.is_ready() && !readiness.is_starting());
    }
}
