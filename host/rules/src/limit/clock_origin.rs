//! The moment from which a limit counts its times.

use std::time::Instant;

/// The moment from which a limit counts its times.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClockOrigin(Instant);

impl ClockOrigin {
    pub(super) fn new(origin: Instant) -> Self {
        Self(origin)
    }

    /// Nanoseconds since a moment before the origin, so that a bucket that was never used (0) is full.
    pub(super) fn nanos(self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.0).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX / 2).saturating_add(1)
    }
}
