//! The kept traces that wait to be sent to the collector.

use super::kept_trace::KeptTrace;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A queue of a bounded number of spans. Whoever adds a trace never waits: without room the trace is left out.
pub struct TraceQueue {
    most: usize,
    waiting: Mutex<WaitingTraces>,
    added: Notify,
    exported: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Default)]
struct WaitingTraces {
    traces: VecDeque<Arc<KeptTrace>>,
    spans: usize,
}

impl TraceQueue {
    /// A queue of at most `most` spans.
    pub fn new(most: usize) -> Self {
        let (exported, dropped) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { most, waiting: Mutex::default(), added: Notify::new(), exported, dropped }
    }

    /// Adds a trace, if there is room for its spans.
    pub(super) fn add(&self, trace: &Arc<KeptTrace>) {
        let spans = trace.spans.len();
        let mut waiting = self.lock();
        if waiting.spans + spans > self.most {
            drop(waiting);
            self.dropped(spans);
            return;
        }
        waiting.spans += spans;
        waiting.traces.push_back(Arc::clone(trace));
        drop(waiting);
        self.added.notify_one();
    }

    /// Takes traces of at most `most` spans, but one at least if there is one.
    pub fn take(&self, most: usize) -> Vec<Arc<KeptTrace>> {
        let (mut taken, mut spans, mut waiting) = (Vec::new(), 0, self.lock());
        while let Some(next) = waiting.traces.front().map(|trace| trace.spans.len())
            && (taken.is_empty() || spans + next <= most)
        {
            spans += next;
            waiting.spans -= next;
            taken.extend(waiting.traces.pop_front());
        }
        taken
    }

    /// How many spans wait.
    pub fn waiting(&self) -> usize {
        self.lock().spans
    }

    /// Waits until a trace was added since the last time.
    pub async fn added(&self) {
        self.added.notified().await;
    }

    /// So many spans have reached the collector.
    pub fn exported(&self, spans: usize) {
        self.exported.fetch_add(spans as u64, Relaxed);
    }

    /// So many spans have not.
    pub fn dropped(&self, spans: usize) {
        self.dropped.fetch_add(spans as u64, Relaxed);
    }

    /// How many spans have reached the collector so far, and how many have not.
    pub fn counts(&self) -> (u64, u64) {
        (self.exported.load(Relaxed), self.dropped.load(Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, WaitingTraces> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
