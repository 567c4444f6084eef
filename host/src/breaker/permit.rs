//! The permit for one call through a breaker, and the verdict that it ends with.

use super::Breaker;
use std::sync::Arc;
use std::time::Instant;

/// What a call's outcome says about its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The endpoint did its work.
    Success,
    /// The endpoint is at fault.
    Failure,
    /// The outcome says nothing about the endpoint: the client went away, or the host refused locally.
    Neutral,
}

/// The right to make one call. Dropped without a verdict it is neutral: a half-open probe's slot is free again.
#[derive(Debug)]
#[must_use = "a permit that is dropped at once is a neutral verdict"]
pub struct Permit {
    breaker: Arc<Breaker>,
    /// The epoch of the breaker that granted it. `None` when the verdict is in, so that the drop does nothing more.
    epoch: Option<u32>,
}

impl Permit {
    pub(super) fn new(breaker: Arc<Breaker>, epoch: u32) -> Self {
        Self { breaker, epoch: Some(epoch) }
    }

    /// Ends the call with `verdict`. A verdict that comes after the breaker's state has changed is dropped.
    pub fn record(mut self, verdict: Verdict, now: Instant) {
        if let Some(epoch) = self.epoch.take() {
            match verdict {
                Verdict::Success => self.breaker.succeeded(epoch),
                Verdict::Failure => self.breaker.failed(epoch, now),
                Verdict::Neutral => self.breaker.released(epoch),
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(epoch) = self.epoch.take() {
            self.breaker.released(epoch);
        }
    }
}
