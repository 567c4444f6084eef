//! Ranges of a kept answer (RFC 9110, section 14).

use super::condition::range_holds;
use http::header::RANGE;
use http::{HeaderMap, StatusCode};

/// Bytes of some content, from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub first: usize,
    /// The last byte: at least `first`, and within the content.
    pub last: usize,
}

/// What a request for a range gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeChoice {
    /// All of the content.
    Whole,
    /// A part of it, with 206.
    Part(ByteRange),
    /// 416: no byte of the content is in the range.
    Unsatisfiable,
}

impl RangeChoice {
    /// What a GET with the headers `request` gets of an answer with this status, these headers, and `length` bytes of
    /// content. Several ranges, another unit than bytes, and what cannot be read are ignored, as a server may (section
    /// 14.2).
    pub fn of(request: &HeaderMap, status: StatusCode, answer: &HeaderMap, length: usize) -> Self {
        let mut lines = request.get_all(RANGE).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return Self::Whole };
        if status != StatusCode::OK || !range_holds(request, answer) {
            return Self::Whole;
        }
        Self::parse(line.as_bytes(), length).unwrap_or(Self::Whole)
    }

    /// Reads `bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-COUNT`; `None` for anything else.
    pub fn parse(value: &[u8], length: usize) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let (unit, range) = text.split_once('=')?;
        let range = range.trim_matches([' ', '\t']);
        let (first, last) = range.split_once('-').filter(|_| unit.eq_ignore_ascii_case("bytes"))?;
        let part = |first, last| if first < length && first <= last { Some(ByteRange { first, last }) } else { None };
        let found = match (number(first), number(last)) {
            (Some(first), None) if last.is_empty() => part(first, length.wrapping_sub(1)),
            (Some(first), Some(last)) if first <= last => part(first, last.min(length.wrapping_sub(1))),
            (None, Some(count)) if first.is_empty() => {
                let most = count.min(length);
                if most == 0 { None } else { part(length - most, length - 1) }
            }
            _ => return None,
        };
        Some(found.map_or(Self::Unsatisfiable, Self::Part))
    }
}

/// Whether a request with these headers asks for a part of the content. One from the first byte to the last, as players
/// of films ask at first, is all of it, which can be kept.
pub fn asks_for_part(request: &HeaderMap) -> bool {
    let mut lines = request.get_all(RANGE).iter().map(|line| line.as_bytes());
    match (lines.next(), lines.next()) {
        (None, _) => false,
        (Some(line), None) => !line.trim_ascii().eq_ignore_ascii_case(b"bytes=0-"),
        (Some(_), Some(_)) => true,
    }
}

/// Digits as a number. One beyond a word is beyond all content.
fn number(text: &str) -> Option<usize> {
    let legal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    legal.then(|| text.parse().unwrap_or(usize::MAX))
}
