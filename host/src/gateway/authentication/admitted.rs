//! A caller that a route lets in.

use crate::base::Identity;
use http::{HeaderMap, HeaderName};
use std::sync::Arc;

/// Who was let in, and which headers of the request were credentials.
pub(in crate::gateway) struct Admitted<'a> {
    pub(in crate::gateway) identity: Arc<Identity>,
    /// The headers in which the route's policies look for credentials.
    pub(super) headers: &'a [HeaderName],
    /// The one of them that its policy passes on.
    pub(super) kept: Option<&'a HeaderName>,
}

impl Admitted<'_> {
    /// Removes the credentials, also those that proved nobody: a service could believe them.
    pub(in crate::gateway) fn strip(&self, headers: &mut HeaderMap) {
        for name in self.headers.iter().filter(|name| Some(*name) != self.kept) {
            headers.remove(name);
        }
    }
}
