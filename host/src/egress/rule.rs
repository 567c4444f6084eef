//! One line of the allow-list.

use super::host::{EVERY_HOST, EgressPattern, Host};
use super::{Range, forbidden};
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

/// The outside hosts that one line permits, by scheme, host and port.
///
/// Written `https://api.example.com`, `https://*.example.com:8443` or `http://10.0.0.7:8080`. Without a port it is for the scheme's own.
/// `*.` stands for one or more labels and never for none; it does not stand for a part of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressRule {
    scheme: Scheme,
    host: EgressPattern,
    port: u16,
    private: bool,
}

/// A text that is no [`EgressRule`]. [`InvalidRule::help`] says how to write it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{rule}` is no outside host")]
pub struct InvalidRule {
    rule: String,
    mend: Cow<'static, str>,
}

impl InvalidRule {
    /// How to write it.
    pub fn help(&self) -> &str {
        &self.mend
    }
}

/// The two schemes that a service can call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|scheme| scheme.as_str().eq_ignore_ascii_case(text))
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn own_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl EgressRule {
    /// Reads a rule. With `private` it admits names that lead to addresses which are not public (see [`EgressRule::admits`]).
    ///
    /// # Errors
    /// [`InvalidRule`] for anything but scheme, host and perhaps a port.
    pub fn parse(text: &str, private: bool) -> Result<Self, InvalidRule> {
        // What stands before an `@` may be a password: the message does not repeat it.
        let shown = |text: &str| text.rsplit_once('@').map_or(text.to_owned(), |(_, host)| format!("…@{host}"));
        Self::read(text, private).map_err(|mend| InvalidRule { rule: shown(text), mend })
    }

    fn read(text: &str, private: bool) -> Result<Self, Cow<'static, str>> {
        if text == "*" {
            return Err(EVERY_HOST.into());
        }
        let (scheme, rest) = text.split_once("://").ok_or("write the scheme too, like `https://api.example.com`")?;
        let scheme = Scheme::parse(scheme).ok_or("its scheme must be `https` or `http`")?;
        if rest.contains('@') {
            // Asked before the path: a password may hold a `/`, and nothing of it is to be repeated.
            return Err(
                "leave out the `@` and what stands before it, a rule has no user, no password and no path".into()
            );
        }
        if let Some((host, _)) = rest.split_once(['/', '\\', '?', '#']) {
            let scheme = scheme.as_str();
            return Err(format!("a rule is for all paths of a host, so write `{scheme}://{host}`").into());
        }
        let (host, port) = split_port(rest)?;
        let port = port.map_or(Ok(scheme.own_port()), parse_port)?;
        Ok(Self { scheme, host: EgressPattern::parse(host)?, port, private })
    }

    /// The rule that permits this request and no other host; the error says why there can be none.
    pub(super) fn exactly(scheme: &str, host: &str, port: u16) -> Result<Self, &'static str> {
        let scheme = Scheme::parse(scheme).ok_or("its scheme must be `https` or `http`")?;
        if port == 0 {
            return Err("there is no port 0");
        }
        Ok(Self { scheme, host: Host::parse(host)?.into(), port, private: false })
    }

    /// Whether it was made to admit addresses that are not public.
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// Whether a connection to `address` is within the rule, when the request's host matched it and led there.
    ///
    /// Every public address is. One that is not needs a rule with `private`, or one that names just this address. The metadata service
    /// of a cloud, which gives away the machine's credentials, needs a rule that names its address.
    ///
    /// # Errors
    /// The [`Range`] that the address must not be in.
    pub fn admits(&self, address: IpAddr) -> Result<(), Range> {
        match forbidden(address) {
            None => Ok(()),
            Some(_) if self.host == EgressPattern::Literal(address) => Ok(()),
            Some(range) if self.private && range != Range::Metadata => Ok(()),
            Some(range) => Err(range),
        }
    }

    /// The line of the manifest that would have this rule admit addresses which are not public, too:
    /// `egress = [{ to = "https://db.internal", private = true }]`.
    pub fn private_line(&self) -> String {
        format!("egress = [{{ to = \"{self}\", private = true }}]")
    }

    /// Whether it is for this request.
    pub(super) fn matches(&self, scheme: Scheme, host: Host<'_>, port: u16) -> bool {
        self.scheme == scheme && self.port == port && self.host.matches(host)
    }

    /// How narrow it is: of two that match one request, the larger is for fewer hosts.
    pub(super) fn narrowness(&self) -> usize {
        self.host.narrowness()
    }
}

impl fmt::Display for EgressRule {
    /// As [`EgressRule::parse`] reads it: in lower case, addresses in their canonical form, the port if it is not the scheme's own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        if self.port == self.scheme.own_port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// Host and port of `host:port` or `[address]:port`.
fn split_port(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or("close the bracket after the IPv6 address")? + 1;
        let (host, rest) = text.split_at(end);
        return match rest.strip_prefix(':') {
            None if rest.is_empty() => Ok((host, None)),
            None => Err("after the `]` there may be a port alone, like `[2001:db8::1]:8080`"),
            Some(port) => Ok((host, Some(port))),
        };
    }
    match text.split_once(':') {
        None => Ok((text, None)),
        Some((_, port)) if port.contains(':') => Err("write an IPv6 address in brackets, like `[2001:db8::1]:8080`"),
        Some((host, port)) => Ok((host, Some(port))),
    }
}

fn parse_port(text: &str) -> Result<u16, &'static str> {
    // Digits alone: the standard library would read `+80` too.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|&port| is_number && port > 0);
    port.ok_or("write its port as a number from 1 to 65535, or leave it out with its `:`")
}
