//! How many instances of an endpoint serve a request or a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The number of instances of one endpoint that serve now. Calls that wait for an instance, and kept instances without
/// a call, do not count.
#[derive(Clone, Default)]
pub(crate) struct ServingCount(Arc<AtomicUsize>);

/// One instance that serves for as long as this lives.
pub(crate) struct ServingInstance(ServingCount);

impl ServingCount {
    /// The number now.
    pub(crate) fn get(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Counts an instance in. [`ServingCount::end`] must follow.
    pub(crate) fn begin(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// Counts an instance out.
    pub(crate) fn end(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// Counts an instance until it is dropped.
    pub(crate) fn instance(&self) -> ServingInstance {
        self.begin();
        ServingInstance(self.clone())
    }
}

impl Drop for ServingInstance {
    fn drop(&mut self) {
        self.0.end();
    }
}
