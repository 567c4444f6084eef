//! A change that an operator orders.

use super::operation_error::{OperationError, OperationErrorKind};
use super::problem::AdminProblem;
use crate::telemetry::{as_operator, operator};
use axum::Json;

/// Runs a change to its end in a task of its own. The handler's future is dropped if the operator disconnects, and a
/// change must not stop half way.
pub(super) async fn finish<T: Send + 'static>(
    change: impl Future<Output = Result<T, OperationError>> + Send + 'static,
) -> Result<Json<T>, AdminProblem> {
    // The task of its own works for the same operator.
    let operator = operator().unwrap_or_else(|| "host".into());
    let outcome = tokio::spawn(as_operator(operator, change)).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a change panicked");
        Err(OperationError::new(OperationErrorKind::Internal, "the host failed while it made the change: see its log"))
    });
    Ok(Json(outcome?))
}
