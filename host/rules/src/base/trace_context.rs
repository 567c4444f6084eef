//! W3C Trace Context: the ids of a trace and of its spans, and the header fields that carry them from host to host.
//!
//! <https://www.w3.org/TR/trace-context/>, level 1; of level 2 only the flag that says that an id is random.

use http::header::Entry;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::fmt;

/// The flag of a trace that its sender records.
const SAMPLED: u8 = 0x01;
/// The flag of a trace whose id is random in its last seven bytes (level 2, section 3.2.2.5.2).
const RANDOM: u8 = 0x02;
/// The length of `traceparent` in version 00, in characters.
const LENGTH: usize = 55;
/// The most members of `tracestate` (section 3.3.1.1).
const MOST_MEMBERS: usize = 32;
/// The longest `tracestate` that is passed on, in bytes. 512 must be possible (section 3.3.1.5).
const LONGEST_STATE: usize = 4096;

/// The id of a trace: 16 bytes, not all of them 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// The id of a span within its trace: 8 bytes, not all of them 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// The id with these bits. The one value that is no id becomes another one.
    pub fn from_random(bits: u128) -> Self {
        Self(if bits == 0 { 1_u128 } else { bits }.to_be_bytes())
    }

    /// An id that a peer or an operator wrote: 32 hex digits in small letters. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        lower_hex(text).filter(|bytes| *bytes != [0; 16]).map(Self)
    }

    /// The id with these bytes; `None` if all of them are 0.
    pub fn stored(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Where the trace stands among all: a share from 0 to 1, by the last seven bytes, which are random. All hosts that
    /// keep a share of the traces so keep the same ones.
    pub fn share(&self) -> f64 {
        let bits = u128::from_be_bytes(self.0) & ((1 << 56) - 1);
        #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
        let share = bits as f64 / (1_u64 << 56) as f64;
        share
    }
}

impl SpanId {
    /// An id that a guest wrote: 16 hex digits in small letters. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        lower_hex(text).and_then(Self::stored)
    }

    /// The id with these bytes; `None` if all of them are 0.
    pub fn stored(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// The id with these bits. The one value that is no id becomes another one.
    pub fn from_random(bits: u64) -> Self {
        Self(if bits == 0 { 1_u64 } else { bits }.to_be_bytes())
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The bytes that `text` writes as hex digits in small letters, two for each byte.
fn lower_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// The value of `traceparent`: a trace, the span that calls, and whether its sender records the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The span on whose behalf the call is made.
    pub span: SpanId,
    /// Whether the sender records the trace.
    pub sampled: bool,
}

impl TraceParent {
    /// The header field.
    pub const HEADER: HeaderName = HeaderName::from_static("traceparent");

    /// Reads a value. Version 00 has exactly 55 characters; of a later version the first 55 are read, if a `-` follows
    /// them or nothing (section 4.3). `None` for anything else: the sender's trace is not known then.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, rest) = text.split_at_checked(LENGTH)?;
        let mut parts = first.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let [version] = lower_hex(version)?;
        let fits = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        let [flags] = lower_hex(flags)?;
        let span = lower_hex(span).filter(|bytes| *bytes != [0; 8]).map(SpanId)?;
        let whole = fits && parts.next().is_none();
        whole.then_some(Self { trace: TraceId::parse(trace)?, span, sampled: flags & SAMPLED != 0 })
    }

    /// The one `traceparent` of a request. Two of them are none: nobody can tell which is meant.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(Self::HEADER).iter();
        let (first, second) = (values.next()?, values.next());
        if second.is_some() { None } else { Self::parse(first.to_str().ok()?) }
    }

    /// The value of the header field. `random`: whether the trace's id was made of random bits.
    pub fn header(&self, random: bool) -> HeaderValue {
        let flags = (u8::from(self.sampled) * SAMPLED) | (u8::from(random) * RANDOM);
        let text = format!("00-{}-{}-{flags:02x}", self.trace, self.span);
        HeaderValue::try_from(text).expect("hex digits are visible ASCII")
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled) * SAMPLED;
        write!(f, "00-{}-{}-{flags:02x}", self.trace, self.span)
    }
}

/// The value of `tracestate`: what other systems that take part in a trace pass on. It is passed on unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceState(HeaderValue);

impl TraceState {
    /// The header field.
    pub const HEADER: HeaderName = HeaderName::from_static("tracestate");

    /// The `tracestate` of a request, all lines of it as one value. `None` if it has none, if one of its members is
    /// wrong, or if it is too long: a part of it would be another one's state.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let lines = headers.get_all(Self::HEADER).iter().map(HeaderValue::to_str);
        Self::parse(lines.collect::<Result<Vec<_>, _>>().ok()?.join(","))
    }

    /// The state with these members; `None` as above.
    pub fn of_members(members: &[(String, String)]) -> Option<Self> {
        Self::parse(members.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","))
    }

    /// Its members, keys with values.
    pub fn members(&self) -> Vec<(String, String)> {
        let members = self.as_str().split(',').filter_map(|member| member.trim_matches([' ', '\t']).split_once('='));
        members.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// The state that `text` is; `None` as above.
    pub fn of_text(text: &str) -> Option<Self> {
        Self::parse(text.to_owned())
    }

    fn parse(text: String) -> Option<Self> {
        let members = || text.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|one| !one.is_empty());
        let right = (1..=MOST_MEMBERS).contains(&members().count())
            && text.len() <= LONGEST_STATE
            && members().all(is_member_of_state);
        right.then(|| HeaderValue::try_from(text).ok()).flatten().map(Self)
    }

    /// The value as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("a state is made of visible characters")
    }

    /// The value of the header field.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// Whether `text` is a key with its value (section 3.3.1.3).
fn is_member_of_state(text: &str) -> bool {
    let Some((key, value)) = text.split_once('=') else { return false };
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte);
    let begins = key.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let value_is_right = value.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=');
    begins && key.len() <= 256 && key.bytes().all(legal) && (1..=256).contains(&value.len()) && value_is_right
}

/// `baggage`: names and values that go with a request through all services (<https://www.w3.org/TR/baggage/>). The host
/// reads none of it.
pub(super) const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Removes the `baggage` of a request if its sender is not trusted, or if it is over the bounds that every host must
/// take (section 3.3.2: 64 members, 8,192 bytes). A part of it could be misread.
pub fn bound_baggage(headers: &mut HeaderMap, trusted: bool) {
    const MOST: usize = 64;
    const LONGEST: usize = 8192;
    let Entry::Occupied(lines) = headers.entry(BAGGAGE) else { return };
    let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
    let members: usize = lines.iter().map(|line| line.as_bytes().split(|byte| *byte == b',').count()).sum();
    if !trusted || bytes > LONGEST + 1 || members > MOST {
        lines.remove_entry_mult();
    }
}

/// A method of RFC 9110 or RFC 5789, or `_OTHER`: a client could make any number of others.
pub fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn a_parent_of_version_00_is_exact_and_a_later_one_may_go_on() {
        let parent = |sampled| TraceParent {
            trace: TraceId::parse(TRACE).unwrap(),
            span: SpanId::from_random(0xb7ad_6b71_6920_3331),
            sampled,
        };
        for (text, expected) in [
            (format!("00-{TRACE}-{SPAN}-01"), Some(parent(true))),
            (format!("00-{TRACE}-{SPAN}-00"), Some(parent(false))),
            (format!("00-{TRACE}-{SPAN}-03"), Some(parent(true))),
            (format!("00-{TRACE}-{SPAN}-fe"), Some(parent(false))),
            (format!("cc-{TRACE}-{SPAN}-01"), Some(parent(true))),
            (format!("cc-{TRACE}-{SPAN}-01-what-comes-later"), Some(parent(true))),
            (format!("cc-{TRACE}-{SPAN}-01.what"), None),
            (format!("ff-{TRACE}-{SPAN}-01"), None),
            (format!("00-{TRACE}-{SPAN}-01-x"), None),
            (format!("00-{TRACE}-{SPAN}-1"), None),
            (format!("00-{TRACE}-{SPAN}-0x"), None),
            (format!("0-{TRACE}-{SPAN}-011"), None),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), None),
            (format!("00-{}-{SPAN}-01", "0".repeat(32)), None),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), None),
            (format!("00_{TRACE}_{SPAN}_01"), None),
            (format!(" 00-{TRACE}-{SPAN}-01"), None),
            (String::new(), None),
            ("é".repeat(40), None),
        ] {
            assert_eq!(TraceParent::parse(&text), expected, "{text}");
        }
    }

    #[test]
    fn two_parents_are_none() {
        let value = HeaderValue::try_from(format!("00-{TRACE}-{SPAN}-01")).unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(TraceParent::of(&headers), None);
        headers.append(TraceParent::HEADER, value.clone());
        assert!(TraceParent::of(&headers).is_some());
        headers.append(TraceParent::HEADER, value);
        assert_eq!(TraceParent::of(&headers), None);
    }

    #[test]
    fn a_state_is_whole_or_absent() {
        let state = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(TraceState::HEADER, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            TraceState::of(&headers).map(|state| state.as_str().to_owned())
        };
        let whole = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        for (lines, expected) in [
            (["rojo=00f067aa0ba902b7"].as_slice(), Some("rojo=00f067aa0ba902b7")),
            (&["a=1, fw529a3039@dt=FfV/;x-y", "congo=t6"], Some("a=1, fw529a3039@dt=FfV/;x-y,congo=t6")),
            (&["a=1,,b=2"], Some("a=1,,b=2")),
            (&[], None),
            (&[""], None),
            (&["a"], None),
            (&["A=1"], None),
            (&["a=1=2"], None),
            (&["a=1", "é=2"], None),
        ] {
            assert_eq!(state(lines).as_deref(), expected, "{lines:?}");
        }
        assert_eq!(state(&[&whole(32)]), Some(whole(32)));
        assert_eq!(state(&[&whole(33)]), None);
        assert_eq!(state(&[&format!("a={}", "x".repeat(257))]), None);
        assert_eq!(state(&[&vec![format!("a={}", "x".repeat(250)); 20].join(",")]), None);
    }

    #[test]
    fn baggage_over_its_bounds_goes() {
        for (lines, stays) in [
            (vec!["a=1,b=2".to_owned()], true),
            (vec![vec!["a=1"; 64].join(",")], true),
            (vec![vec!["a=1"; 65].join(",")], false),
            (vec!["a=1".to_owned(); 65], false),
            (vec![format!("a={}", "x".repeat(8190))], true),
            (vec![format!("a={}", "x".repeat(8191))], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in &lines {
                headers.append(BAGGAGE, HeaderValue::try_from(line).unwrap());
            }
            bound_baggage(&mut headers, true);
            assert_eq!(headers.contains_key(BAGGAGE), stays, "{} lines", lines.len());
            bound_baggage(&mut headers, false);
            assert!(!headers.contains_key(BAGGAGE), "a stranger's goes");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(trace: u128, span: u64, sampled: bool, random: bool) {
            let parent = TraceParent { trace: TraceId::from_random(trace), span: SpanId::from_random(span), sampled };
            let header = parent.header(random);
            prop_assert_eq!(TraceParent::parse(header.to_str().unwrap()), Some(parent));
            prop_assert!((0.0..=1.0).contains(&parent.trace.share()));
        }

        #[test]
        fn no_text_breaks_the_reader(text: String) {
            let _ = (TraceParent::parse(&text), TraceId::parse(&text));
        }

        #[test]
        fn a_changed_parent_is_another_one_or_none(at in 0_usize..55, to in "[0-9a-fA-F-]") {
            let text = format!("00-{TRACE}-{SPAN}-01");
            let mut changed = text.clone();
            changed.replace_range(at..=at, &to);
            if let (Some(read), true) = (TraceParent::parse(&changed), changed != text) {
                // Only the version, an id or the flags may differ, and what is read is what is written.
                let ids = format!("{}-{}-", read.trace, read.span);
                prop_assert!(changed[3..].starts_with(&ids), "{}", changed);
            }
        }
    }
}
