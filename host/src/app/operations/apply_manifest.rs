//! The wish to serve another manifest, as those see it who cannot know how that is done.

use crate::admin::{ApplyOrder, ApplyView, OperationError};
use std::pin::Pin;

/// A manifest that is being applied.
pub(in crate::app) type ApplyFuture<'a> = Pin<Box<dyn Future<Output = Result<ApplyView, OperationError>> + Send + 'a>>;

/// Serves another manifest.
pub(in crate::app) trait ApplyManifest: Send + Sync {
    /// As [`Operations::apply`](crate::admin::Operations::apply).
    fn apply(&self, order: ApplyOrder) -> ApplyFuture<'_>;
}
