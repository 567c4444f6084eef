//! Cursors of one word for an interface whose cursor cannot hold a key (`wasi:keyvalue`).

use super::transaction::Key;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};

/// The most cursors of one bucket that are remembered: at most 1 MiB of keys. The oldest is forgotten first.
const MOST: usize = 1024;

/// The bits of a cursor. A reader that keeps numbers as doubles keeps 53 bits exactly.
const MASK: u64 = (1 << 53) - 1;

/// The last keys of the pages that were listed, by their cursors.
///
/// A cursor is a hash of its key. So it stays the same over restarts, and a walk over all keys finds the key of a
/// cursor that is forgotten here, as long as the key itself is there. No cursor is 0.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    keys: HashMap<u64, Key>,
    /// The cursors in the order in which they were first given.
    order: VecDeque<u64>,
}

impl Cursors {
    /// The cursor for the page after `key`.
    pub(super) fn give(&mut self, key: &Key) -> u64 {
        // Two keys of one hash are not to be confused: the later one gets the next free number, and is found only as
        // long as it is remembered.
        let mut cursor = cursor_of(key);
        while cursor == 0 || self.keys.get(&cursor).is_some_and(|known| known != key) {
            cursor = (cursor + 1) & MASK;
        }
        if self.keys.insert(cursor, key.clone()).is_none() {
            self.order.push_back(cursor);
        }
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        cursor
    }

    /// The key of a cursor that was given; `None` if it is forgotten, or was never given.
    pub(super) fn key(&self, cursor: u64) -> Option<Key> {
        self.keys.get(&cursor).cloned()
    }
}

/// The cursor of a key, unless another key of the same hash has it.
pub(super) fn cursor_of(key: &[u8]) -> u64 {
    let hash: [u8; 32] = Sha256::digest(key).into();
    let (first, _) = hash.split_first_chunk().expect("a hash has 32 bytes");
    u64::from_be_bytes(*first) & MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_remembered_until_enough_others_were_given() {
        let mut cursors = Cursors::default();
        let key = |number: usize| format!("key/{number}").into_bytes();
        let given: Vec<u64> = (0..MOST).map(|number| cursors.give(&key(number))).collect();
        assert!(given.iter().enumerate().all(|(number, &cursor)| cursors.key(cursor) == Some(key(number))));
        assert_eq!(cursors.give(&key(7)), given[7], "the same key has the same cursor");
        assert_eq!(cursors.key(given[0]), Some(key(0)), "it was no new cursor");
        cursors.give(&key(MOST));
        assert_eq!((cursors.key(given[0]), cursors.key(given[1])), (None, Some(key(1))));
        assert_eq!(cursors.keys.len(), MOST);
    }

    #[test]
    fn two_keys_of_one_hash_have_two_cursors() {
        let mut cursors = Cursors::default();
        let cursor = cursor_of(b"a");
        cursors.keys.insert(cursor, b"another".to_vec());
        let given = cursors.give(&b"a".to_vec());
        assert_eq!((given, cursors.key(given)), ((cursor + 1) & MASK, Some(b"a".to_vec())));
    }
}
