//! A note of the memory that one call is answerable for.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// What one call's instance has of memory, in bytes. An instance that serves this call alone: the most that it has had.
/// One that is kept between calls: by how much it has grown since the call before, for what it has is of all its calls.
#[derive(Debug, Default)]
pub struct MemoryNote {
    /// One more than the bytes; 0: nothing was noted.
    noted: AtomicU64,
    /// The age of the kept instance; 0: the instance serves this call alone.
    age: AtomicU32,
}

impl MemoryNote {
    /// It is so much, or more if more was noted before.
    pub fn has(&self, bytes: usize) {
        self.noted.fetch_max(bytes as u64 + 1, Relaxed);
    }

    /// The kept instance had grown so much when it began this call, which was its call number `age`, from 1.
    pub fn has_grown(&self, bytes: usize, age: u32) {
        self.age.store(age, Relaxed);
        self.has(bytes);
    }

    /// The most bytes so far; `None`: nothing was noted.
    pub fn most(&self) -> Option<u64> {
        self.noted.load(Relaxed).checked_sub(1)
    }

    /// Which call of its kept instance it is; `None`: the instance serves this call alone, or nothing was noted.
    pub fn age(&self) -> Option<u32> {
        Some(self.age.load(Relaxed)).filter(|age| *age > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_is_kept() {
        let note = MemoryNote::default();
        assert_eq!(note.most(), None);
        [0, 2, 5, 3].into_iter().for_each(|bytes| note.has(bytes));
        assert_eq!((note.most(), note.age()), (Some(5), None));
    }

    #[test]
    fn no_growth_is_something_that_is_known() {
        let note = MemoryNote::default();
        note.has_grown(0, 101);
        assert_eq!((note.most(), note.age()), (Some(0), Some(101)));
    }
}
