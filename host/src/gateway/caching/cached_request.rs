//! A request as the cache sees it.

use crate::base::{CallContext, HostAndPort, is_login};
use crate::cache::{CacheKey, CachePolicy, KeyDigest};
use http::request::Parts;

/// A request on its way through the gateway.
pub(in crate::gateway) struct CachedRequest<'a> {
    pub(in crate::gateway) head: &'a Parts,
    /// Whether it has no content, and is no handshake of a WebSocket.
    pub(in crate::gateway) is_bare: bool,
    pub(in crate::gateway) at: RequestPlace<'a>,
    /// What its call would have.
    pub(in crate::gateway) context: &'a CallContext,
}

/// Where a request came, and whither it leads.
#[derive(Clone, Copy)]
pub(in crate::gateway) struct RequestPlace<'a> {
    /// The host that its client named.
    pub(in crate::gateway) host: Option<HostAndPort<'a>>,
    /// Whether its connection has TLS.
    pub(in crate::gateway) secure: bool,
    /// Whether it comes from a trusted proxy.
    pub(in crate::gateway) trusted: bool,
    /// The position of its route.
    pub(in crate::gateway) route: usize,
}

/// What a trusted proxy says of its own client. Services read it, so it is part of the key, as is who has logged in at
/// the proxy: no client gets the page of another.
const TOLD: [&str; 8] = [
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-prefix",
    // oauth2-proxy.
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
];

impl CachedRequest<'_> {
    /// Its URI.
    pub(super) fn key(&self) -> CacheKey {
        CacheKey::new(self.at.secure, self.at.host, self.head.uri.path(), self.head.uri.query())
    }

    /// What the route's key, and a trusted proxy's word, add to it.
    pub(super) fn digest(&self, policy: &CachePolicy) -> KeyDigest {
        let headers = &self.head.headers;
        let told: Vec<&[u8]> = if self.at.trusted {
            let told = TOLD.iter().flat_map(|name| headers.get_all(*name));
            let logins = headers.iter().filter(|(name, _)| is_login(name.as_str())).map(|(_, line)| line);
            told.chain(logins).map(|line| line.as_bytes()).collect()
        } else {
            Vec::new()
        };
        KeyDigest::of((self.at.route, policy), headers, self.context.identity.as_deref(), &told)
    }
}
