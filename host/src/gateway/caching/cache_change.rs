//! A request that may change what is kept (RFC 9111, section 4.4).

use super::shared_cache::SharedCache;
use crate::base::Body;
use crate::cache::CacheKey;
use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderName, Response};
use std::sync::Arc;

/// A request with a method that is not safe. What it changes is known when its answer has come. If it was sent and none
/// comes, since the call fails or the client goes away, nobody knows whether it has changed anything: it counts as if
/// it had.
pub(in crate::gateway) struct CacheChange {
    cache: Arc<SharedCache>,
    key: CacheKey,
    /// Whether it is with the service: it was sent, and has no answer yet.
    is_open: bool,
}

impl CacheChange {
    pub(super) fn new(cache: Arc<SharedCache>, key: CacheKey) -> Self {
        Self { cache, key, is_open: false }
    }

    /// The request goes to its service now.
    pub(super) fn send(&mut self) {
        self.is_open = true;
    }

    /// The request has `answer`, as the client gets it. If it says that the request was done, what is kept for its URI
    /// goes, and for those that `Location` and `Content-Location` name.
    pub(super) fn settle(mut self, answer: &Response<Body>) {
        self.is_open = false;
        if answer.status().is_success() || answer.status().is_redirection() {
            let named = |name: HeaderName| self.key.named_by(answer.headers().get(name)?.to_str().ok()?);
            let named = [LOCATION, CONTENT_LOCATION].into_iter().filter_map(named);
            let keys: Vec<CacheKey> = named.chain([self.key.clone()]).collect();
            self.cache.invalidate(&keys);
        }
    }
}

impl Drop for CacheChange {
    fn drop(&mut self) {
        if self.is_open {
            self.cache.invalidate(std::slice::from_ref(&self.key));
        }
    }
}
