//! What every handler takes: the shared state, and the service's name in the path.

use super::problem::AdminProblem;
use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The state that the handlers share.
pub(super) struct AdminState<O> {
    pub(super) operations: Arc<O>,
    /// One permit for each swap that may run now.
    pub(super) swaps: Arc<Semaphore>,
}

/// The service's name in the path.
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = AdminProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AdminProblem> {
        // A path that is not UTF-8 names no service.
        let name = Path::<String>::from_request_parts(parts, state).await;
        name.map(|Path(name)| Self(name)).map_err(|_| AdminProblem::no_service("\u{fffd}"))
    }
}
