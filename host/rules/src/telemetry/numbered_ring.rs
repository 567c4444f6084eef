//! A bounded memory of what happened, in order: the newest entries, each with its number.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How many entries are looked at under one lock: whoever adds an entry waits for no longer than that.
const PAGE: usize = 1024;

/// The newest entries within a bound. Numbers begin at 1 and have no gaps, so a reader knows what it has missed.
#[derive(Debug)]
pub struct NumberedRing<T> {
    /// The most weight of all entries together; 0: nothing is kept.
    most: AtomicUsize,
    entries: Mutex<RingEntries<T>>,
    arrived: Notify,
}

#[derive(Debug)]
struct RingEntries<T> {
    /// Each with its weight.
    queue: VecDeque<(usize, Arc<T>)>,
    weight: usize,
    /// The number of the next entry.
    next: u64,
}

/// A part of a ring, in order.
#[derive(Debug)]
pub struct RingPage<T> {
    /// The entries, at most a thousand, each with its number.
    pub entries: Vec<(u64, Arc<T>)>,
    /// The number with which the next page begins.
    pub next: u64,
    /// Whether there were more entries when the page was read.
    pub more: bool,
}

impl<T> NumberedRing<T> {
    /// An empty ring whose entries may weigh `most` together.
    pub const fn new(most: usize) -> Self {
        let entries = Mutex::new(RingEntries { queue: VecDeque::new(), weight: 0, next: 1 });
        Self { most: AtomicUsize::new(most), entries, arrived: Notify::const_new() }
    }

    /// Bounds the ring anew. What is too much goes with the next entry.
    pub fn resize(&self, most: usize) {
        self.most.store(most, Relaxed);
    }

    /// Whether entries are kept at all.
    pub fn is_on(&self) -> bool {
        self.most.load(Relaxed) > 0
    }

    /// Adds an entry of this weight, and drops the oldest ones that are too much then. An entry that is too heavy by
    /// itself is not kept, and has a number all the same.
    pub fn push(&self, weight: usize, entry: T) {
        let most = self.most.load(Relaxed);
        let mut entries = self.lock();
        let RingEntries { queue, weight: total, next } = &mut *entries;
        *next += 1;
        *total += weight;
        queue.push_back((weight, Arc::new(entry)));
        while *total > most {
            let Some((dropped, _)) = queue.pop_front() else { break };
            *total -= dropped;
        }
        drop(entries);
        self.arrived.notify_waiters();
    }

    /// The entries from the number `from` on, as far as they are kept and fit a page.
    pub fn page(&self, from: u64) -> RingPage<T> {
        let entries = self.lock();
        let oldest = entries.next - entries.queue.len() as u64;
        let from = from.max(oldest);
        let skipped = usize::try_from(from - oldest).unwrap_or(usize::MAX);
        let numbers = from..;
        let page: Vec<_> = numbers
            .zip(entries.queue.iter().skip(skipped).take(PAGE))
            .map(|(at, (_, one))| (at, Arc::clone(one)))
            .collect();
        // A number beyond the end is that of a host before this one: the next page begins at this host's next entry.
        let next = (from + page.len() as u64).min(entries.next);
        RingPage { more: next < entries.next, next, entries: page }
    }

    /// The newest entries that `is_meant` admits, at most `most`, in order; and the number with which the next page
    /// begins.
    pub fn newest(&self, most: usize, is_meant: impl Fn(&T) -> bool) -> RingPage<T> {
        let mut found = VecDeque::new();
        let mut from = 0;
        loop {
            let RingPage { entries, next, more } = self.page(from);
            for (number, entry) in entries {
                if is_meant(&entry) {
                    found.push_back((number, entry));
                    if found.len() > most {
                        found.pop_front();
                    }
                }
            }
            if !more {
                return RingPage { entries: found.into(), next, more };
            }
            from = next;
        }
    }

    /// Waits until there is an entry with the number `next` or a later one.
    pub async fn beyond(&self, next: u64) {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            // Before the look: an entry that comes between the two wakes it.
            arrived.as_mut().enable();
            if self.lock().next > next {
                return;
            }
            arrived.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, RingEntries<T>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    fn numbers<T>(page: &RingPage<T>) -> Vec<u64> {
        page.entries.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn the_newest_entries_within_the_bound_are_kept_with_their_numbers() {
        let ring = NumberedRing::new(10);
        for entry in 0..7 {
            ring.push(3, entry);
        }
        let page = ring.page(0);
        assert_eq!((numbers(&page), page.next, page.more), (vec![5, 6, 7], 8, false));
        assert_eq!(numbers(&ring.page(7)), [7]);
        // A number of a host before this one.
        let ahead = ring.page(1000);
        assert_eq!((numbers(&ahead), ahead.next), (vec![], 8));
        assert_eq!(numbers(&ring.newest(1, |entry| entry % 2 == 0)), [7]);
        ring.push(11, 7);
        assert_eq!((numbers(&ring.page(0)), ring.page(0).next), (vec![], 9), "too heavy by itself");
    }

    #[test]
    fn pages_reach_every_entry_once() {
        let ring = NumberedRing::new(usize::MAX);
        (0..2_500).for_each(|entry| ring.push(1, entry));
        let (mut from, mut all) = (0, Vec::new());
        loop {
            let page = ring.page(from);
            all.extend(page.entries.iter().map(|(_, entry)| **entry));
            from = page.next;
            if !page.more {
                break;
            }
        }
        assert_eq!(all, (0..2_500).collect::<Vec<_>>());
        assert_eq!(ring.newest(2, |entry| *entry < 10).entries.len(), 2);
    }

    #[test]
    fn a_ring_without_room_keeps_nothing() {
        let ring = NumberedRing::new(0);
        assert!(!ring.is_on());
        ring.resize(1);
        assert!(ring.is_on());
        ring.push(1, ());
        ring.resize(0);
        ring.push(1, ());
        assert!(ring.page(0).entries.is_empty());
    }

    #[tokio::test]
    async fn a_reader_waits_for_the_entry_that_it_has_not_seen() {
        let ring = NumberedRing::new(10);
        ring.push(1, 'a');
        timeout(Duration::from_secs(5), ring.beyond(1)).await.expect("it is there");
        let waits = ring.beyond(2);
        tokio::pin!(waits);
        assert!(timeout(Duration::ZERO, waits.as_mut()).await.is_err());
        ring.push(1, 'b');
        timeout(Duration::from_secs(5), waits).await.expect("it has come");
    }
}
