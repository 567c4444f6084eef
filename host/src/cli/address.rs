//! The address of an admin.

use http::Uri;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// The base URL of an admin, without a slash at the end: `http://127.0.0.1:9090`, or with `https`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AdminAddress(String);

/// A text that is not an [`AdminAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidAddress {
    #[error("it must look like http://127.0.0.1:9090, or begin with https://")]
    Form,
    #[error("only http and https are supported")]
    Scheme,
    #[error("no user or password belongs here: the token goes into ATOLL_ADMIN_TOKEN")]
    UserInfo,
}

impl AdminAddress {
    /// The address of an admin by default: the manifest's default.
    pub(super) fn by_default() -> Self {
        Self("http://127.0.0.1:9090".into())
    }

    /// The address of an admin on this socket.
    pub(super) fn on(socket: SocketAddr, secure: bool) -> Self {
        let scheme = if secure { "https" } else { "http" };
        Self(format!("{scheme}://{socket}"))
    }

    /// Whether it is on this machine: a loopback address, or `localhost`.
    pub(super) fn is_local(&self) -> bool {
        let url = self.0.parse::<Uri>().ok();
        let host = url.as_ref().and_then(Uri::host).unwrap_or_default();
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        host.eq_ignore_ascii_case("localhost") || literal.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Whether the admin is reached by TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// The URL of one of the admin's resources; `path` starts with a slash.
    pub(super) fn resource(&self, path: &str) -> String {
        format!("{self}{path}")
    }
}

impl FromStr for AdminAddress {
    type Err = InvalidAddress;

    /// Reads `host:port` as `http://host:port`.
    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = text.parse().map_err(|_| InvalidAddress::Form)?;
        let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme));
        let scheme = scheme.ok_or(InvalidAddress::Scheme)?;
        let authority = uri.authority().filter(|authority| !authority.host().is_empty()).ok_or(InvalidAddress::Form)?;
        if authority.as_str().contains('@') {
            return Err(InvalidAddress::UserInfo);
        }
        if uri.query().is_some() {
            return Err(InvalidAddress::Form);
        }
        Ok(Self(format!("{scheme}://{authority}{}", uri.path().trim_end_matches('/'))))
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_addresses_without_user_and_query_are_accepted() {
        for (text, base) in [
            ("http://127.0.0.1:9090", "http://127.0.0.1:9090"),
            ("http://localhost/", "http://localhost"),
            ("localhost:4000", "http://localhost:4000"),
            ("[::1]:9090", "http://[::1]:9090"),
            ("http://ops.example/atoll/", "http://ops.example/atoll"),
            ("https://ops.example/atoll/", "https://ops.example/atoll"),
        ] {
            assert_eq!(text.parse(), Ok(AdminAddress(base.into())), "{text}");
        }
        assert_eq!(
            "http://a:1".parse::<AdminAddress>().map(|a| a.resource("/healthz")),
            Ok("http://a:1/healthz".into())
        );
        for (text, error) in [
            ("", InvalidAddress::Form),
            ("http://", InvalidAddress::Form),
            ("http://a b", InvalidAddress::Form),
            ("http://a/?b", InvalidAddress::Form),
            ("ftp://a", InvalidAddress::Scheme),
            ("http://token@a", InvalidAddress::UserInfo),
        ] {
            assert_eq!(text.parse::<AdminAddress>(), Err(error), "{text}");
        }
    }
}
