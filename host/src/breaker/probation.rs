//! A half-open stretch: who holds a probe's slot, and how many probes have passed.

use super::settings::Probes;
use std::time::{Duration, Instant};

/// No refusal says to come back sooner: a wait of zero would be a busy loop.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// The probes of one half-open stretch.
#[derive(Debug, Default)]
pub(super) struct Probation {
    /// The probes under way, the oldest first as they came; never more than may be at a time.
    slots: Vec<ProbeSlot>,
    /// Numbers the probes of this stretch, so that a late one is not taken for the one that has its slot now.
    granted: u64,
    /// Probes that succeeded.
    passed: u32,
}

#[derive(Debug)]
struct ProbeSlot {
    probe: u64,
    since: Instant,
}

impl Probation {
    /// Gives one more probe a slot, and returns its number.
    ///
    /// # Errors
    /// When no slot is free: what is left of the oldest probe's lease.
    pub(super) fn admit(&mut self, probes: &Probes, now: Instant) -> Result<u64, Duration> {
        let left = |slot: &ProbeSlot| left(probes.lease, slot.since, now);
        self.slots.retain(|slot| left(slot).is_some());
        // `u32` to `usize` cannot fail on a machine that holds so many probes; if it does, the bound is beyond reach.
        let at_a_time = usize::try_from(probes.at_a_time).unwrap_or(usize::MAX).max(1);
        if self.slots.len() >= at_a_time {
            // Threads may hand in their `now` out of order, so the oldest one is not always the first.
            return Err(self.slots.iter().filter_map(left).min().unwrap_or(LEAST_WAIT));
        }
        self.granted += 1;
        self.slots.push(ProbeSlot { probe: self.granted, since: now });
        Ok(self.granted)
    }

    /// Frees the slot of `probe`. Whether it still held one, with its lease not over.
    pub(super) fn end(&mut self, probe: u64, lease: Duration, now: Instant) -> bool {
        self.remove(probe).is_some_and(|slot| left(lease, slot.since, now).is_some())
    }

    /// Frees the slot of `probe`, which ended without an outcome.
    pub(super) fn release(&mut self, probe: u64) {
        self.remove(probe);
    }

    /// One more probe passed. Returns how many have.
    pub(super) fn pass(&mut self) -> u32 {
        self.passed = self.passed.saturating_add(1);
        self.passed
    }

    fn remove(&mut self, probe: u64) -> Option<ProbeSlot> {
        let index = self.slots.iter().position(|slot| slot.probe == probe)?;
        Some(self.slots.remove(index))
    }
}

/// What is left at `now` of a `span` that began at `since`, at least 1 ms. Subtracts instead of adding, so that a long span cannot
/// overflow; a `now` from before `since` (another thread's, read earlier) counts as `since`.
pub(super) fn left(span: Duration, since: Instant, now: Instant) -> Option<Duration> {
    let left = span.saturating_sub(now.saturating_duration_since(since));
    (!left.is_zero()).then(|| left.max(LEAST_WAIT))
}
