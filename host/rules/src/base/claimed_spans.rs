//! The spans that guests have begun in a trace by themselves. A guest chooses the id of its span, and is a stranger: no
//! id may be another span's, and no span may stand elsewhere than below the call that it was begun in.

use super::span::SpanOwner;
use super::trace_context::SpanId;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most spans of its own that a guest may have in one call.
pub(super) const MOST_CLAIMED: usize = 64;
/// The most bytes of the guests' own spans in one trace: their texts are longer than the host's.
const MOST_BYTES: usize = 256 << 10;

/// A span that a guest has begun.
#[derive(Clone)]
pub(super) struct ClaimedSpan {
    pub(super) id: SpanId,
    /// The host's span of the call that it was begun in.
    pub(super) call: SpanId,
    /// The innermost span of that call when it began.
    pub(super) parent: SpanId,
    pub(super) owner: Option<Arc<SpanOwner>>,
    pub(super) began: Duration,
    is_open: bool,
}

/// All spans that guests have begun in one trace.
#[derive(Default)]
pub(super) struct ClaimedSpans {
    /// Whether there is one: most traces have none, and ask no further.
    any: AtomicBool,
    list: Mutex<ClaimedList>,
}

#[derive(Default)]
struct ClaimedList {
    /// In the order in which they began.
    spans: Vec<ClaimedSpan>,
    bytes: usize,
}

impl ClaimedSpans {
    /// A guest begins the span `id` in `call`. Whether it may: `has_room` is asked last.
    pub(super) fn claim(
        &self,
        (id, call): (SpanId, SpanId),
        owner: Option<Arc<SpanOwner>>,
        began: Duration,
        has_room: impl FnOnce() -> bool,
    ) -> bool {
        let mut list = self.lock();
        let of_call = list.spans.iter().filter(|span| span.call == call).count();
        if of_call >= MOST_CLAIMED || list.spans.iter().any(|span| span.id == id) || !has_room() {
            return false;
        }
        let parent = list.innermost(call);
        list.spans.push(ClaimedSpan { id, call, parent, owner, began, is_open: true });
        self.any.store(true, Relaxed);
        true
    }

    /// The guest of `call` ends its span `id`, and says that it is below `parent`. What is known of it; `None`: it has
    /// not begun such a span, or has ended it before. A parent that is no earlier span of the call is none.
    pub(super) fn release(&self, (id, call): (SpanId, SpanId), parent: Option<SpanId>) -> Option<ClaimedSpan> {
        if !self.any.load(Relaxed) {
            return None;
        }
        let mut list = self.lock();
        let at = list.spans.iter().position(|span| span.id == id && span.call == call && span.is_open)?;
        // Of earlier ones alone: no two spans can be below each other.
        let is_there = |parent: SpanId| {
            parent == call || list.spans[..at].iter().any(|span| span.id == parent && span.call == call)
        };
        let parent = parent.filter(|parent| is_there(*parent));
        let span = &mut list.spans[at];
        span.is_open = false;
        span.parent = parent.unwrap_or(span.parent);
        Some(span.clone())
    }

    /// The innermost span of `call` that has begun and not ended: one of its guest's, or the host's.
    pub(super) fn innermost(&self, call: SpanId) -> SpanId {
        if self.any.load(Relaxed) { self.lock().innermost(call) } else { call }
    }

    /// Whether so many more bytes have room; then they are taken.
    pub(super) fn take_room(&self, bytes: usize) -> bool {
        let mut list = self.lock();
        let fits = list.bytes + bytes <= MOST_BYTES;
        list.bytes += if fits { bytes } else { 0 };
        fits
    }

    /// The spans that have begun and not ended.
    pub(super) fn unended(&self) -> Vec<ClaimedSpan> {
        if !self.any.load(Relaxed) {
            return Vec::new();
        }
        self.lock().spans.iter().filter(|span| span.is_open).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, ClaimedList> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClaimedList {
    fn innermost(&self, call: SpanId) -> SpanId {
        let open = self.spans.iter().rev().find(|span| span.call == call && span.is_open);
        open.map_or(call, |span| span.id)
    }
}
