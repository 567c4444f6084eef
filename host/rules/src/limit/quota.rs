//! A number of requests in each window of the calendar, counted so that a crash gives nothing back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// `most` requests in each window. Windows follow one another from the beginning of the Unix time on: those of a day
/// begin at midnight UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    most: u32,
    window: Duration,
}

impl Quota {
    /// A quota; `None` unless `most` is at least 1, and the window whole minutes, at most 366 days of them.
    pub fn new(most: u32, window: Duration) -> Option<Self> {
        let seconds = window.as_secs();
        let whole = window.subsec_nanos() == 0 && seconds.is_multiple_of(60);
        (most > 0 && whole && (60..=366 * 24 * 3600).contains(&seconds)).then_some(Self { most, window })
    }

    /// The requests of one window.
    pub fn most(&self) -> u32 {
        self.most
    }

    /// The length of a window.
    pub fn window(&self) -> Duration {
        self.window
    }

    /// The number of the window at this Unix time.
    pub fn window_at(&self, unix: Duration) -> u64 {
        unix.as_secs() / self.window.as_secs()
    }

    /// How long the window of this Unix time lasts from then on.
    fn left(&self, unix: Duration) -> Duration {
        let (seconds, window) = (unix.as_secs(), self.window.as_secs());
        Duration::from_secs((seconds / window + 1) * window) - unix
    }

    /// How many requests are noted on disk at a time: a hundredth of the quota.
    fn step(&self) -> u32 {
        (self.most / 100).max(1)
    }
}

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaAnswer {
    /// It may go on; so many more may in this window.
    Admitted {
        /// The requests that are left.
        remaining: u32,
        /// Until the next window.
        reset: Duration,
    },
    /// The key has used up its quota.
    UsedUp {
        /// Until the next window.
        reset: Duration,
    },
    /// First it must be on disk that the key has used up `count` requests in this window, and told by
    /// [`QuotaTable::saved`]. Then the question is asked again.
    Save(QuotaEntry),
}

/// How much of a quota counts as used up, as it is noted on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaEntry {
    /// The number of the window.
    pub window: u64,
    /// The key, or [`QuotaTable::SHARED`].
    pub key: u64,
    /// The requests.
    pub count: u32,
}

/// The counts of one window, by key, in memory.
///
/// What is on disk is never less than what was admitted: it is noted in steps, ahead. So after a crash a key has lost
/// what was noted and not used, a hundredth of its quota at most, and nobody has got anything back.
pub struct QuotaTable {
    quota: Quota,
    /// The most keys with a count of their own; the others share one.
    most: usize,
    keys: AtomicUsize,
    shards: Box<[Mutex<QuotaShard>]>,
}

#[derive(Default)]
struct QuotaShard {
    window: u64,
    counts: HashMap<u64, QuotaCount>,
}

#[derive(Clone, Copy, Default)]
struct QuotaCount {
    used: u32,
    saved: u32,
}

/// Locks of a table: enough that requests on some dozen threads hardly meet.
const SHARDS: usize = 64;
const UNPOISONED: &str = "nothing panics while it holds this lock";

impl QuotaTable {
    /// The key of all keys for which there is no room.
    pub const SHARED: u64 = 0;

    /// A table for so many keys.
    pub fn new(quota: Quota, keys: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { quota, most: keys, keys: AtomicUsize::new(0), shards }
    }

    /// Its quota.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Takes one request of `key` out of its quota, if one is left. `unix` is the time of the system's clock; if that
    /// clock was set back, the latest window that was seen goes on.
    pub fn take(&self, key: u64, unix: Duration) -> QuotaAnswer {
        let reset = self.quota.left(unix);
        let (key, mut shard) = self.entry(key, self.quota.window_at(unix));
        let window = shard.window;
        let count = shard.counts.get_mut(&key).expect("`entry` has made it");
        if count.used >= self.quota.most {
            return QuotaAnswer::UsedUp { reset };
        }
        if count.used >= count.saved {
            let count = count.used.saturating_add(self.quota.step()).min(self.quota.most);
            return QuotaAnswer::Save(QuotaEntry { window, key, count });
        }
        count.used += 1;
        QuotaAnswer::Admitted { remaining: self.quota.most - count.used, reset }
    }

    /// The entry is on disk.
    pub fn saved(&self, entry: QuotaEntry) {
        let (_, mut shard) = self.entry(entry.key, entry.window);
        if shard.window == entry.window
            && let Some(count) = shard.counts.get_mut(&entry.key)
        {
            count.saved = count.saved.max(entry.count);
        }
    }

    /// The entry was on disk when the host started: so much is used up.
    pub fn load(&self, entry: QuotaEntry) {
        self.saved(entry);
        let (key, mut shard) = self.entry(entry.key, entry.window);
        if shard.window == entry.window
            && let Some(count) = shard.counts.get_mut(&key)
        {
            count.used = count.used.max(entry.count);
        }
    }

    /// Gives one request back that was just admitted.
    pub fn give_back(&self, key: u64, unix: Duration) {
        let (key, mut shard) = self.entry(key, self.quota.window_at(unix));
        if let Some(count) = shard.counts.get_mut(&key) {
            count.used = count.used.saturating_sub(1);
        }
    }

    /// How many keys have a count in their latest window.
    pub fn in_use(&self) -> usize {
        self.keys.load(Relaxed)
    }

    /// The shard with the count of `key`, or with the shared one, and the key of that count. The first request in a new
    /// window forgets those of the old one.
    fn entry(&self, key: u64, window: u64) -> (u64, MutexGuard<'_, QuotaShard>) {
        let mut shard = self.shard(key, window);
        if !shard.counts.contains_key(&key) {
            if key != Self::SHARED && self.keys.load(Relaxed) >= self.most {
                drop(shard);
                return self.entry(Self::SHARED, window);
            }
            shard.counts.insert(key, QuotaCount::default());
            self.keys.fetch_add(1, Relaxed);
        }
        (key, shard)
    }

    fn shard(&self, key: u64, window: u64) -> MutexGuard<'_, QuotaShard> {
        let at = usize::try_from(key >> 58).expect("6 bits");
        let mut shard = self.shards[at].lock().expect(UNPOISONED);
        if shard.window < window {
            self.keys.fetch_sub(shard.counts.len(), Relaxed);
            *shard = QuotaShard { window, counts: HashMap::new() };
        }
        shard
    }
}
