//! The kept answers, within a bound of bytes in memory, and another one for content that is elsewhere. Which of them
//! leave is said by an [`EvictionQueue`] for each.

use super::cache_key::CacheKey;
use super::eviction_queue::{EvictionQueue, QueuePlace};
use super::kept_answer::KeptAnswer;
use super::purge::Purge;
use super::selection::{KeyDigest, Selection};
use http::HeaderMap;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Instant;

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
    /// The answers whose content is in memory, by their bytes there.
    memory: EvictionQueue,
    /// The others, by the bytes of their content.
    stored: EvictionQueue,
    /// What the others take of the memory all the same: their headers.
    heads: usize,
    /// The hashes of answers that left the small queue unused, the oldest first: one that comes again is in use.
    ghosts: VecDeque<u64>,
    ghost_set: HashSet<u64>,
    entries: usize,
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
    /// The bytes in memory.
    weight: usize,
    /// The bytes of content that is elsewhere; `None`: it is in memory.
    occupied: Option<usize>,
    uses: AtomicU8,
    is_small: bool,
}

enum EntryContent {
    Answer(Arc<KeptAnswer>),
    /// Answers to the URI are not kept, up to this moment: nobody need wait for them.
    Pass(Instant),
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
    /// How many of the answers have their content elsewhere.
    pub stored: usize,
    /// The bytes of this content.
    pub stored_bytes: usize,
    /// How many answers had to leave for others.
    pub evicted: u64,
}

impl AnswerStore {
    /// An empty store for so many bytes in memory, and so many elsewhere.
    pub fn new(most_bytes: usize, most_stored: usize) -> Self {
        Self {
            slots: HashMap::new(),
            memory: EvictionQueue::new(most_bytes),
            stored: EvictionQueue::new(most_stored),
            heads: 0,
            ghosts: VecDeque::new(),
            ghost_set: HashSet::new(),
            entries: 0,
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
        let (weight, occupied) = (kept.weight() + 2 * key.weight(), kept.content.occupied());
        // By its length, which its bound was compared with before it was written: in whole blocks it may have more.
        let is_long = occupied.is_some() && self.stored.is_too_much(kept.content.len());
        let too_much = self.memory.is_too_much(weight) || is_long;
        if too_much || !self.is_current(key, begun) {
            return false;
        }
        self.put(key, digest, EntryContent::Answer(kept), (weight, occupied));
        true
    }

    /// Marks that answers to `key` are not kept, up to `until`.
    pub fn pass(&mut self, key: &CacheKey, digest: KeyDigest, until: Instant) {
        self.put(key, digest, EntryContent::Pass(until), (PASS_WEIGHT + 2 * key.weight(), None));
    }

    /// Takes answers out whose content is elsewhere, until that has at most so many bytes. False if it cannot.
    pub fn shrink_stored(&mut self, most: usize) -> bool {
        while self.stored.bytes > most && self.evict(true) {}
        self.tidy();
        self.stored.bytes <= most
    }

    fn put(
        &mut self,
        key: &CacheKey,
        digest: KeyDigest,
        content: EntryContent,
        (weight, occupied): (usize, Option<usize>),
    ) {
        let slot = self.slots.entry(key.clone()).or_default();
        let replaced = slot.iter().position(|entry| entry.digest == digest && content.replaces(&entry.content));
        // At the end, since it is the latest now; its place in the queue stays, if it is one of the same queue.
        let before = replaced.map(|at| slot.remove(at));
        match before {
            Some(mut entry) if entry.occupied.is_some() == occupied.is_some() => {
                let (old, is_small) = (entry.bytes(), entry.is_small);
                self.heads = self.heads + occupied.map_or(0, |_| weight) - entry.head();
                (entry.content, entry.weight, entry.occupied) = (content, weight, occupied);
                let new = entry.bytes();
                slot.push(entry);
                self.queue(occupied.is_some()).reweigh(old, new, is_small);
            }
            before => {
                let oldest = (slot.len() >= MOST_VARIANTS).then(|| slot.remove(0));
                before.iter().chain(&oldest).for_each(|entry| self.forget(entry));
                let id = self.next_id;
                self.next_id += 1;
                let is_small = !self.ghost_set.contains(&self.hash(key, digest));
                let entry = StoreEntry { id, digest, content, weight, occupied, uses: AtomicU8::new(0), is_small };
                (self.entries, self.heads) = (self.entries + 1, self.heads + entry.head());
                let bytes = entry.bytes();
                self.slots.entry(key.clone()).or_default().push(entry);
                self.queue(occupied.is_some()).push(QueuePlace { key: key.clone(), id }, bytes, is_small);
            }
        }
        // The headers of large answers may have half of the memory.
        while self.stored.bytes > self.stored.most_bytes || self.heads > self.memory.most_bytes / 2 {
            self.evict(true);
        }
        while self.memory.bytes + self.heads > self.memory.most_bytes {
            self.evict(false);
        }
        self.tidy();
    }

    fn queue(&mut self, stored: bool) -> &mut EvictionQueue {
        if stored { &mut self.stored } else { &mut self.memory }
    }

    /// Takes one step at the end of a queue: an answer leaves, or stays for another round since it was used. False: the
    /// queue is empty.
    fn evict(&mut self, stored: bool) -> bool {
        let Some((place, from_small)) = self.queue(stored).next() else { return false };
        let entry = self.slots.get_mut(&place.key).and_then(|slot| slot.iter_mut().find(|entry| entry.id == place.id));
        let Some(entry) = entry else {
            self.queue(stored).passed_over();
            return true;
        };
        let uses = *entry.uses.get_mut();
        if uses > 0 {
            if from_small {
                (entry.is_small, *entry.uses.get_mut()) = (false, 0);
            } else {
                *entry.uses.get_mut() = uses - 1;
            }
            let bytes = entry.bytes();
            self.queue(stored).stay(place, bytes, from_small);
            return true;
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
        self.queue(stored).passed_over();
        true
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
        StoreUse {
            answers: self.entries,
            bytes: self.memory.bytes + self.heads,
            most_bytes: self.memory.most_bytes,
            stored: self.stored.entries,
            stored_bytes: self.stored.bytes,
            evicted: self.evicted,
        }
    }

    /// Whether an answer to a request that went to the service at `begun` may be given to one of now: there was no
    /// invalidation of its URI in between.
    pub fn is_current(&self, key: &CacheKey, begun: u64) -> bool {
        let hash = self.slots.hasher().hash_one(key);
        begun >= self.all_before
            && !self.invalidated.iter().rev().take_while(|(epoch, _)| *epoch > begun).any(|(_, own)| *own == hash)
    }

    /// The places in all queues.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.memory.places() + self.stored.places()
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
        (self.entries, self.heads) = (self.entries - 1, self.heads - entry.head());
        self.queue(entry.occupied.is_some()).forget(entry.bytes(), entry.is_small);
    }

    fn tidy(&mut self) {
        let Self { slots, memory, stored, .. } = self;
        let has = |place: &QueuePlace| slots.get(&place.key).is_some_and(|slot| slot.iter().any(|e| e.id == place.id));
        memory.tidy(REMEMBERED, has);
        stored.tidy(REMEMBERED, has);
    }
}

impl StoreEntry {
    /// The bytes by which its queue counts it.
    fn bytes(&self) -> usize {
        self.occupied.unwrap_or(self.weight)
    }

    /// The bytes in memory of an answer whose content is elsewhere.
    fn head(&self) -> usize {
        self.occupied.map_or(0, |_| self.weight)
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
