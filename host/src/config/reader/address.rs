//! Socket addresses to listen on, and IP addresses of peers.

use super::kind::{KindError, ValueKind, refused};
use std::net::{IpAddr, SocketAddr};
use toml::Spanned;
use toml::de::DeValue;

/// An IP address and a port to listen on.
pub(crate) struct SocketAddressKind;

impl ValueKind for SocketAddressKind {
    type Value = SocketAddr;

    fn accepts(&self) -> String {
        "an IP address and a port".into()
    }

    fn help(&self) -> String {
        "write \"127.0.0.1:8080\" for this machine alone, \"0.0.0.0:8080\" or \"[::]:8080\" for every network; port 0 \
         takes any free port"
            .into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<SocketAddr, Vec<KindError>> {
        value.get_ref().as_str().and_then(|text| text.parse().ok()).ok_or_else(|| refused(self, value))
    }
}

/// An IP address without a port.
pub(crate) struct IpAddressKind;

impl ValueKind for IpAddressKind {
    type Value = IpAddr;

    fn accepts(&self) -> String {
        "an IP address".into()
    }

    fn help(&self) -> String {
        "write one address in quotes, without port or network mask: \"10.0.0.7\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<IpAddr, Vec<KindError>> {
        value.get_ref().as_str().and_then(|text| text.parse().ok()).ok_or_else(|| refused(self, value))
    }
}
