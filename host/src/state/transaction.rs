//! Transactions: what is read, what is committed, and the bounds of both.

use super::error::StateError;
use crate::base::ServiceName;

/// A key: 1 to [`limit::KEY`] bytes, in byte order.
pub type Key = Vec<u8>;

/// The bounds of every read and every transaction, the same for every backend.
pub mod limit {
    /// The longest key, in bytes.
    pub const KEY: usize = 1024;
    /// The longest value, in bytes.
    pub const VALUE: usize = 1 << 20;
    /// The most checks and the most writes of a transaction, and the most keys of a read.
    pub const KEYS: usize = 1000;
    /// The most bytes of all keys and values of a transaction, and of all values of one read.
    pub const BYTES: usize = 4 << 20;
    /// The most entries of a page.
    pub const PAGE: usize = 1000;
    /// A page of entries ends before it exceeds this many bytes, unless its first entry alone exceeds them.
    pub const PAGE_BYTES: usize = 1 << 20;
    /// A page of keys ends before keys and values exceed this many bytes: the values are not returned, but they are
    /// read from disk.
    pub const WALK_BYTES: usize = 16 << 20;
}

/// A value, and the version of the commit that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The bytes, at most [`limit::VALUE`].
    pub value: Vec<u8>,
    /// The version of the commit that wrote the value; never 0, which means absent in [`Transaction::checks`].
    pub version: u64,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// Its value.
    pub value: Versioned,
}

/// One page of a listing, in the order of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries or keys of this page.
    pub items: Vec<T>,
    /// The cursor for the next page: pass it as `after`. `None` when nothing follows.
    pub next: Option<Key>,
}

/// What a transaction does to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets the value.
    Put(Vec<u8>),
    /// Removes the key, if it is there.
    Delete,
    /// Adds to a counter that is kept as decimal text. An absent key counts as 0.
    ///
    /// The writer does the addition, so many callers may count at once without a conflict and share a sync. With a
    /// read and a check instead, one of them would succeed for each sync.
    Add(u64),
    /// Puts the value at the next key of a sequence, and answers with its number. The change's own key is the
    /// sequence's counter, which begins at 1; [`sequence_key`] makes the key of a number.
    ///
    /// The writer gives the numbers, so that many callers may append at once: the order of the numbers is the order of
    /// the commits, no number is given twice, and whoever reads a number finds all smaller ones.
    Append(Vec<u8>),
}

/// The key of the entry `number` of the sequence whose counter is `counter`. The entries are neighbours, in the order
/// of their numbers, under the prefix [`sequence_prefix`].
pub fn sequence_key(counter: &[u8], number: u64) -> Key {
    [counter, b"/", &number.to_be_bytes()].concat()
}

/// What the keys of a sequence's entries begin with, and its counter does not.
pub fn sequence_prefix(counter: &[u8]) -> Key {
    [counter, b"/"].concat()
}

/// What a transaction does beside, in a bucket of the host's own: in the same commit, whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// The bucket, of [`ServiceName::of_host_part`].
    pub bucket: ServiceName,
    /// As [`Transaction::checks`]. If one fails, that is a [`StateError::ConflictBeside`].
    pub checks: Vec<(Key, u64)>,
    /// As [`Transaction::writes`].
    pub writes: Vec<(Key, Change)>,
}

/// Changes that apply together, if no key that they depend on has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// The version that each key must have. 0 means that the key must be absent.
    pub checks: Vec<(Key, u64)>,
    /// The changes, applied in this order. A later change of the same key builds on the earlier one.
    pub writes: Vec<(Key, Change)>,
    /// What the host adds: events, and notes about their delivery. No guest can name another bucket.
    pub beside: Vec<Beside>,
}

/// The answer to a commit that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The version that every written key has now. For a transaction without writes: the version of the latest commit.
    pub version: u64,
    /// The new value of each [`Change::Add`] and the number of each [`Change::Append`], in the order of the writes;
    /// those of the buckets beside come last.
    pub sums: Vec<u64>,
}

impl Transaction {
    /// The size in bytes of all keys and values.
    pub fn size(&self) -> usize {
        let checks: usize = self.all_checks().map(|(key, _)| key.len()).sum();
        let writes: usize = self.all_writes().map(|(key, change)| key.len() + change.size()).sum();
        checks + writes
    }

    /// The bytes of keys and values of its writes, without those of the host beside. Of a sum the key alone.
    pub fn written(&self) -> usize {
        self.writes.iter().map(|(key, change)| key.len() + change.size()).sum()
    }

    /// Whether it would change nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.beside.iter().all(|beside| beside.writes.is_empty())
    }

    fn all_checks(&self) -> impl Iterator<Item = &(Key, u64)> {
        self.checks.iter().chain(self.beside.iter().flat_map(|beside| &beside.checks))
    }

    fn all_writes(&self) -> impl Iterator<Item = &(Key, Change)> {
        self.writes.iter().chain(self.beside.iter().flat_map(|beside| &beside.writes))
    }

    /// Refuses a transaction that is out of bounds.
    pub(super) fn check_limits(&self) -> Result<(), StateError> {
        let too_large = |what, limit, unit| Err(StateError::TooLarge { what, limit, unit });
        if self.all_checks().count() > limit::KEYS {
            return too_large("the checks of a transaction", limit::KEYS, "keys");
        }
        if self.all_writes().count() > limit::KEYS {
            return too_large("the writes of a transaction", limit::KEYS, "keys");
        }
        for key in self.all_checks().map(|(key, _)| key).chain(self.all_writes().map(|(key, _)| key)) {
            check_key(key)?;
        }
        if self.all_writes().any(|(_, change)| change.size() > limit::VALUE) {
            return too_large("a value", limit::VALUE, "bytes");
        }
        if self.size() > limit::BYTES {
            return too_large("a transaction", limit::BYTES, "bytes");
        }
        Ok(())
    }
}

impl Change {
    fn size(&self) -> usize {
        match self {
            Self::Put(value) | Self::Append(value) => value.len(),
            Self::Delete | Self::Add(_) => 0,
        }
    }
}

/// Refuses a key that is empty or too long.
pub(super) fn check_key(key: &[u8]) -> Result<(), StateError> {
    match key.len() {
        0 => Err(StateError::EmptyKey),
        1..=limit::KEY => Ok(()),
        _ => Err(StateError::TooLarge { what: "a key", limit: limit::KEY, unit: "bytes" }),
    }
}
