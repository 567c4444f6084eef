//! The step of a saga that has made a call.

use std::sync::Arc;

/// The step of a saga, as the function that it calls learns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SagaCall {
    /// The key of the saga: `checkout/ID`.
    pub saga: String,
    /// The name of the step.
    pub step: Arc<str>,
    /// Whether the call undoes the step.
    pub undo: bool,
}

impl SagaCall {
    /// The key of the step: the same in each try of its action and of what undoes it.
    pub fn key(&self) -> String {
        format!("{}/{}", self.saga, self.step)
    }
}
