//! When a server that was away is tried again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The pauses between two tries to connect: the first, and the longest. A fleet that comes back all at once would be a
/// storm (openobserve #13676), so the pause is random. An outage is over for callers one longest pause after its end.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Lets a try through, and after one that has failed none for a while: whoever comes meanwhile is refused at once, and
/// does not wait for a server that is away.
#[derive(Debug, Default)]
pub(in crate::state) struct RetryGate {
    state: Mutex<GateState>,
}

#[derive(Debug, Default)]
struct GateState {
    failures: u32,
    opens_at: Option<Instant>,
    /// Why the last try has failed.
    reason: String,
}

impl RetryGate {
    /// Why nobody should try now; `None`: a try may be made.
    pub(in crate::state) fn closed(&self, now: Instant) -> Option<String> {
        let state = self.lock();
        state.opens_at.is_some_and(|at| now < at).then(|| state.reason.clone())
    }

    /// A try has failed.
    pub(in crate::state) fn failed(&self, now: Instant, reason: &str) {
        let mut state = self.lock();
        let (first, most) = PAUSES;
        let pause = first.saturating_mul(1 << state.failures.min(10)).min(most);
        state.failures = state.failures.saturating_add(1);
        state.opens_at = Some(now + pause.mul_f64(0.5 + rand::random::<f64>() / 2.0));
        reason.clone_into(&mut state.reason);
    }

    /// A try has succeeded.
    pub(in crate::state) fn succeeded(&self) {
        *self.lock() = GateState::default();
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_is_closed_for_longer_after_each_failure_and_open_after_a_success() {
        let (gate, now) = (RetryGate::default(), Instant::now());
        assert_eq!(gate.closed(now), None);
        for failure in 0..20 {
            gate.failed(now, "no route");
            let pause = PAUSES.0.saturating_mul(1 << failure.min(10)).min(PAUSES.1);
            assert_eq!(gate.closed(now + pause.mul_f64(0.49)), Some("no route".into()), "{failure}");
            assert_eq!(gate.closed(now + pause), None, "{failure}");
        }
        gate.succeeded();
        assert_eq!(gate.closed(now), None);
        gate.failed(now, "again");
        assert_eq!(gate.closed(now + PAUSES.0), None, "it begins anew");
    }
}
