//! One rule of the allow-list.

use super::host::Host;
use super::pattern::{EVERY_HOST, EgressPattern};
use super::range::{Range, forbidden};
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

/// The outside hosts that one rule permits, by scheme, host and port.
///
/// A rule is written `https://api.example.com`, `https://*.example.com:8443` or `http://10.0.0.7:8080`. A rule without
/// a port is for the scheme's default port. `*.` stands for one or more labels, never for none, and not for a part of
/// an address. `https://*` is every host with a public address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressRule {
    scheme: Scheme,
    host: EgressPattern,
    port: u16,
    private: bool,
}

/// The help for a rule for every host with `private`: it would open the whole network behind the host.
const NOT_ALL_PRIVATE: &str = "`*` is for public hosts alone: leave `private` out, and name each host that is not \
                               public in an entry of its own";

/// A text that is no [`EgressRule`]. [`InvalidRule::help`] says how to write it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{rule}` is no outside host")]
pub struct InvalidRule {
    rule: String,
    help: Cow<'static, str>,
}

impl InvalidRule {
    /// How to write it.
    pub fn help(&self) -> &str {
        &self.help
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

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl EgressRule {
    /// Parses a rule. With `private`, the rule admits names that lead to addresses which are not public (see
    /// [`EgressRule::admits`]).
    ///
    /// # Errors
    /// [`InvalidRule`] for any text but a scheme, a host, and a port or none.
    pub fn parse(text: &str, private: bool) -> Result<Self, InvalidRule> {
        // The text before an `@` may hold a password, so the message does not repeat it.
        let redacted = |text: &str| text.rsplit_once('@').map_or(text.to_owned(), |(_, host)| format!("…@{host}"));
        Self::read(text, private).map_err(|help| InvalidRule { rule: redacted(text), help })
    }

    fn read(text: &str, private: bool) -> Result<Self, Cow<'static, str>> {
        if text == "*" {
            return Err(EVERY_HOST.into());
        }
        let (scheme, rest) = text.split_once("://").ok_or("write the scheme too, like `https://api.example.com`")?;
        let scheme = Scheme::parse(scheme).ok_or("its scheme must be `https` or `http`")?;
        if rest.contains('@') {
            // This check comes before that of the path: a password may hold a `/`, and no part of it may be repeated.
            return Err("leave out the `@` and the text before it: a rule has no user, no password and no path".into());
        }
        if let Some((host, _)) = rest.split_once(['/', '\\', '?', '#']) {
            let scheme = scheme.as_str();
            return Err(format!("a rule is for all paths of a host, so write `{scheme}://{host}`").into());
        }
        let (host, port) = split_port(rest)?;
        let port = port.map_or(Ok(scheme.default_port()), parse_port)?;
        let host = EgressPattern::parse(host)?;
        if private && host == EgressPattern::Any {
            return Err(NOT_ALL_PRIVATE.into());
        }
        Ok(Self { scheme, host, port, private })
    }

    /// The rule that permits this request and no other host. The error says why there can be none.
    pub(super) fn exactly(scheme: &str, host: &str, port: u16) -> Result<Self, &'static str> {
        let scheme = Scheme::parse(scheme).ok_or("its scheme must be `https` or `http`")?;
        if port == 0 {
            return Err("there is no port 0");
        }
        Ok(Self { scheme, host: Host::parse(host)?.into(), port, private: false })
    }

    /// Whether the rule admits names that lead to addresses which are not public.
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// Whether the rule permits a connection to `address`, when the request's host matched the rule and led to this
    /// address.
    ///
    /// Every public address is permitted. An address that is not public needs a rule with `private`, or a rule that
    /// names exactly this address. The metadata service of a cloud, which gives the machine's credentials to any
    /// client, needs a rule that names its address.
    ///
    /// # Errors
    /// The [`Range`] of the address, for which it is refused.
    pub fn admits(&self, address: IpAddr) -> Result<(), Range> {
        match forbidden(address) {
            None => Ok(()),
            Some(_) if self.host == EgressPattern::Literal(address) => Ok(()),
            Some(range) if self.private && range != Range::Metadata => Ok(()),
            Some(range) => Err(range),
        }
    }

    /// The line of the manifest with which this rule would also admit addresses of `host` that are not public:
    /// `egress = [{ to = "https://db.internal", private = true }]`. A rule for every host cannot; the line then has one
    /// for this host.
    pub fn private_line(&self, host: &str) -> String {
        let Self { scheme, port, .. } = *self;
        let alone = match &self.host {
            EgressPattern::Any => Self::exactly(scheme.as_str(), host, port).ok(),
            _ => None,
        };
        format!("egress = [{{ to = \"{}\", private = true }}]", alone.as_ref().unwrap_or(self))
    }

    /// Whether the rule is for this request.
    pub(super) fn matches(&self, scheme: Scheme, host: Host<'_>, port: u16) -> bool {
        self.scheme == scheme && self.port == port && self.host.matches(host)
    }

    /// How narrow the rule is: of two rules that match one request, the one with the larger number is for fewer hosts.
    pub(super) fn narrowness(&self) -> usize {
        self.host.narrowness()
    }
}

impl fmt::Display for EgressRule {
    /// Writes the rule as [`EgressRule::parse`] reads it: in lower case, addresses in their canonical form, the port
    /// only if it is not the scheme's default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        if self.port == self.scheme.default_port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// Splits `host:port` or `[address]:port` into host and port.
fn split_port(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or("close the bracket after the IPv6 address")? + 1;
        let (host, rest) = text.split_at(end);
        return match rest.strip_prefix(':') {
            None if rest.is_empty() => Ok((host, None)),
            None => Err("after the `]` only a port may follow, like `[2001:db8::1]:8080`"),
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
    // Only digits: the standard library would parse `+80` too.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|&port| is_number && port > 0);
    port.ok_or("write its port as a number from 1 to 65535, or leave it out with its `:`")
}
