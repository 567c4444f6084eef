//! What a manifest would change, as an operator sees it.

use crate::admin::PlannedChangeView;
use crate::base::{Digest, ServiceName};
use crate::config::{ChangeClass, ManifestChange};

/// One change.
pub(super) fn change(change: &ManifestChange) -> PlannedChangeView {
    let ManifestChange { key, class, reason, before, after } = change.clone();
    PlannedChangeView { key, class: class.to_string(), reason: reason.to_owned(), before, after }
}

/// Another component for a service that serves.
pub(super) fn swap(service: &ServiceName, before: Option<Digest>, after: Option<Digest>) -> ManifestChange {
    ManifestChange {
        key: format!("service.{service}.component"),
        class: ChangeClass::Swap,
        reason: "the component is checked and started before it gets calls",
        before: before.map(|digest| digest.short()),
        after: after.map(|digest| digest.short()),
    }
}
