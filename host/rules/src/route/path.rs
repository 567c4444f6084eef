//! The path of a request, which is checked before anything is decided by it.
//!
//! The gateway and the service both read the path. If they read it differently, a request reaches a part of the service
//! that its route does not cover: `/public/..%2fadmin` is one segment below `/public` for one reader, and `/admin` for
//! the other. So:
//! - a path that services and proxies are known to normalise differently is refused: dot segments in every spelling
//!   (`..`, `%2e.`, `..;x`), encoded slashes, backslashes, NUL, broken percent escapes;
//! - segments are compared percent-decoded: `/%61dmin` matches the rule for `/admin`, because the service will read it
//!   so;
//! - the path and the values of parameters go to the service as the client spelt them;
//! - empty segments stay: `//admin` has an empty first segment, and only a rule for `/` matches it.

use std::borrow::Cow;
use std::str::Split;

/// A path without query that is safe to decide by. It keeps the spelling of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path<'a>(&'a str);

/// Why a path is refused: a request's path with 400, a rule's path when the rule is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// It does not begin with a slash, as in `OPTIONS *`.
    #[error("a path starts with `/`")]
    Relative,
    /// A space, a control character, a backslash, or the start of a query or a fragment.
    #[error("{0:?} must be percent-encoded in a path")]
    Character(char),
    /// A `%` without two hexadecimal digits.
    #[error("a `%` must be followed by two hexadecimal digits; the sign itself is written `%25`")]
    Escape,
    /// `.` or `..`, plain or encoded, with or without `;parameters`.
    #[error("`.` and `..` are not resolved: write the resolved path")]
    DotSegment,
    /// `%2F`, `%5C` or `%00`.
    #[error("an encoded slash, backslash or NUL is not allowed in a path")]
    EncodedSeparator,
}

impl<'a> Path<'a> {
    /// Checks a path as it stands in the request line, without its query.
    ///
    /// # Errors
    /// [`BadPath`]; a request with such a path is answered with 400.
    pub fn parse(path: &'a str) -> Result<Self, BadPath> {
        let segments = path.strip_prefix('/').ok_or(BadPath::Relative)?;
        let illegal = |c: char| c.is_ascii_control() || matches!(c, ' ' | '\\' | '?' | '#');
        if let Some(character) = path.chars().find(|&c| illegal(c)) {
            return Err(BadPath::Character(character));
        }
        segments.split('/').try_for_each(check_segment)?;
        Ok(Self(path))
    }

    /// The path as the request spells it.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// The segments as the request spells them. `/` has one, which is empty; `/a/` has two.
    pub fn segments(self) -> Split<'a, char> {
        self.0[1..].split('/')
    }
}

fn check_segment(segment: &str) -> Result<(), BadPath> {
    let bytes = segment.as_bytes();
    let escapes = bytes.iter().enumerate().filter(|&(_, &byte)| byte == b'%');
    for (at, _) in escapes {
        escaped(&bytes[at..]).ok_or(BadPath::Escape)?;
    }
    let decoded = decode(segment);
    if decoded.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0)) {
        return Err(BadPath::EncodedSeparator);
    }
    // Servlet containers cut a segment at `;` before they resolve dots, so `..;x` is `..` for them.
    let name = decoded.split(|&byte| byte == b';').next().unwrap_or_default();
    if matches!(name, b"." | b"..") { Err(BadPath::DotSegment) } else { Ok(()) }
}

/// The percent-decoded bytes of a segment: the form in which segments are compared. A `%` that begins no escape stays.
pub fn decode(segment: &str) -> Cow<'_, [u8]> {
    let mut rest = segment.as_bytes();
    if !rest.contains(&b'%') {
        return Cow::Borrowed(rest);
    }
    let mut decoded = Vec::with_capacity(rest.len());
    while let [first, ..] = rest {
        let (byte, length) = escaped(rest).map_or((*first, 1), |byte| (byte, 3));
        decoded.push(byte);
        rest = &rest[length..];
    }
    Cow::Owned(decoded)
}

/// The byte that an escape at the start of `bytes` stands for; `None` if there is no escape.
fn escaped(bytes: &[u8]) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    match bytes {
        [b'%', high, low, ..] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_that_can_be_read_in_two_ways_is_refused() {
        let cases = [
            ("", BadPath::Relative),
            ("*", BadPath::Relative),
            ("api", BadPath::Relative),
            ("/a b", BadPath::Character(' ')),
            ("/a\\b", BadPath::Character('\\')),
            ("/a\0", BadPath::Character('\0')),
            ("/a?b", BadPath::Character('?')),
            ("/a#b", BadPath::Character('#')),
            ("/%", BadPath::Escape),
            ("/%2", BadPath::Escape),
            ("/%2/0", BadPath::Escape),
            ("/%zz", BadPath::Escape),
            ("/%+2", BadPath::Escape),
            ("/.", BadPath::DotSegment),
            ("/a/../b", BadPath::DotSegment),
            ("/a/./b", BadPath::DotSegment),
            ("/a/%2e%2E/b", BadPath::DotSegment),
            ("/a/.%2e", BadPath::DotSegment),
            ("/a/..;x=1/b", BadPath::DotSegment),
            ("/a/%2e%2e%3bx/b", BadPath::DotSegment),
            ("/a%2Fb", BadPath::EncodedSeparator),
            ("/a/..%2fb", BadPath::EncodedSeparator),
            ("/a%5cb", BadPath::EncodedSeparator),
            ("/a%00", BadPath::EncodedSeparator),
        ];
        for (path, why) in cases {
            assert_eq!(Path::parse(path), Err(why), "{path:?}");
        }
    }

    #[test]
    fn ordinary_paths_keep_their_spelling() {
        for path in [
            "/",
            "//",
            "/a/",
            "/a//b",
            "/...",
            "/.well-known/x",
            "/a.b",
            "/%252e%252e",
            "/caf%C3%A9",
            "/é",
            "/a;b=1",
            "/a+b:c@d",
        ] {
            assert_eq!(Path::parse(path).map(Path::as_str), Ok(path));
        }
    }

    #[test]
    fn segments_keep_their_spelling_and_are_decoded_once() {
        let segments = |path| Path::parse(path).expect("a path").segments().collect::<Vec<_>>();
        assert_eq!(segments("/"), [""]);
        assert_eq!(segments("//a/"), ["", "a", ""]);
        assert_eq!(decode("%41%7e%c3%A9+"), Cow::<[u8]>::Owned("A~é+".into()));
        assert_eq!(*decode("%2541"), *b"%41", "decoded once");
    }

    proptest! {
        /// A service that decodes an accepted path before splitting it finds the same segments, and no dot segments.
        #[test]
        fn decoding_first_and_splitting_first_give_the_same_segments(
            path in r"(/([.ab;]|%2[eEfF]|%5c|%00|%41|%25|\\|%){0,4}){1,4}",
        ) {
            if let Ok(parsed) = Path::parse(&path) {
                let whole = decode(&path);
                let decoded_first: Vec<&[u8]> = whole[1..].split(|&byte| byte == b'/').collect();
                let split_first: Vec<_> = parsed.segments().map(decode).collect();
                prop_assert_eq!(&decoded_first, &split_first.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>());
                prop_assert!(!decoded_first.iter().any(|segment| matches!(*segment, b"." | b"..")));
            }
        }
    }
}
