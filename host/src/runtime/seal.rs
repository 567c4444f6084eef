//! What vouches for an entry of the cache: a small file beside the code.
//!
//! The code's own file says nothing of what became of it on the disk: a bit that flipped in it would be run. And to learn whether a
//! component links, and how many slots it takes, its code would have to be loaded, at each start and for services that nobody calls. The
//! seal holds both: a sum of the code, and what the host found out when it had the code in its hands.

use crate::base::Digest;
use sha2::{Digest as _, Sha256};
use std::fmt::Write;

/// The first word of a seal; another format gets another number.
const FORMAT: &str = "atoll-seal-1";

/// The seal of one component's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ArtifactStamp {
    /// Bytes of the code's file.
    pub(super) length: u64,
    /// SHA-256 of the code's file, in hex digits.
    pub(super) sum: String,
    /// The host that found that all imports of the component link: another one may offer others.
    pub(super) host: u64,
    /// Slots of the pool that one instance takes.
    pub(super) slots: u32,
}

impl ArtifactStamp {
    /// The seal as it stands in its file: a line, whose last word is a sum of the others and of the component that they are about.
    pub(super) fn text(&self, component: Digest) -> String {
        let Self { length, sum, host, slots } = self;
        let line = format!("{FORMAT} {length} {sum} {host:016x} {slots}");
        format!("{line} {}\n", sum_of(component, &line))
    }

    /// Reads what [`ArtifactStamp::text`] has written for `component`; `None` for anything else.
    pub(super) fn parse(text: &str, component: Digest) -> Option<Self> {
        let (line, check) = text.strip_suffix('\n')?.rsplit_once(' ')?;
        if check != sum_of(component, line) {
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

/// 64 bits are enough against chance; against an attacker nothing here helps but the folder's permissions.
fn sum_of(component: Digest, line: &str) -> String {
    let sum = Sha256::new().chain_update(component.0).chain_update(line).finalize();
    hex(&sum[..8])
}

/// `bytes` in hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal() -> ArtifactStamp {
        ArtifactStamp { length: 1 << 33, sum: "ab".repeat(32), host: 7, slots: 2 }
    }

    #[test]
    fn a_seal_comes_back_as_it_was() {
        let text = seal().text(Digest([1; 32]));
        assert_eq!(ArtifactStamp::parse(&text, Digest([1; 32])), Some(seal()));
    }

    #[test]
    fn a_seal_that_was_touched_or_is_another_components_is_none() {
        let text = seal().text(Digest([1; 32]));
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
