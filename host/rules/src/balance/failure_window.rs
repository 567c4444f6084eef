//! The recent calls and failures of one endpoint, as a review counts them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Calls in the high 32 bits, the failures among them in the low 32 bits, so that both change together. Both are
/// counted in 64ths of a call: otherwise the part that each fading rounds away would be a fifth of a small count.
#[derive(Debug, Default)]
pub(super) struct FailureWindow(AtomicU64);

/// Calls and the failures among them, in 64ths of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FadedCounts {
    pub(super) calls: u64,
    pub(super) failures: u64,
}

impl FadedCounts {
    /// One call, in 64ths.
    pub(super) const ONE_CALL: u64 = 64;

    fn unpack(word: u64) -> Self {
        Self { calls: word >> 32, failures: word & u64::from(u32::MAX) }
    }

    fn pack(self) -> u64 {
        debug_assert!(self.failures <= self.calls, "a failure is a call: {self:?}");
        self.calls << 32 | self.failures
    }

    /// What is left after `seconds`, of which each takes an eighth away.
    fn after(self, seconds: u64) -> Self {
        let left = |count: u64| (0..seconds).try_fold(count, |n, _| (n > 0).then_some(n * 7 / 8)).unwrap_or(0);
        Self { calls: left(self.calls), failures: left(self.failures) }
    }
}

impl FailureWindow {
    /// Counts one call.
    pub(super) fn count(&self, failed: bool) {
        let failure = if failed { FadedCounts::ONE_CALL } else { 0 };
        self.0.fetch_add(FadedCounts::ONE_CALL << 32 | failure, Relaxed);
    }

    /// Forgets what `seconds` (at least 1) take away. Returns the counts as they were before the last of these
    /// seconds: the calls since the last review are judged whole.
    pub(super) fn fade(&self, seconds: u64) -> FadedCounts {
        debug_assert!(seconds > 0, "a review comes at least a second after the one before");
        let mut word = self.0.load(Relaxed);
        loop {
            let counts = FadedCounts::unpack(word);
            match self.0.compare_exchange_weak(word, counts.after(seconds).pack(), Relaxed, Relaxed) {
                Ok(_) => return counts.after(seconds - 1),
                Err(changed) => word = changed,
            }
        }
    }

    /// Forgets every call.
    pub(super) fn clear(&self) {
        self.0.store(0, Relaxed);
    }
}
