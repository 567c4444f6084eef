//! Where things are: paths, addresses to listen on, and addresses of plain HTTP services.

use crate::config::kind::{Kind, Problem, Text, refused};
use http::Uri;
use http::uri::Scheme;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use toml::Spanned;
use toml::de::DeValue;

/// A path, absolute or relative to the manifest.
pub(super) struct File;

impl Kind for File {
    type Value = PathBuf;

    fn accepts(&self) -> String {
        "a path".into()
    }

    fn help(&self) -> String {
        "write a path in quotes, absolute or relative to the manifest".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<PathBuf, Vec<Problem>> {
        let path = Text { min: 1 }.read(value).ok().filter(|path| !path.contains('\0'));
        path.map(PathBuf::from).ok_or_else(|| refused(self, value))
    }
}

/// An IP address and a port to listen on.
pub(super) struct Address;

impl Kind for Address {
    type Value = SocketAddr;

    fn accepts(&self) -> String {
        "an IP address and a port".into()
    }

    fn help(&self) -> String {
        "write \"127.0.0.1:8080\" for this machine alone, \"0.0.0.0:8080\" or \"[::]:8080\" for every network; port 0 takes any free one"
            .into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<SocketAddr, Vec<Problem>> {
        value.get_ref().as_str().and_then(|text| text.parse().ok()).ok_or_else(|| refused(self, value))
    }
}

/// An IP address without a port.
pub(super) struct Ip;

impl Kind for Ip {
    type Value = IpAddr;

    fn accepts(&self) -> String {
        "an IP address".into()
    }

    fn help(&self) -> String {
        "write one address in quotes, without port or network mask: \"10.0.0.7\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<IpAddr, Vec<Problem>> {
        value.get_ref().as_str().and_then(|text| text.parse().ok()).ok_or_else(|| refused(self, value))
    }
}

/// The address of a plain HTTP service: scheme, host and port, nothing more.
pub(super) struct HttpAddress;

impl Kind for HttpAddress {
    type Value = Uri;

    fn accepts(&self) -> String {
        "an http:// address".into()
    }

    fn help(&self) -> String {
        "write scheme, host and port: \"http://127.0.0.1:5001\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Uri, Vec<Problem>> {
        let text = value.get_ref().as_str().ok_or_else(|| refused(self, value))?;
        let problem =
            |says: &str, help: &str| vec![Problem { span: value.span(), says: says.into(), help: help.into() }];
        let uri: Uri = text.parse().map_err(|_| refused(self, value))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(refused(self, value));
        };
        if *scheme == Scheme::HTTPS {
            return Err(problem(
                "cannot be https:// yet: the host calls plain HTTP services only",
                "write http:// and keep that traffic on a network that you trust, or put a proxy that speaks TLS beside the host",
            ));
        }
        if authority.as_str().contains('@') {
            return Err(problem("must not hold a user or a password", &self.help()));
        }
        if uri.path() != "/" || uri.query().is_some() || text.contains('#') {
            return Err(problem(
                "must end after the host and port, without path or query",
                "paths come from the request; a route changes them with `strip_prefix` or `rewrite`",
            ));
        }
        // `Uri` lets a port stand that is none, and then says that there is no port.
        let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        let port_is_right = port.is_empty() || authority.port_u16().is_some_and(|port| port > 0);
        let usable = *scheme == Scheme::HTTP && !authority.host().is_empty() && port_is_right;
        usable.then_some(uri).ok_or_else(|| refused(self, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Uri, String> {
        let quoted = format!("\"{text}\"");
        let value = DeValue::parse(&quoted).expect("a string");
        HttpAddress.read(&value).map_err(|problems| problems.into_iter().map(|problem| problem.says).collect())
    }

    #[test]
    fn an_http_address_is_scheme_host_and_port() {
        for good in ["http://127.0.0.1:5001", "http://127.0.0.1:5001/", "http://legacy.internal", "http://[::1]:80"] {
            assert!(read(good).is_ok(), "{good}");
        }
        for (bad, said) in [
            ("127.0.0.1:5001", "an http:// address"),
            ("ftp://a:1", "an http:// address"),
            ("http://", "an http:// address"),
            ("http://a:0", "an http:// address"),
            ("http://a:", "an http:// address"),
            ("http://a:65536", "an http:// address"),
            ("/users", "an http:// address"),
            ("https://a:1", "https:// yet"),
            ("http://u:p@a:1", "user or a password"),
            ("http://a:1/base", "without path or query"),
            ("http://a:1?q=1", "without path or query"),
            ("http://a:1/#f", "without path or query"),
        ] {
            let says = read(bad).expect_err(bad);
            assert!(says.contains(said), "{bad}: {says}");
        }
    }
}
