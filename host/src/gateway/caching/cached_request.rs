//! A request as the cache sees it.

use crate::base::{CallContext, HostAndPort};
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

/// What a trusted proxy says of what its own client named. Services read it, so it is part of the key.
const TOLD: [&str; 3] = ["x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix"];

impl CachedRequest<'_> {
    /// Its URI.
    pub(super) fn key(&self) -> CacheKey {
        CacheKey::new(self.at.secure, self.at.host, self.head.uri.path(), self.head.uri.query())
    }

    /// What the route's key, and a trusted proxy's word, add to it.
    pub(super) fn digest(&self, policy: &CachePolicy) -> KeyDigest {
        let headers = &self.head.headers;
        let told: Vec<&[u8]> = if self.at.trusted {
            TOLD.iter().flat_map(|name| headers.get_all(*name)).map(|line| line.as_bytes()).collect()
        } else {
            Vec::new()
        };
        KeyDigest::of(policy, headers, self.context.identity.as_deref(), &told)
    }
}
