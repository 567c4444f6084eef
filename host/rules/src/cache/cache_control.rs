//! `Cache-Control` of a request or an answer (RFC 9111, section 5.2).

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderName};

/// The largest number of seconds: a larger one counts as this one (RFC 9111, section 1.2.2).
const MOST_SECONDS: u64 = 1 << 31;

/// The directives that a shared cache knows. Others are ignored, and so is what is quoted in their values.
///
/// A number of seconds that is no number counts as 0 (section 4.2.1), and of two the smaller one counts. `private` and
/// `no-cache` with a list of fields count as without it: that keeps less.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// How many seconds an answer is fresh; in a request: how old it may be.
    pub max_age: Option<u64>,
    /// The same, for shared caches alone.
    pub s_maxage: Option<u64>,
    /// For how many seconds a stale answer may be given while it is validated (RFC 5861).
    pub stale_while_revalidate: Option<u64>,
    /// For how many seconds a stale answer may be given in place of an error (RFC 5861).
    pub stale_if_error: Option<u64>,
    /// Of a request: how many seconds it must still be fresh.
    pub min_fresh: Option<u64>,
    /// Of a request: how many seconds stale it may be; `u64::MAX`: any number.
    pub max_stale: Option<u64>,
    /// It may not be kept.
    pub no_store: bool,
    /// It may not be given without a validation.
    pub no_cache: bool,
    /// It is for one user.
    pub private: bool,
    /// It may be kept although its request had credentials.
    pub public: bool,
    /// Once stale, it may not be given without a validation.
    pub must_revalidate: bool,
    /// The same, for shared caches alone.
    pub proxy_revalidate: bool,
    /// It may be kept only by who understands its status.
    pub must_understand: bool,
    /// Of a request: the service may not be asked.
    pub only_if_cached: bool,
}

impl CacheControl {
    /// The directives of these headers. Several lines are one list (RFC 9110, section 5.3).
    pub fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for member in list_members(&joined(headers, &CACHE_CONTROL)) {
            found.add(member);
        }
        found
    }

    /// The directives of a request. Without `Cache-Control`, `Pragma: no-cache` means `no-cache` (section 5.4).
    pub fn of_request(headers: &HeaderMap) -> Self {
        let mut found = Self::of(headers);
        if !headers.contains_key(CACHE_CONTROL) && headers.contains_key(PRAGMA) {
            let pragma = joined(headers, &PRAGMA);
            found.no_cache = list_members(&pragma).any(|member| member.eq_ignore_ascii_case(b"no-cache"));
        }
        found
    }

    fn add(&mut self, member: &[u8]) {
        let at = member.iter().position(|byte| *byte == b'=');
        let (name, value) = at.map_or((member, None), |at| (&member[..at], Some(&member[at + 1..])));
        // A blank beside `=` is no syntax (section 5.2): the number is then none, and the word still counts.
        let seconds = if name.ends_with(b" ") || name.ends_with(b"\t") { Some(0) } else { seconds(value) };
        let least = |known: Option<u64>, found: Option<u64>| {
            let found = found.unwrap_or(0);
            Some(known.map_or(found, |known| known.min(found)))
        };
        match &*name.trim_ascii_end().to_ascii_lowercase() {
            b"max-age" => self.max_age = least(self.max_age, seconds),
            b"s-maxage" => self.s_maxage = least(self.s_maxage, seconds),
            b"stale-while-revalidate" => self.stale_while_revalidate = least(self.stale_while_revalidate, seconds),
            b"stale-if-error" => self.stale_if_error = least(self.stale_if_error, seconds),
            b"min-fresh" => self.min_fresh = Some(self.min_fresh.unwrap_or(0).max(seconds.unwrap_or(0))),
            b"max-stale" if value.is_none() => self.max_stale = self.max_stale.or(Some(u64::MAX)),
            b"max-stale" => self.max_stale = least(self.max_stale, seconds),
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache = true,
            b"private" => self.private = true,
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"only-if-cached" => self.only_if_cached = true,
            _ => {}
        }
    }
}

/// The seconds of a value, quoted or not; `None` if it is no number of them.
fn seconds(value: Option<&[u8]>) -> Option<u64> {
    let value = value?;
    let bare = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
    if bare.is_empty() || !bare.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(bare.iter().fold(0, |sum, digit| (sum * 10 + u64::from(digit - b'0')).min(MOST_SECONDS)))
}

/// All lines of a field as one value.
pub(super) fn joined(headers: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(|line| line.as_bytes()).collect();
    lines.join(&b","[..])
}

/// The members of a list, trimmed and without the empty ones. A comma within quotes parts nothing; a quote that does
/// not end reaches to the end of the value.
pub(super) fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let parted = value.split(move |byte| {
        match (quoted, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, _, b'"') => quoted = !quoted,
            (false, _, b',') => return true,
            _ => {}
        }
        false
    });
    parted.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}
