//! A change that an operator orders.

use super::operation_error::{OperationError, OperationErrorKind};
use super::problem::AdminProblem;
use axum::Json;

/// Runs a change to its end in a task of its own. The handler's future is dropped if the operator disconnects, and a
/// change must not stop half way.
pub(super) async fn finish<T: Send + 'static>(
    change: impl Future<Output = Result<T, OperationError>> + Send + 'static,
) -> Result<Json<T>, AdminProblem> {
    let outcome = tokio::spawn(change).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a change panicked");
        Err(OperationError::new(OperationErrorKind::Internal, "the host failed while it made the change: see its log"))
    });
    Ok(Json(outcome?))
}
