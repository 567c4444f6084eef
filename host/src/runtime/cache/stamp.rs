//! The stamp of a cache entry: a small file beside the code that vouches for it.
//!
//! The file of the code does not show whether the disk damaged it: a flipped bit would be run. And to learn whether a
//! component links, and how many slots it takes, the host would have to load its code, at each start and also for
//! services that nobody calls. The stamp holds both: a checksum of the code, and what the host learned when it last
//! loaded the code.

use crate::base::{Digest, hex};
use sha2::{Digest as _, Sha256};

/// The first word of a stamp's file. Another format gets another number.
const FORMAT: &str = "atoll-seal-1";

/// What is known of one component's code on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArtifactStamp {
    /// Bytes of the code's file.
    pub(super) length: u64,
    /// SHA-256 of the code's file, in hex digits.
    pub(super) sum: String,
    /// The host that found that all imports of the component link. Another host may offer other imports. 0: no host has
    /// checked.
    pub(super) host: u64,
    /// Slots of the pool that one instance takes.
    pub(crate) slots: u32,
}

impl ArtifactStamp {
    /// The text of the stamp's file: one line. Its last word is a checksum of the other words and of the digest of
    /// `component`.
    pub(super) fn text(&self, component: Digest) -> String {
        let Self { length, sum, host, slots } = self;
        let line = format!("{FORMAT} {length} {sum} {host:016x} {slots}");
        format!("{line} {}\n", checksum(component, &line))
    }

    /// Reads the text that [`ArtifactStamp::text`] wrote for `component`; `None` for any other text.
    pub(super) fn parse(text: &str, component: Digest) -> Option<Self> {
        let (line, check) = text.strip_suffix('\n')?.rsplit_once(' ')?;
        if check != checksum(component, line) {
            return None;
        }
        let mut words = line.split(' ');
        if words.next()? != FORMAT {
            return None;
        }
        Some(Self {
            length: words.next()?.parse().ok()?,
            sum: words.next()?.to_owned(),
            host: u64::from_str_radix(words.next()?, 16).ok()?,
            slots: words.next()?.parse().ok()?,
        })
    }
}

/// 64 bits are enough against accidents. Against an attacker only the folder's permissions help.
fn checksum(component: Digest, line: &str) -> String {
    let sum = Sha256::new().chain_update(component.0).chain_update(line).finalize();
    hex(&sum[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> ArtifactStamp {
        ArtifactStamp { length: 1 << 33, sum: "ab".repeat(32), host: 7, slots: 2 }
    }

    #[test]
    fn a_stamp_is_read_back_as_it_was_written() {
        let text = stamp().text(Digest([1; 32]));
        assert_eq!(ArtifactStamp::parse(&text, Digest([1; 32])), Some(stamp()));
    }

    #[test]
    fn a_damaged_stamp_or_one_of_another_component_is_refused() {
        let text = stamp().text(Digest([1; 32]));
        assert_eq!(ArtifactStamp::parse(&text, Digest([2; 32])), None);
        for at in 0..text.len() {
            for bit in 0..7 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let damaged = String::from_utf8(bytes).expect("seven bits are ASCII");
                assert_eq!(ArtifactStamp::parse(&damaged, Digest([1; 32])), None, "bit {bit} of byte {at}");
            }
            assert_eq!(ArtifactStamp::parse(&text[..at], Digest([1; 32])), None, "{at} bytes");
        }
    }
}
