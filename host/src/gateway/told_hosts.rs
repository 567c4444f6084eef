//! The hosts that a request tells its service, and whose host a reference of the service names.

use crate::base::{HostAndPort, ServiceName};
use http::{HeaderMap, HeaderValue};

/// The hosts by which a service may know itself: the hosts that its request tells it.
pub(super) struct ToldHosts<'a> {
    /// The host that the client named, checked.
    host: Option<HostAndPort<'a>>,
    /// What a trusted proxy says of the host that its own client named.
    forwarded: Option<HeaderValue>,
    /// Whether the client's connection has TLS.
    pub(super) secure: bool,
}

impl<'a> ToldHosts<'a> {
    /// The hosts that a request with these headers tells its service, if its client named `host`. `trusted` is whether
    /// the client is a trusted proxy, `secure` whether its connection has TLS.
    pub(super) fn new(headers: &HeaderMap, host: Option<HostAndPort<'a>>, trusted: bool, secure: bool) -> Self {
        let last = || headers.get_all("x-forwarded-host").iter().next_back().cloned();
        Self { host, secure, forwarded: if trusted { last() } else { None } }
    }

    /// Whose host the authority of a reference is that `service` wrote.
    pub(super) fn origin(&self, authority: &str, default_port: u16, service: &ServiceName) -> Origin {
        let Some(authority) = HostAndPort::parse(authority) else { return Origin::Foreign };
        let is = |host: HostAndPort<'_>| host.is_same(authority, default_port);
        let forwarded = self.forwarded.as_ref().and_then(|hosts| hosts.to_str().ok()).unwrap_or_default();
        if self.host.is_some_and(is) || forwarded.split(',').filter_map(|host| HostAndPort::parse(host.trim())).any(is)
        {
            return Origin::Public;
        }
        match self.host {
            None if authority.as_str().eq_ignore_ascii_case(service.as_str()) => Origin::Internal,
            _ => Origin::Foreign,
        }
    }
}

/// Whose host stands in a reference that a service wrote.
pub(super) enum Origin {
    /// A host that the request told the service. The client knows it.
    Public,
    /// The service's own name, which it is told where the client names no host. The client cannot resolve it.
    Internal,
    /// Any other host.
    Foreign,
}
