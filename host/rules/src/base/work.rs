//! What the guests of a request take, and who pays for it.

use std::fmt;
use std::time::Duration;

/// What a guest took for a request, since this was last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TakenWork {
    /// Processor time.
    pub cpu: Duration,
    /// Memory, multiplied by the time for which it was held: in KiB times microseconds.
    pub memory: u64,
}

impl TakenWork {
    /// The [`Self::memory`] of `bytes` that are held for `time`.
    pub fn held(bytes: usize, time: Duration) -> u64 {
        let product = (bytes as u128 * time.as_micros()) >> 10;
        u64::try_from(product).unwrap_or(u64::MAX)
    }

    /// Whether it is nothing.
    pub fn is_none(&self) -> bool {
        self.cpu.is_zero() && self.memory == 0
    }
}

/// Who pays for what the guests of a request take. A request is charged while it works, not at its end: one that works
/// for long is in its client's account all the time.
pub trait WorkPayer: Send + Sync + fmt::Debug {
    /// Takes `work` from the account. It is called wherever a guest is polled, so it must not block.
    fn pay(&self, work: TakenWork);
}
