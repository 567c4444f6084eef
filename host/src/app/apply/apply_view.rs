//! What a manifest would change, as an operator sees it.

use crate::admin::PlannedChangeView;
use crate::base::{Digest, ServiceName};
use crate::config::{ChangeClass, ManifestChange};

/// One change.
pub(super) fn change(change: &ManifestChange) -> PlannedChangeView {
    let ManifestChange { key, class, reason, before, after } = change.clone();
    PlannedChangeView { key, class: class.to_string(), reason: reason.to_owned(), before, after }
}

/// Another component for a service that serves. `against`: the nodes of the cluster have agreed on another one, so it
/// is shown and not applied.
pub(super) fn swap(
    service: &ServiceName,
    (before, after): (Option<Digest>, Option<Digest>),
    against: bool,
) -> ManifestChange {
    let reason = match against {
        true => {
            "not by this: all nodes have agreed on theirs; `atoll swap` gives it to all, `atoll adopt` keeps theirs"
        }
        false => "the component is checked and started before it gets calls",
    };
    ManifestChange {
        key: format!("service.{service}.component"),
        class: ChangeClass::Swap,
        reason,
        before: before.map(|digest| digest.short()),
        after: after.map(|digest| digest.short()),
    }
}
