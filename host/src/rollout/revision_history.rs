//! The revisions of one service: which one serves, and which one a rollback returns to.

use crate::base::Digest;
use crate::mesh::RevisionInfo;
use crate::runtime::Revision;
use std::sync::Arc;
use std::time::SystemTime;

/// The revisions of one service.
#[derive(Default)]
pub(super) struct RevisionHistory {
    /// The revision that serves.
    pub(super) stable: Option<Arc<Revision>>,
    /// The revision that served before it.
    pub(super) previous: Option<Arc<Revision>>,
    /// The digest of the component that the manifest names, as of the start or the last apply.
    pub(super) manifest: Option<Digest>,
}

impl RevisionHistory {
    /// Whether the revision that serves is this one.
    pub(super) fn serves(&self, digest: Digest) -> bool {
        self.stable.as_ref().is_some_and(|stable| stable.digest() == digest)
    }

    /// What is told of the revision that serves, which it does since `since`.
    pub(super) fn told(&self, since: SystemTime) -> Option<RevisionInfo> {
        let digest = self.stable.as_ref()?.digest();
        Some(RevisionInfo {
            digest,
            since,
            differs_from_manifest: self.manifest != Some(digest),
            previous: self.previous.as_ref().map(|revision| revision.digest()),
        })
    }
}
