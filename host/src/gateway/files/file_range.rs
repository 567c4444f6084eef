//! The part of a file that a request asks for: `Range` (RFC 9110, section 14).

use std::ops::Range;

/// What a request wants of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileRange {
    /// All of it: there is no `Range`, or one that is passed over.
    Whole,
    /// These bytes; at least one.
    Part(Range<u64>),
    /// Bytes that it does not have.
    Unsatisfiable,
}

impl FileRange {
    /// What the value of `Range` asks for, of a file with `length` bytes. A unit that is not `bytes`, a value that is
    /// broken, and several ranges are passed over, which a server may do (section 14.2): several ranges of one file are
    /// how clients make much work from a short request.
    pub(super) fn parse(value: &[u8], length: u64) -> Self {
        let Some(range) = std::str::from_utf8(value).ok().and_then(specified) else { return Self::Whole };
        let part = match range {
            (Some(first), last) => first..last.map_or(length, |last| last.saturating_add(1).min(length)),
            (None, suffix) => length.saturating_sub(suffix.unwrap_or(0))..length,
        };
        if part.is_empty() { Self::Unsatisfiable } else { Self::Part(part) }
    }
}

/// The two numbers of a single range: `bytes=0-99`, `bytes=100-`, or `bytes=-100` for the last ones.
fn specified(value: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, ranges) = value.split_once('=')?;
    let (first, last) = ranges.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let range = (number(first)?, number(last)?);
    match range {
        (None, None) => None,
        (Some(first), Some(last)) if first > last => None,
        range => Some(range),
    }
}

/// A number of digits alone; a number that is too large for a file is the largest one.
fn number(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::FileRange::{self, Part, Unsatisfiable, Whole};
    use proptest::prelude::*;

    #[test]
    fn a_range_is_read_as_the_rfc_says() {
        for (value, expected) in [
            ("bytes=0-9", Part(0..10)),
            ("BYTES=0-0", Part(0..1)),
            ("bytes = 5-", Part(5..100)),
            ("bytes=90-200", Part(90..100)),
            ("bytes=99-99", Part(99..100)),
            ("bytes=-1", Part(99..100)),
            ("bytes=-1000", Part(0..100)),
            ("bytes=0-99999999999999999999999", Part(0..100)),
            ("bytes=100-", Unsatisfiable),
            ("bytes=100-200", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=99999999999999999999999-", Unsatisfiable),
            ("bytes=9-0", Whole),
            ("bytes=-", Whole),
            ("bytes=", Whole),
            ("bytes", Whole),
            ("", Whole),
            ("items=0-9", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=0x1-2", Whole),
            ("bytes=1-2-3", Whole),
            ("bytes=0-1,5-6", Whole),
        ] {
            assert_eq!(FileRange::parse(value.as_bytes(), 100), expected, "{value}");
        }
        assert_eq!(FileRange::parse(b"bytes=0-", 0), Unsatisfiable, "an empty file has no byte");
    }

    proptest! {
        #[test]
        fn a_part_is_within_the_file(value in r"bytes=[0-9]{0,20}-[0-9]{0,20}", length in 0_u64..200) {
            if let Part(part) = FileRange::parse(value.as_bytes(), length) {
                prop_assert!(part.start < part.end && part.end <= length);
            }
        }
    }
}
