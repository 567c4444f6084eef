//! The kept answers, within a bound of bytes.
//!
//! Which answers stay is decided as in S3-FIFO (Yang and others, "FIFO queues are all you need for cache eviction",
//! SOSP 2023): a new answer waits in a small queue, a tenth of the memory, and only one that is asked for again comes
//! into the main queue. So a scan of a million URIs moves out nothing that is in use. A look-up changes one counter and
//! no order, so look-ups do not exclude each other.

use super::cache_key::CacheKey;
use super::kept_answer::KeptAnswer;
use super::purge::Purge;
use super::selection::{KeyDigest, Selection};
use http::HeaderMap;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Instant;

/// The part of the memory that answers have which were asked for once: the tenth of the paper.
const SMALL_PART: usize = 10;
/// How often an answer counts as asked for: as often it passes the end of the main queue.
const MOST_USES: u8 = 3;
/// The most answers for one URI: clients choose what `Vary` names.
const MOST_VARIANTS: usize = 32;
/// How many invalidations are remembered for the fetches that have begun before them.
const REMEMBERED: usize = 1024;
/// What the mark costs that answers to a URI are not kept.
const PASS_WEIGHT: usize = 512;

/// The kept answers.
pub struct AnswerStore {
    slots: HashMap<CacheKey, Vec<StoreEntry>>,
    small: VecDeque<QueuePlace>,
    main: VecDeque<QueuePlace>,
    /// The hashes of answers that left the small queue unused, the oldest first: one that comes again is in use.
    ghosts: VecDeque<u64>,
    ghost_set: HashSet<u64>,
    most_bytes: usize,
    bytes: usize,
    small_bytes: usize,
    entries: usize,
    /// How many places in the queues have no entry any more.
    vacant: usize,
    next_id: u64,
    evicted: u64,
    /// Grows with each invalidation.
    epoch: u64,
    /// The latest invalidations: the epoch, and the hash of the key.
    invalidated: VecDeque<(u64, u64)>,
    /// The epoch up to which fetches count as invalidated whatever their key.
    all_before: u64,
}

struct StoreEntry {
    id: u64,
    digest: KeyDigest,
    content: EntryContent,
    weight: usize,
    uses: AtomicU8,
    is_small: bool,
}

enum EntryContent {
    Answer(Arc<KeptAnswer>),
    /// Answers to the URI are not kept, up to this moment: nobody need wait for them.
    Pass(Instant),
}

struct QueuePlace {
    key: CacheKey,
    id: u64,
}

/// What the store has for a request.
#[derive(Debug, Clone)]
pub enum StoreLookup {
    /// An answer that the request selects, fresh or stale.
    Found(Arc<KeptAnswer>),
    /// Answers for the URI, of which the request selects none. If it is the latest one's fields that tell them apart:
    /// what the request has in these.
    OtherVariants(Option<Selection>),
    /// The mark that answers to the URI are not kept.
    Pass,
    /// Nothing.
    Nothing,
}

/// How full the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreUse {
    /// Kept answers and marks.
    pub answers: usize,
    /// The bytes that they hold, about.
    pub bytes: usize,
    /// The bound of these bytes.
    pub most_bytes: usize,
    /// How many answers had to leave for others.
    pub evicted: u64,
}

impl AnswerStore {
    /// An empty store for so many bytes.
    pub fn new(most_bytes: usize) -> Self {
        Self {
            slots: HashMap::new(),
            small: VecDeque::new(),
            main: VecDeque::new(),
            ghosts: VecDeque::new(),
            ghost_set: HashSet::new(),
            most_bytes,
            bytes: 0,
            small_bytes: 0,
            entries: 0,
            vacant: 0,
            next_id: 0,
            evicted: 0,
            epoch: 0,
            invalidated: VecDeque::new(),
            all_before: 0,
        }
    }

    /// What there is for a GET of `key` with the headers `request`, whose route's key has `digest`.
    pub fn find(&self, key: &CacheKey, digest: KeyDigest, request: &HeaderMap, now: Instant) -> StoreLookup {
        let Some(slot) = self.slots.get(key) else { return StoreLookup::Nothing };
        let (mut variant, mut pass) = (None, false);
        // The latest first: of two that a request selects, that is the one to give (RFC 9111, section 4.1).
        for entry in slot.iter().rev() {
            match &entry.content {
                EntryContent::Pass(until) => pass |= entry.digest == digest && now < *until,
                EntryContent::Answer(kept) if entry.digest == digest && kept.selection.selects(request) => {
                    let uses = entry.uses.load(Relaxed);
                    if uses < MOST_USES {
                        // Two readers at once may count as one: it is a guess anyway.
                        entry.uses.store(uses + 1, Relaxed);
                    }
                    return StoreLookup::Found(Arc::clone(kept));
                }
                EntryContent::Answer(kept) => {
                    let own = (entry.digest == digest).then(|| kept.selection.of_other(request));
                    variant = Some(variant.flatten().or(own));
                }
            }
        }
        match (pass, variant) {
            (true, _) => StoreLookup::Pass,
            (false, Some(variant)) => StoreLookup::OtherVariants(variant),
            (false, None) => StoreLookup::Nothing,
        }
    }

    /// The moment from which a fetch counts that begins now: see [`AnswerStore::insert`].
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Keeps `kept`, in place of the answer that it replaces. False if it is not kept: it is too large, or its URI was
    /// invalidated after `begun`, when its request went to the service; the answer may be older than the change.
    pub fn insert(&mut self, key: &CacheKey, digest: KeyDigest, kept: Arc<KeptAnswer>, begun: u64) -> bool {
        let weight = kept.weight() + 2 * key.weight();
        if weight > self.most_bytes / SMALL_PART || self.is_invalidated(key, begun) {
            return false;
        }
        self.put(key, digest, EntryContent::Answer(kept), weight);
        true
    }

    /// Marks that answers to `key` are not kept, up to `until`.
    pub fn pass(&mut self, key: &CacheKey, digest: KeyDigest, until: Instant) {
        self.put(key, digest, EntryContent::Pass(until), PASS_WEIGHT + 2 * key.weight());
    }

    fn put(&mut self, key: &CacheKey, digest: KeyDigest, content: EntryContent, weight: usize) {
        let slot = self.slots.entry(key.clone()).or_default();
        let replaced = slot.iter().position(|entry| entry.digest == digest && content.replaces(&entry.content));
        if let Some(at) = replaced {
            // At the end, since it is the latest now; its place in the queue stays.
            let mut entry = slot.remove(at);
            self.bytes = self.bytes + weight - entry.weight;
            if entry.is_small {
                self.small_bytes = self.small_bytes + weight - entry.weight;
            }
            (entry.content, entry.weight) = (content, weight);
            slot.push(entry);
        } else {
            if slot.len() >= MOST_VARIANTS {
                let oldest = slot.remove(0);
                self.forget(&oldest);
            }
            let id = self.next_id;
            self.next_id += 1;
            let is_small = !self.ghost_set.contains(&self.hash(key, digest));
            let entry = StoreEntry { id, digest, content, weight, uses: AtomicU8::new(0), is_small };
            self.slots.entry(key.clone()).or_default().push(entry);
            (self.entries, self.bytes) = (self.entries + 1, self.bytes + weight);
            let place = QueuePlace { key: key.clone(), id };
            if is_small {
                self.small_bytes += weight;
                self.small.push_back(place);
            } else {
                self.main.push_back(place);
            }
        }
        while self.bytes > self.most_bytes {
            self.evict();
        }
        self.tidy();
    }

    /// Takes one step at the end of a queue: an answer leaves, or stays for another round since it was used.
    fn evict(&mut self) {
        let from_small = self.small_bytes > self.most_bytes / SMALL_PART || self.main.is_empty();
        let queue = if from_small { &mut self.small } else { &mut self.main };
        let Some(place) = queue.pop_front() else { return };
        let entry = self.slots.get_mut(&place.key).and_then(|slot| slot.iter_mut().find(|entry| entry.id == place.id));
        let Some(entry) = entry else {
            self.vacant = self.vacant.saturating_sub(1);
            return;
        };
        let uses = *entry.uses.get_mut();
        if uses > 0 {
            if from_small {
                (entry.is_small, *entry.uses.get_mut()) = (false, 0);
                self.small_bytes -= entry.weight;
            } else {
                *entry.uses.get_mut() = uses - 1;
            }
            self.main.push_back(place);
            return;
        }
        let digest = entry.digest;
        if from_small {
            let ghost = self.hash(&place.key, digest);
            if self.ghost_set.insert(ghost) {
                self.ghosts.push_back(ghost);
            }
            while self.ghosts.len() > self.entries.max(REMEMBERED) {
                if let Some(oldest) = self.ghosts.pop_front() {
                    self.ghost_set.remove(&oldest);
                }
            }
        }
        self.evicted += 1;
        self.remove(&place.key, |entry| entry.id == place.id);
        // Its place is gone already.
        self.vacant = self.vacant.saturating_sub(1);
    }

    /// Invalidates all answers for `key` (RFC 9111, section 4.4), and those that are being fetched.
    pub fn invalidate(&mut self, key: &CacheKey) -> usize {
        self.epoch += 1;
        let hash = self.slots.hasher().hash_one(key);
        self.invalidated.push_back((self.epoch, hash));
        if self.invalidated.len() > REMEMBERED
            && let Some((epoch, _)) = self.invalidated.pop_front()
        {
            self.all_before = self.all_before.max(epoch);
        }
        let removed = self.remove(key, |_| true);
        self.tidy();
        removed
    }

    /// Takes answers out, and those that are being fetched. Returns how many there were.
    pub fn purge(&mut self, purge: &Purge) -> usize {
        self.epoch += 1;
        self.all_before = self.epoch;
        let taken = |key: &CacheKey, entry: &StoreEntry| match &entry.content {
            EntryContent::Answer(kept) => purge.takes(key, kept),
            EntryContent::Pass(_) => *purge == Purge::All,
        };
        let keys: Vec<CacheKey> = self
            .slots
            .iter()
            .filter(|(key, slot)| slot.iter().any(|entry| taken(key, entry)))
            .map(|(key, _)| key.clone())
            .collect();
        let removed = keys.iter().map(|key| self.remove(key, |entry| taken(key, entry))).sum();
        self.tidy();
        removed
    }

    /// Takes this very answer out, if it is still there.
    pub fn drop_answer(&mut self, key: &CacheKey, kept: &Arc<KeptAnswer>) {
        let same = |entry: &StoreEntry| matches!(&entry.content, EntryContent::Answer(own) if Arc::ptr_eq(own, kept));
        self.remove(key, same);
        self.tidy();
    }

    /// How full it is.
    pub fn usage(&self) -> StoreUse {
        let Self { entries, bytes, most_bytes, evicted, .. } = *self;
        StoreUse { answers: entries, bytes, most_bytes, evicted }
    }

    /// The places in all queues.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.small.len() + self.main.len()
    }

    fn is_invalidated(&self, key: &CacheKey, begun: u64) -> bool {
        let hash = self.slots.hasher().hash_one(key);
        begun < self.all_before
            || self.invalidated.iter().rev().take_while(|(epoch, _)| *epoch > begun).any(|(_, own)| *own == hash)
    }

    fn hash(&self, key: &CacheKey, digest: KeyDigest) -> u64 {
        self.slots.hasher().hash_one((key, digest))
    }

    fn remove(&mut self, key: &CacheKey, mut which: impl FnMut(&StoreEntry) -> bool) -> usize {
        let Some(slot) = self.slots.get_mut(key) else { return 0 };
        let (gone, left): (Vec<_>, Vec<_>) = std::mem::take(slot).into_iter().partition(|entry| which(entry));
        if left.is_empty() {
            self.slots.remove(key);
        } else {
            *slot = left;
        }
        gone.iter().for_each(|entry| self.forget(entry));
        gone.len()
    }

    /// Counts an entry that has left its slot. Its place in the queue is passed over later.
    fn forget(&mut self, entry: &StoreEntry) {
        (self.entries, self.bytes) = (self.entries - 1, self.bytes - entry.weight);
        if entry.is_small {
            self.small_bytes -= entry.weight;
        }
        self.vacant += 1;
    }

    /// Clears the queues of places without an entry when they are more than those with one: without this, a URI that
    /// is kept and invalidated in turn would make the queues grow for ever.
    fn tidy(&mut self) {
        if self.vacant <= self.entries + REMEMBERED {
            return;
        }
        let Self { slots, small, main, .. } = self;
        let has = |place: &QueuePlace| slots.get(&place.key).is_some_and(|slot| slot.iter().any(|e| e.id == place.id));
        small.retain(has);
        main.retain(has);
        self.vacant = 0;
    }
}

impl EntryContent {
    /// Whether it takes the place of `other`, for the same URI and key.
    fn replaces(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Answer(new), Self::Answer(old)) => new.selection == old.selection,
            (_, Self::Pass(_)) => true,
            (Self::Pass(_), Self::Answer(_)) => false,
        }
    }
}
