//! The hosts that a rule is for.

use super::host::Host;
use std::fmt;
use std::net::IpAddr;

/// The error text for a `*` alone.
pub(super) const EVERY_HOST: &str = "write the scheme too: `https://*` is every public host, at port 443";

/// The hosts that a rule is for. Names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EgressPattern {
    /// Every host. Its addresses are checked as those of any other pattern: only public ones are admitted.
    Any,
    Name(String),
    /// The text after the `*`, beginning with a dot: `.example.com` for `*.example.com`. It matches names with one or
    /// more labels before it.
    Wildcard(String),
    Literal(IpAddr),
}

impl EgressPattern {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let Some(base) = text.strip_prefix("*.") else {
            if text == "*" {
                return Ok(Self::Any);
            }
            if text.contains('*') {
                return Err("a `*` stands only for the first labels, as in `*.example.com`");
            }
            return Host::parse(text).map(Self::from);
        };
        match Host::parse(base) {
            Ok(Host::Name(name)) => Ok(Self::Wildcard(format!(".{}", name.to_ascii_lowercase()))),
            Ok(Host::Literal(_)) => Err("addresses have no `*`: write each address, or a name"),
            Err(_) if base.contains('*') => Err("a `*` stands only for the first labels, as in `*.example.com`"),
            Err(help) => Err(help),
        }
    }

    pub(super) fn matches(&self, host: Host<'_>) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Name(own), Host::Name(name)) => own.eq_ignore_ascii_case(name),
            (Self::Wildcard(suffix), Host::Name(name)) => {
                // Both are ASCII, so the cut is at a character. The suffix begins with a dot, and no label of the name
                // is empty: so one label or more stands before the suffix.
                debug_assert!(suffix.is_ascii() && suffix.starts_with('.') && name.is_ascii());
                name.len().checked_sub(suffix.len()).is_some_and(|at| name[at..].eq_ignore_ascii_case(suffix))
            }
            (Self::Literal(own), Host::Literal(address)) => *own == address,
            _ => false,
        }
    }

    /// How narrow the pattern is: of two patterns that match one host, the one with the larger number is for fewer
    /// hosts.
    pub(super) fn narrowness(&self) -> usize {
        match self {
            Self::Name(_) | Self::Literal(_) => usize::MAX,
            Self::Wildcard(suffix) => suffix.len(),
            Self::Any => 0,
        }
    }
}

impl From<Host<'_>> for EgressPattern {
    fn from(host: Host<'_>) -> Self {
        match host {
            Host::Name(name) => Self::Name(name.to_ascii_lowercase()),
            Host::Literal(address) => Self::Literal(address),
        }
    }
}

impl fmt::Display for EgressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Name(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*{suffix}"),
            Self::Literal(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Literal(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}
