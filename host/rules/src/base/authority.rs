//! The host and the port that an HTTP message names.

use std::fmt;
use std::net::Ipv6Addr;

/// The longest host, in bytes: the longest name of the DNS (RFC 1035) with its final dot.
const MAX_HOST: usize = 254;

/// The value of a `Host` field, or the authority of a target or of a `Location`: `uri-host [ ":" port ]` (RFC 9110,
/// section 7.2).
///
/// The syntax is that of RFC 3986, section 3.2.2, without what no name and no address of a server has: a user, a
/// percent escape, a sub-delimiter such as `,`, an address of a future version (`[v1.x]`), and a port beyond 65,535.
/// Two readers could take such a host for two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostAndPort<'a> {
    text: &'a str,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> HostAndPort<'a> {
    /// Reads a host with or without a port. `None` if `text` is anything else. An empty port, as in `a:`, is no port.
    pub fn parse(text: &'a str) -> Option<Self> {
        let end = match text.strip_prefix('[') {
            Some(literal) => {
                let length = literal.find(']')?;
                literal[..length].parse::<Ipv6Addr>().ok()?;
                length + 2
            }
            None => {
                let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
                let length = text.bytes().take_while(legal).count();
                (1..=MAX_HOST).contains(&length).then_some(length).filter(|_| &text[..length] != ".")?
            }
        };
        let (host, rest) = text.split_at(end);
        Some(Self { text, host, port: port(rest)? })
    }

    /// The text that was parsed.
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// The host alone: a name, an IPv4 address, or an IPv6 address in its brackets.
    pub fn host(self) -> &'a str {
        self.host
    }

    /// The one spelling of all that name the same server for a scheme with this default port: lower case, without a
    /// final dot and without the default port.
    pub fn normal(self, default_port: u16) -> String {
        let mut text = self.host.strip_suffix('.').unwrap_or(self.host).to_ascii_lowercase();
        if let Some(port) = self.port.filter(|port| *port != default_port) {
            text.push_str(&format!(":{port}"));
        }
        text
    }

    /// Whether both name the same server for a scheme with this default port. Letter case, a final dot and the default
    /// port do not matter (RFC 9110, section 4.2.3).
    pub fn is_same(self, other: HostAndPort<'_>, default_port: u16) -> bool {
        let name = |host: Self| host.host.strip_suffix('.').unwrap_or(host.host);
        let other_name = other.host.strip_suffix('.').unwrap_or(other.host);
        name(self).eq_ignore_ascii_case(other_name)
            && self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port)
    }
}

/// The port in what follows a host: nothing, or a colon and digits. `None` if it is anything else.
fn port(rest: &str) -> Option<Option<u16>> {
    if rest.is_empty() {
        return Some(None);
    }
    let digits = rest.strip_prefix(':')?;
    match digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true if digits.is_empty() => Some(None),
        true => digits.parse().ok().map(Some),
        false => None,
    }
}

impl fmt::Display for HostAndPort<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        let cases = [
            ("a", "a", None),
            ("A.b:8080", "A.b", Some(8080)),
            ("a.b.", "a.b.", None),
            ("a_b", "a_b", None),
            ("a:", "a", None),
            ("a:0080", "a", Some(80)),
            ("a:65535", "a", Some(65535)),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]", "[::1]", None),
            ("[::1]:80", "[::1]", Some(80)),
            ("[::ffff:1.2.3.4]:", "[::ffff:1.2.3.4]", None),
        ];
        for (text, host, port) in cases {
            assert_eq!(HostAndPort::parse(text), Some(HostAndPort { text, host, port }), "{text:?}");
        }
    }

    #[test]
    fn a_text_that_two_readers_could_take_for_two_hosts_is_refused() {
        let long = "a.".repeat(128);
        for text in [
            "",
            ".",
            ":",
            ":80",
            "a:b",
            "a:80x",
            "a:-1",
            "a:+1",
            "a:65536",
            "a:80:80",
            "a b",
            "a/b",
            "a\\b",
            "u@a",
            "a,b",
            "a\"b",
            "a%62",
            "é",
            "[zz]",
            "[::1",
            "[::1]x",
            "[::1]80",
            "[::1]:x",
            "x[::1]",
            "[]",
            "[v1.a]",
            "[::1%25e]",
            "[1.2.3.4]",
            "::1",
            &long,
        ] {
            assert_eq!(HostAndPort::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn hosts_are_compared_without_case_final_dot_and_default_port() {
        let same = |a, b, port| HostAndPort::parse(a).unwrap().is_same(HostAndPort::parse(b).unwrap(), port);
        for (a, b, port) in
            [("A", "a", 80), ("a.", "a", 80), ("a", "a:80", 80), ("a:443", "a", 443), ("a:", "a:80", 80)]
        {
            assert!(same(a, b, port), "{a} {b}");
        }
        for (a, b, port) in [("a", "b", 80), ("a:80", "a", 443), ("a:80", "a:81", 80), ("a", "a:443", 80)] {
            assert!(!same(a, b, port), "{a} {b}");
        }
    }
}
