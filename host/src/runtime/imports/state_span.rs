//! The spans of a guest's use of its store.

use crate::base::OpenSpan;
use crate::runtime::context::context::Context;
use crate::state::Bucket;

/// A service's own bucket for one operation, with the span of that.
pub(super) struct OwnBucket {
    pub(super) bucket: Bucket,
    pub(super) span: Option<OpenSpan>,
}

impl OwnBucket {
    /// The bucket of the guest with this context. `operation` is the name of the function that it calls.
    pub(super) fn of(context: &Context, operation: &'static str) -> Self {
        let grants = &context.identity.grants;
        let bucket = grants.state.as_ref().or(grants.publish.as_ref().map(|grant| &grant.bucket)).cloned();
        let bucket = bucket.expect("a component that uses a store or publishes is not loaded without a grant");
        Self { bucket, span: open(context, operation) }
    }
}

/// Begins the span of an operation on the store, if the guest's call is traced.
pub(super) fn open(context: &Context, operation: &'static str) -> Option<OpenSpan> {
    let mut span = context.open_span("state")?;
    span.reserve(2);
    span.attribute("db.system.name", "atoll");
    span.attribute("db.operation.name", operation);
    Some(span)
}

/// The outcome of `work`, after which its span ends.
pub(super) async fn traced<T, E>(span: Option<OpenSpan>, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let outcome = work.await;
    if let (Some(mut span), Err(_)) = (span, &outcome) {
        span.fail("state");
    }
    outcome
}
