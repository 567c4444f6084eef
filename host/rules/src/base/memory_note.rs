//! A note of the memory that one call's instance has.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The most bytes of memory that the instance of one call has had. Only an instance that serves this call alone is
/// noted: of another one nobody knows which call it got its memory for.
#[derive(Debug, Default)]
pub struct MemoryNote(AtomicU64);

impl MemoryNote {
    /// The instance has so much from now on.
    pub fn has(&self, bytes: usize) {
        self.0.fetch_max(bytes as u64, Relaxed);
    }

    /// The most bytes so far; `None`: nothing was noted.
    pub fn most(&self) -> Option<u64> {
        Some(self.0.load(Relaxed)).filter(|bytes| *bytes > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_is_kept() {
        let note = MemoryNote::default();
        assert_eq!(note.most(), None);
        [2, 5, 3].into_iter().for_each(|bytes| note.has(bytes));
        assert_eq!(note.most(), Some(5));
    }
}
