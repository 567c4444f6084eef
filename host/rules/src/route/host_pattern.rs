//! The host of a rule, and the form in which a request's host is compared with it.

use super::rule_error::RuleError;
use crate::base::HostAndPort;
use std::borrow::Cow;
use std::fmt;

/// The longest host name, in bytes (RFC 1035).
const MAX_HOST: usize = 253;
/// The longest label of a host name, in bytes (RFC 1035).
const MAX_LABEL: usize = 63;

/// The hosts that a rule matches. Names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum HostPattern {
    #[default]
    Any,
    Exact(String),
    /// The part after the `*`, with its dot: `.example.com` for `*.example.com`. It matches names with one or more
    /// labels before it.
    Wildcard(String),
}

impl HostPattern {
    pub(super) fn parse(text: &str) -> Result<Self, RuleError> {
        let wrong = |help| RuleError::Host { host: text.into(), help };
        if text == "*" {
            return Err(wrong("remove `host` to match any"));
        }
        if text.contains(':') {
            return Err(wrong("write the name alone, without scheme and port"));
        }
        if !text.is_ascii() {
            return Err(wrong("write its ASCII form, which starts with `xn--`"));
        }
        let lower = text.to_ascii_lowercase();
        let (name, wildcard) = lower.strip_prefix("*.").map_or((&*lower, false), |name| (name, true));
        if name.contains('*') {
            return Err(wrong("a `*` stands only for the first labels, as in `*.example.com`"));
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let label = |label: &str| (1..=MAX_LABEL).contains(&label.len()) && label.chars().all(legal);
        if lower.len() > MAX_HOST || !name.split('.').all(label) {
            return Err(wrong(
                "write labels of letters, digits and `-` with dots between them, or `*.` and such a name",
            ));
        }
        Ok(if wildcard { Self::Wildcard(lower[1..].into()) } else { Self::Exact(lower) })
    }

    /// The name that it matches, if it matches exactly one.
    pub(super) fn exact(&self) -> Option<&str> {
        match self {
            Self::Exact(name) => Some(name),
            Self::Any | Self::Wildcard(_) => None,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*{suffix}"),
        }
    }
}

/// A request's host as rules write it: in lower case, without port and final dot.
pub(super) fn normalise(host: HostAndPort<'_>) -> Cow<'_, str> {
    let name = host.host();
    let name = name.strip_suffix('.').unwrap_or(name);
    let has_upper = name.bytes().any(|byte| byte.is_ascii_uppercase());
    if has_upper { name.to_ascii_lowercase().into() } else { name.into() }
}

/// The parts after the `*` of all wildcards that match `host`, the longest first: `.b.c` and `.c` for `a.b.c`.
pub(super) fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').filter(|&(at, _)| at > 0).map(|(at, _)| &host[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_no_request_can_have_is_refused() {
        assert_eq!(HostPattern::parse("API.example.com"), Ok(HostPattern::Exact("api.example.com".into())));
        assert_eq!(HostPattern::parse("*.example.com"), Ok(HostPattern::Wildcard(".example.com".into())));
        assert_eq!(HostPattern::parse("127.0.0.1"), Ok(HostPattern::Exact("127.0.0.1".into())));
        for bad in [
            "",
            "*",
            "*.",
            "a*.b",
            "*.*.b",
            "a..b",
            ".a",
            "a.",
            "http://a",
            "a:80",
            "[::1]",
            "é.com",
            "a b",
            "a/b",
            &"a".repeat(64),
        ] {
            assert!(matches!(HostPattern::parse(bad), Err(RuleError::Host { .. })), "{bad:?}");
        }
    }

    #[test]
    fn a_requests_host_is_normalised() {
        let cases = [
            ("a.b", "a.b"),
            ("A.b:8080", "a.b"),
            ("a.b.", "a.b"),
            ("a.b.:80", "a.b"),
            ("a.b:", "a.b"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ];
        for (host, name) in cases {
            assert_eq!(normalise(HostAndPort::parse(host).expect("a host")), name, "{host:?}");
        }
        assert_eq!(suffixes("a.b.c").collect::<Vec<_>>(), [".b.c", ".c"]);
        assert_eq!(suffixes(".b").count(), 0);
    }
}
