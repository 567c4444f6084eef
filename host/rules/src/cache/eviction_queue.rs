//! The order in which kept answers leave one place of bytes, the memory or the disk.
//!
//! Which answers stay is decided as in S3-FIFO (Yang and others, "FIFO queues are all you need for cache eviction",
//! SOSP 2023): a new answer waits in a small queue, a tenth of the room, and only one that is asked for again comes
//! into the main queue. So a scan of a million URIs moves out nothing that is in use. A look-up changes one counter and
//! no order, so look-ups do not exclude each other.

use super::cache_key::CacheKey;
use std::collections::VecDeque;

/// The part of the room that answers have which were asked for once: the tenth of the paper.
pub(super) const SMALL_PART: usize = 10;

/// Two queues and their bytes. An entry that has left its slot leaves its place in a queue behind, which is passed
/// over.
pub(super) struct EvictionQueue {
    small: VecDeque<QueuePlace>,
    main: VecDeque<QueuePlace>,
    pub(super) most_bytes: usize,
    pub(super) bytes: usize,
    small_bytes: usize,
    pub(super) entries: usize,
    /// How many places in the queues have no entry any more.
    vacant: usize,
}

/// The place of one entry.
pub(super) struct QueuePlace {
    pub(super) key: CacheKey,
    pub(super) id: u64,
}

impl EvictionQueue {
    pub(super) fn new(most_bytes: usize) -> Self {
        let (small, main) = (VecDeque::new(), VecDeque::new());
        Self { small, main, most_bytes, bytes: 0, small_bytes: 0, entries: 0, vacant: 0 }
    }

    /// Whether so many bytes of one answer are too many.
    pub(super) fn is_too_much(&self, bytes: usize) -> bool {
        bytes > self.most_bytes / SMALL_PART
    }

    /// A new entry; `is_small`: it has not been asked for again yet.
    pub(super) fn push(&mut self, place: QueuePlace, bytes: usize, is_small: bool) {
        (self.entries, self.bytes) = (self.entries + 1, self.bytes + bytes);
        if is_small {
            self.small_bytes += bytes;
            self.small.push_back(place);
        } else {
            self.main.push_back(place);
        }
    }

    /// An entry has another content now, in its old place.
    pub(super) fn reweigh(&mut self, before: usize, now: usize, is_small: bool) {
        self.bytes = self.bytes + now - before;
        if is_small {
            self.small_bytes = self.small_bytes + now - before;
        }
    }

    /// The place whose turn it is to leave, and whether it is of the small queue.
    pub(super) fn next(&mut self) -> Option<(QueuePlace, bool)> {
        let from_small = self.small_bytes > self.most_bytes / SMALL_PART || self.main.is_empty();
        let queue = if from_small { &mut self.small } else { &mut self.main };
        queue.pop_front().map(|place| (place, from_small))
    }

    /// The entry of the place stays, and comes to the end of the main queue; `promoted`: from the small one.
    pub(super) fn stay(&mut self, place: QueuePlace, bytes: usize, promoted: bool) {
        if promoted {
            self.small_bytes -= bytes;
        }
        self.main.push_back(place);
    }

    /// An entry has left its slot.
    pub(super) fn forget(&mut self, bytes: usize, is_small: bool) {
        (self.entries, self.bytes, self.vacant) = (self.entries - 1, self.bytes - bytes, self.vacant + 1);
        if is_small {
            self.small_bytes -= bytes;
        }
    }

    /// A place without an entry has left its queue.
    pub(super) fn passed_over(&mut self) {
        self.vacant = self.vacant.saturating_sub(1);
    }

    /// Clears the queues of places without an entry when they are more than those with one, and than `most`: without
    /// this, a URI that is kept and invalidated in turn would make the queues grow for ever.
    pub(super) fn tidy(&mut self, most: usize, mut has: impl FnMut(&QueuePlace) -> bool) {
        if self.vacant > self.entries + most {
            self.small.retain(&mut has);
            self.main.retain(&mut has);
            self.vacant = 0;
        }
    }

    /// The places in both queues.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.small.len() + self.main.len()
    }
}
