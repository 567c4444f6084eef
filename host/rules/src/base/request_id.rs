//! The id of one request at the gateway.

use http::{HeaderName, HeaderValue};
use std::fmt;

/// The id of one request at the gateway, also in the header `x-request-id`: 1 to 64 visible ASCII characters.
///
/// It is stored as a header value, because each request puts it into three heads: the clones share one allocation.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The header that carries the id of a request, in requests and in answers.
    pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
    /// The longest id that is accepted from outside, in bytes.
    pub const MAX: usize = 64;

    /// Accepts an id from outside: `None` unless it is 1 to 64 characters of `A-Z a-z 0-9 - _ . :`, since ids go into
    /// logs and headers.
    pub fn accept(text: &str) -> Option<Self> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
        let valid = (1..=Self::MAX).contains(&text.len()) && text.bytes().all(legal);
        valid.then(|| Self(HeaderValue::from_str(text).expect("visible ASCII")))
    }

    /// A new id from 128 random bits.
    pub fn from_random(bits: u128) -> Self {
        let mut text = [0; 32];
        for (at, byte) in text.iter_mut().enumerate() {
            *byte = b"0123456789abcdef"[(bits >> (124 - 4 * at)) as usize & 15];
        }
        Self(HeaderValue::from_bytes(&text).expect("digits are visible ASCII"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("an id is visible ASCII")
    }

    /// The id as the value of a header.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_from_outside_is_bounded_and_clean() {
        assert!(RequestId::accept("abc-DEF_1.2:3").is_some());
        assert!(RequestId::accept(&"x".repeat(64)).is_some());
        for bad in ["", "a b", "a\nb", "é", &"x".repeat(65)] {
            assert!(RequestId::accept(bad).is_none(), "{bad:?}");
        }
        assert!(RequestId::accept(RequestId::from_random(7).as_str()).is_some());
    }

    #[test]
    fn a_new_request_id_is_its_bits_in_hexadecimal() {
        for bits in [0, 1, 0x0123_4567_89ab_cdef_0011_2233_4455_6677, u128::MAX] {
            assert_eq!(RequestId::from_random(bits).as_str(), format!("{bits:032x}"));
        }
    }
}
