//! The host of a request, and the hosts of a rule.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest host name, in bytes (RFC 1035).
const MAX_HOST: usize = 253;
/// The longest label of a host name, in bytes (RFC 1035).
const MAX_LABEL: usize = 63;
/// What is said to a `*` alone.
pub(super) const EVERY_HOST: &str = "it would permit every host: name those that it needs, like `https://api.example.com` \
     or `https://*.example.com`";

/// One host: a name without its final dot, in the letters that it came in, or an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host<'a> {
    Name(&'a str),
    Literal(IpAddr),
}

impl<'a> Host<'a> {
    /// Reads what stands in a URL, or an IPv6 address without its brackets. The error says how to write it instead.
    pub(super) fn parse(text: &'a str) -> Result<Self, &'static str> {
        if text.starts_with('[') || text.contains(':') {
            let bare = text.strip_prefix('[').map_or(Some(text), |rest| rest.strip_suffix(']'));
            let address = bare.and_then(|bare| bare.parse::<Ipv6Addr>().ok());
            let wrong = "write an IPv6 address in brackets and without a zone, like `[2001:db8::1]`";
            return address.map(|address| Self::Literal(address.into())).ok_or(wrong);
        }
        if !text.is_ascii() {
            return Err("write its ASCII form, which starts with `xn--`");
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if ends_in_number(name) {
            // Resolvers take `127.1`, `0177.0.0.1`, `0x7f.1` and `2130706433` for 127.0.0.1. Here they are nobody's address or name.
            let address = name.parse::<Ipv4Addr>();
            let wrong = "write an IPv4 address as four decimal numbers without leading zeros, like `192.0.2.1`";
            return address.map(|address| Self::Literal(address.into())).map_err(|_| wrong);
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_label = |label: &str| (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(legal);
        if name.len() > MAX_HOST || !name.split('.').all(is_label) {
            return Err("write labels of letters, digits and `-` with dots between them, 63 characters each at most");
        }
        Ok(Self::Name(name))
    }
}

/// Whether the last label is a number in one of the spellings that resolvers know: then the whole is meant as an IPv4 address (the
/// WHATWG's URL standard draws the line there too).
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// Which hosts a rule is for. Names are lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EgressPattern {
    Name(String),
    /// What follows the `*`, dot first: `.example.com` for `*.example.com`. Matches with one label or more before it.
    Wildcard(String),
    Literal(IpAddr),
}

impl EgressPattern {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let Some(base) = text.strip_prefix("*.") else {
            if text == "*" {
                return Err(EVERY_HOST);
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
            Err(mend) => Err(mend),
        }
    }

    pub(super) fn matches(&self, host: Host<'_>) -> bool {
        match (self, host) {
            (Self::Name(own), Host::Name(name)) => own.eq_ignore_ascii_case(name),
            (Self::Wildcard(suffix), Host::Name(name)) => {
                // Both are ASCII. The suffix begins with a dot, and no label of the name is empty: there is one label or more before it.
                name.len().checked_sub(suffix.len()).is_some_and(|at| name[at..].eq_ignore_ascii_case(suffix))
            }
            (Self::Literal(own), Host::Literal(address)) => *own == address,
            _ => false,
        }
    }

    /// How narrow it is: of two that match one host, the larger is for fewer hosts.
    pub(super) fn narrowness(&self) -> usize {
        match self {
            Self::Name(_) | Self::Literal(_) => usize::MAX,
            Self::Wildcard(suffix) => suffix.len(),
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
            Self::Name(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*{suffix}"),
            Self::Literal(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Literal(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}
