//! The host of a request: a name or an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest host name, in bytes (RFC 1035).
const MAX_HOST: usize = 253;
/// The longest label of a host name, in bytes (RFC 1035).
const MAX_LABEL: usize = 63;
/// One host: a name without its final dot and with its letters as they came, or an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host<'a> {
    Name(&'a str),
    Literal(IpAddr),
}

impl<'a> Host<'a> {
    /// Parses the host of a URL, or an IPv6 address without its brackets. The error says how to write the host instead.
    pub(super) fn parse(text: &'a str) -> Result<Self, &'static str> {
        if text.starts_with('[') || text.contains(':') {
            let bare = text.strip_prefix('[').map_or(Some(text), |rest| rest.strip_suffix(']'));
            let address = bare.and_then(|bare| bare.parse::<Ipv6Addr>().ok());
            let help = "write an IPv6 address in brackets and without a zone, like `[2001:db8::1]`";
            return address.map(|address| Self::Literal(address.into())).ok_or(help);
        }
        if !text.is_ascii() {
            return Err("write its ASCII form, which starts with `xn--`");
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if ends_in_number(name) {
            // Resolvers take `127.1`, `0177.0.0.1`, `0x7f.1` and `2130706433` for 127.0.0.1. Here these texts are
            // neither an address nor a name.
            let address = name.parse::<Ipv4Addr>();
            let help = "write an IPv4 address as four decimal numbers without leading zeros, like `192.0.2.1`";
            return address.map(|address| Self::Literal(address.into())).map_err(|_| help);
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_label = |label: &str| (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(legal);
        if name.len() > MAX_HOST || !name.split('.').all(is_label) {
            return Err("write labels of letters, digits and `-` with dots between them, 63 characters each at most");
        }
        Ok(Self::Name(name))
    }
}

/// Whether the last label is a number in one of the spellings that resolvers know. Then resolvers take the whole text
/// for an IPv4 address (the WHATWG's URL standard draws the line there too).
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()),
    }
}
