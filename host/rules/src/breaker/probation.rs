//! One half-open stretch: which probes hold a slot, and how many probes have passed.

use super::settings::Probes;
use std::time::{Duration, Instant};

/// No refusal asks the caller to come back sooner: a wait of zero would make the caller a busy loop.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// The probes of one half-open stretch.
#[derive(Debug, Default)]
pub(super) struct Probation {
    /// The probes under way, in the order in which they were admitted; never more than [`Probes::at_a_time`].
    slots: Vec<ProbeSlot>,
    /// How many probes of this stretch were admitted. Each probe is named by its number, so that a late probe is not
    /// taken for the one that has its slot now.
    admitted: u64,
    /// Probes that succeeded.
    passed: u32,
}

#[derive(Debug)]
struct ProbeSlot {
    probe: u64,
    since: Instant,
}

impl Probation {
    /// Gives one more probe a slot, and returns the probe's number.
    ///
    /// # Errors
    /// When no slot is free: what remains of the oldest probe's lease.
    pub(super) fn admit(&mut self, probes: &Probes, now: Instant) -> Result<u64, Duration> {
        let lease_left = |slot: &ProbeSlot| remaining(probes.lease, slot.since, now);
        self.slots.retain(|slot| lease_left(slot).is_some());
        // The conversion cannot fail on a machine that holds so many probes. If it does, the bound is beyond reach.
        let at_a_time = usize::try_from(probes.at_a_time).unwrap_or(usize::MAX).max(1);
        if self.slots.len() >= at_a_time {
            // Threads may hand in their `now` out of order, so the oldest probe is not always the first one.
            return Err(self.slots.iter().filter_map(lease_left).min().unwrap_or(LEAST_WAIT));
        }
        self.admitted += 1;
        self.slots.push(ProbeSlot { probe: self.admitted, since: now });
        debug_assert!(self.slots.len() <= at_a_time, "no more probes are under way than the settings allow");
        Ok(self.admitted)
    }

    /// Frees the slot of `probe`. Returns whether the probe still held a slot, with its lease not over.
    pub(super) fn end(&mut self, probe: u64, lease: Duration, now: Instant) -> bool {
        self.remove(probe).is_some_and(|slot| remaining(lease, slot.since, now).is_some())
    }

    /// Frees the slot of `probe`, which ended without an outcome.
    pub(super) fn release(&mut self, probe: u64) {
        self.remove(probe);
    }

    /// Counts one more probe that passed. Returns how many have passed.
    pub(super) fn pass(&mut self) -> u32 {
        self.passed = self.passed.saturating_add(1);
        debug_assert!(u64::from(self.passed) <= self.admitted, "a probe passes once, after it was admitted");
        self.passed
    }

    fn remove(&mut self, probe: u64) -> Option<ProbeSlot> {
        let index = self.slots.iter().position(|slot| slot.probe == probe)?;
        Some(self.slots.remove(index))
    }
}

/// What remains at `now` of a `span` that began at `since`, at least 1 ms; `None` when the span is over.
///
/// It subtracts instead of adding, so that a long span cannot overflow. A `now` from before `since`, which another
/// thread read earlier, counts as `since`.
pub(super) fn remaining(span: Duration, since: Instant, now: Instant) -> Option<Duration> {
    let left = span.saturating_sub(now.saturating_duration_since(since));
    (!left.is_zero()).then(|| left.max(LEAST_WAIT))
}
