//! The permit for one call through a breaker, and the outcome that it ends with.

use super::Breaker;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a call's outcome says about its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The endpoint did its work.
    Success,
    /// The place is at fault, whatever the call was: no instance or connection, a reset, a timeout, 502, 503, 504.
    EndpointFault,
    /// The work is at fault, perhaps because of its input: a trap, out of memory, a bad answer, any other 5xx.
    RequestFault,
    /// The endpoint wants fewer calls: 429.
    Throttled,
    /// The outcome says nothing about the endpoint: the client went away, any other 4xx, or the host refused locally.
    Neutral,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// What it says about the endpoint.
    pub verdict: Verdict,
    /// How long the call took to the head of its answer, or to what came in its place.
    pub took: Duration,
    /// What the endpoint said in `Retry-After`, if it did.
    pub retry_after: Option<Duration>,
}

/// The right to make one call. Dropped without an outcome it is neutral: a probe's slot is free again.
#[derive(Debug)]
#[must_use = "a permit that is dropped at once is a neutral outcome"]
pub struct Permit {
    breaker: Arc<Breaker>,
    /// The epoch of the breaker that granted it.
    epoch: u32,
    /// Which probe it is, if it is one.
    probe: Option<u64>,
    /// The outcome is in, so that the drop does nothing more.
    is_over: bool,
}

impl Permit {
    pub(super) fn new(breaker: Arc<Breaker>, epoch: u32, probe: Option<u64>) -> Self {
        Self { breaker, epoch, probe, is_over: false }
    }

    /// Ends the call with `outcome`. One that comes after the breaker's state has changed decides nothing, nor does that of a probe
    /// whose lease is over.
    pub fn record(mut self, outcome: Outcome, now: Instant) {
        self.is_over = true;
        match self.probe {
            Some(probe) => self.breaker.settle(self.epoch, probe, outcome, now),
            None => self.breaker.count(self.epoch, outcome, now),
        }
    }

    /// Whether the call goes through a half-open circuit, which its outcome closes or opens again.
    pub fn is_probe(&self) -> bool {
        self.probe.is_some()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let (false, Some(probe)) = (self.is_over, self.probe) {
            self.breaker.release(self.epoch, probe);
        }
    }
}
