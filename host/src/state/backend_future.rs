//! The future of a database's answer.

use super::error::StateError;
use std::pin::Pin;

/// A future of a backend's answer.
pub type BackendFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StateError>> + Send + 'a>>;
