//! Why a manifest was not applied, as an operator reads it. Nothing has changed then.

use crate::admin::{OperationError, OperationErrorKind};
use crate::base::{Digest, ServiceName};
use crate::config::{ChangeClass, ManifestChange, ManifestErrors, RenderStyle};
use crate::rollout::SwapError;

/// The manifest cannot be served: all that is wrong with it.
pub(super) fn wrong(error: anyhow::Error) -> OperationError {
    let text = match error.downcast::<ManifestErrors>() {
        Ok(errors) => errors.render(RenderStyle::Plain),
        Err(error) => format!("{error:#}"),
    };
    OperationError::new(OperationErrorKind::Refused, format!("the manifest cannot be served:\n{text}"))
}

/// What is served is not what the operator has seen.
pub(super) fn moved() -> OperationError {
    let message = "the host serves something else by now than when the plan was made: look at the plan again";
    OperationError::new(OperationErrorKind::Conflict, message)
}

/// The manifest needs a restart.
pub(super) fn needs_restart(changes: &[ManifestChange]) -> OperationError {
    let restart = changes.iter().filter(|change| change.class == ChangeClass::Restart);
    let keys: Vec<_> = restart.map(|change| format!("{} ({})", change.key, change.reason)).collect();
    let message = format!(
        "the host must be restarted for these changes, so nothing was changed: {}. Take them out of the manifest to \
         apply the others, or restart the host",
        keys.join("; ")
    );
    OperationError::new(OperationErrorKind::Conflict, message)
}

/// The nodes of the cluster have agreed on another component.
pub(super) fn of_cluster(name: &ServiceName, after: Digest, agreed: Digest) -> OperationError {
    let message = format!(
        "the nodes of the cluster have agreed on revision {} of `{name}`, and the manifest's component is {}: `atoll \
         swap {name} FILE` gives another one to all nodes, and `atoll adopt {name}` writes theirs into this manifest's \
         file; then apply again",
        agreed.short(),
        after.short()
    );
    OperationError::new(OperationErrorKind::Conflict, message)
}

/// The host serves a part of its manifest.
pub(super) fn partial() -> OperationError {
    let message = "the host serves without some of its services or routes: restart it to apply a manifest";
    OperationError::new(OperationErrorKind::Conflict, message)
}

/// A service cannot be exchanged.
pub(super) fn of_service((service, error): (ServiceName, SwapError)) -> OperationError {
    let kind = match &error {
        SwapError::UnderWay(_) | SwapError::Moved(_) | SwapError::Busy(_) => OperationErrorKind::Conflict,
        SwapError::Host(_) | SwapError::History(_) => OperationErrorKind::Internal,
        _ => OperationErrorKind::Refused,
    };
    let text = match &error {
        SwapError::UnderWay(_) => format!(
            "service `{service}` has a rollout or a swap under way, which this manifest would change: wait for its \
             end, or end it by `atoll rollout {service} promote`, `rollback` or `abort`, and apply again"
        ),
        // These name it.
        SwapError::Moved(_) | SwapError::Replaced(_) | SwapError::NoComponent(_) => error.to_string(),
        error => format!("service `{service}`: {error}"),
    };
    OperationError::new(kind, format!("nothing was changed: {text}"))
}

/// The host failed.
pub(super) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> OperationError {
    OperationError::caused_by(OperationErrorKind::Internal, error)
}
