//! The permit for one call through a breaker.

use super::breaker::{Breaker, Grant};
use super::outcome::Outcome;
use super::state::{Refused, State};
use std::sync::Arc;
use std::time::Instant;

/// The right to make one call. A permit that is dropped without an outcome is neutral: if it was a probe, its slot is
/// free again.
#[derive(Debug)]
#[must_use = "a permit that is dropped at once is a neutral outcome"]
pub struct Permit {
    breaker: Arc<Breaker>,
    grant: Grant,
    /// Whether the outcome was recorded, so that the drop has nothing left to do.
    is_recorded: bool,
}

impl Breaker {
    /// Asks for permission to make one call.
    ///
    /// # Errors
    /// [`Refused`] while the circuit is open, and while a half-open circuit has as many probes under way as
    /// [`Probes::at_a_time`](super::Probes::at_a_time) allows.
    pub fn try_acquire(self: &Arc<Self>, now: Instant) -> Result<Permit, Refused> {
        let grant = self.grant(now)?;
        Ok(Permit { breaker: Arc::clone(self), grant, is_recorded: false })
    }
}

impl Permit {
    /// Ends the call with `outcome`. An outcome decides nothing if the breaker's state has changed since the permit was
    /// granted, or if the permit was a probe whose lease has run out.
    ///
    /// Returns the new state if this outcome has changed it. Of several outcomes at once, one gets it.
    pub fn record(mut self, outcome: Outcome, now: Instant) -> Option<State> {
        self.is_recorded = true;
        match self.grant.probe {
            Some(probe) => self.breaker.record_probe(self.grant.epoch, probe, outcome, now),
            None => self.breaker.record(self.grant.epoch, outcome, now),
        }
    }

    /// Whether the call goes through a half-open circuit, so that its outcome closes the circuit or opens it again.
    pub fn is_probe(&self) -> bool {
        self.grant.probe.is_some()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let (false, Some(probe)) = (self.is_recorded, self.grant.probe) {
            self.breaker.release_probe(self.grant.epoch, probe);
        }
    }
}
