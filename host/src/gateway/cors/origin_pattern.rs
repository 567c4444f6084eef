//! The origins that a policy permits.

use crate::base::HostAndPort;
use std::fmt;

/// One origin, the origins of all names below one, or every origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// Every origin but `null`.
    Any,
    /// This origin, as a browser writes it: in lower case, without the scheme's default port.
    Exact(String),
    /// The origins `{before}{labels}{after}` with one or more whole labels.
    Below {
        /// The scheme: `https://`.
        before: String,
        /// The end of the name with its first dot, and the port if it is not the default: `.example.com:8443`.
        after: String,
    },
}

/// Why a text is no pattern of origins: what to write instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginPatternError(pub &'static str);

impl OriginPattern {
    /// Reads `*`, `https://shop.example`, or `https://*.example.com`.
    ///
    /// # Errors
    /// Any other text, and `null`.
    pub fn parse(text: &str) -> Result<Self, OriginPatternError> {
        let wrong = |help| Err(OriginPatternError(help));
        if text == "*" {
            return Ok(Self::Any);
        }
        if text.eq_ignore_ascii_case("null") {
            return wrong("leave `null` out: all sandboxed frames and local files share it, those of attackers too");
        }
        if !text.is_ascii() {
            return wrong("write the host in its ASCII form, which starts with `xn--`");
        }
        let lower = text.to_ascii_lowercase();
        let Some((scheme, rest)) = lower.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
            return wrong("write scheme and host, as in \"https://shop.example\"");
        };
        if rest.contains(['/', '?', '#', '@']) {
            return wrong("an origin is scheme, host and port alone: leave out the path, and the `/` at the end");
        }
        let (name, below) = rest.strip_prefix("*.").map_or((rest, false), |name| (name, true));
        if name.contains('*') {
            return wrong("a `*` stands only for the first labels of the host, as in \"https://*.example.com\"");
        }
        let Some(authority) = HostAndPort::parse(name) else {
            return wrong("write a host that exists: a name or an address, perhaps with a port");
        };
        // The host of an origin has no default port (URL standard, "URL serializing"; HTML, "serialization of an
        // origin"), and `authority` was parsed, so its port is what follows the host.
        let host = authority.host();
        let port = name[host.len()..].trim_start_matches(':').parse::<u16>().ok();
        let default_port = match scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        let port = port.filter(|port| Some(*port) != default_port).map_or_else(String::new, |port| format!(":{port}"));
        Ok(if below {
            Self::Below { before: format!("{scheme}://"), after: format!(".{host}{port}") }
        } else {
            Self::Exact(format!("{scheme}://{host}{port}"))
        })
    }

    /// Whether it permits `origin`, the value of an `Origin` header. Browsers write an origin in one way only, so bytes
    /// are compared.
    pub(super) fn permits(&self, origin: &str) -> bool {
        match self {
            Self::Any => !origin.eq_ignore_ascii_case("null"),
            Self::Exact(exact) => exact == origin,
            Self::Below { before, after } => {
                let labels = origin.strip_prefix(&**before).and_then(|rest| rest.strip_suffix(&**after));
                labels.is_some_and(|labels| labels.split('.').all(is_label))
            }
        }
    }
}

/// A label of a host's name, in lower case. Without this check `https://evil.test/.example.com` would be below
/// `example.com`.
fn is_label(label: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    !label.is_empty() && label.bytes().all(legal)
}

/// The scheme of a URL in lower case (RFC 3986, section 3.1). Apps have schemes of their own, as `capacitor`.
fn is_scheme(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(legal)
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(origin) => f.write_str(origin),
            Self::Below { before, after } => write!(f, "{before}*{after}"),
        }
    }
}
