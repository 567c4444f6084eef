//! The ranges of keys that a database server is asked for.

use crate::state::transaction::{Key, limit};

/// Longer than any key, and after all of them.
const LAST: [u8; 2 * limit::KEY] = [0xFF; 2 * limit::KEY];

/// The first key of a listing, and the key before which it ends.
pub(in crate::state) fn key_range(prefix: &[u8], after: Option<&[u8]>) -> (Key, Key) {
    let from = match after {
        // The next key in the order of bytes.
        Some(after) if after >= prefix => [after, &[0]].concat(),
        _ => prefix.to_vec(),
    };
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return (from, end);
        }
    }
    (from, LAST.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_exactly_the_keys_of_its_prefix_that_come_after() {
        let all: Vec<Key> = [&b"a"[..], b"a\0", b"a\xFF", b"a\xFF\xFF", b"b", b"\xFF", b"\xFF\xFF", b"\xFF\xFF\x01"]
            .map(Key::from)
            .to_vec();
        for prefix in [&b""[..], b"a", b"a\xFF", b"\xFF", b"\xFF\xFF", b"c"] {
            for after in [None, Some(&b"a"[..]), Some(b"a\xFF"), Some(b"\xFF"), Some(b"z")] {
                let (from, end) = key_range(prefix, after);
                let found: Vec<_> = all.iter().filter(|key| **key >= from && **key < end).collect();
                let wanted = |key: &&Key| key.starts_with(prefix) && after.is_none_or(|after| key.as_slice() > after);
                assert_eq!(found, all.iter().filter(wanted).collect::<Vec<_>>(), "{prefix:?} {after:?}");
            }
        }
    }
}
