//! A guest's use of its store: each operation with its span, and with a note of what the guest is handed.

use crate::base::OpenSpan;
use crate::runtime::context::call_notes::CallNotes;
use crate::runtime::context::context::Context;
use crate::state::{Bucket, Committed, Entry, Key, Page, StateError, Transaction, Versioned};

/// A service's own bucket for one operation, with the span of that, and what is noted of the call.
pub(super) struct OwnBucket {
    pub(super) bucket: Bucket,
    operation: &'static str,
    span: Option<OpenSpan>,
    notes: Option<CallNotes>,
}

impl OwnBucket {
    /// The bucket of the guest with this context. `operation` is the name of the function that it calls.
    pub(super) fn of(context: &Context, operation: &'static str) -> Self {
        let grants = &context.identity.grants;
        let bucket = grants.state.as_ref().or(grants.publish.as_ref().map(|grant| &grant.bucket)).cloned();
        let bucket = bucket.expect("a component that uses a store or publishes is not loaded without a grant");
        Self::opened(context, bucket, operation)
    }

    /// As [`OwnBucket::of`], for a guest that has opened its bucket itself.
    pub(super) fn opened(context: &Context, bucket: Bucket, operation: &'static str) -> Self {
        Self { bucket, operation, span: open(context, operation), notes: context.notes() }
    }

    /// As [`Bucket::get`].
    pub(super) async fn get(self, keys: Vec<Key>) -> Result<Vec<Option<Versioned>>, StateError> {
        let Some(notes) = self.notes else { return traced(self.span, self.bucket.get(keys)).await };
        notes.before_values(&self.bucket, &keys);
        let outcome = traced(self.span, self.bucket.get(keys.clone())).await;
        match &outcome {
            Ok(found) => notes.state_values(&keys, found),
            Err(_) => notes.state_failure(),
        }
        outcome
    }

    /// As [`Bucket::scan`].
    pub(super) async fn scan(self, prefix: Key, after: Option<Key>, limit: usize) -> Result<Page<Entry>, StateError> {
        let Some(notes) = self.notes else { return traced(self.span, self.bucket.scan(prefix, after, limit)).await };
        let watch = notes.before_page(&self.bucket, &prefix, after.as_deref());
        let outcome = traced(self.span, self.bucket.scan(prefix.clone(), after.clone(), limit)).await;
        match &outcome {
            Ok(page) => {
                notes.after_page(&self.bucket, (&prefix, after.as_deref()), watch, page.next.as_deref());
                notes.state_entries((&prefix, after.as_deref(), limit), page);
            }
            Err(_) => notes.state_failure(),
        }
        outcome
    }

    /// As [`Bucket::keys`].
    pub(super) async fn keys(self, prefix: Key, after: Option<Key>, limit: usize) -> Result<Page<Key>, StateError> {
        let Some(notes) = self.notes else { return traced(self.span, self.bucket.keys(prefix, after, limit)).await };
        let watch = notes.before_page(&self.bucket, &prefix, after.as_deref());
        let outcome = traced(self.span, self.bucket.keys(prefix.clone(), after.clone(), limit)).await;
        match &outcome {
            Ok(page) => {
                notes.after_page(&self.bucket, (&prefix, after.as_deref()), watch, page.next.as_deref());
                notes.state_keys((&prefix, after.as_deref(), limit), page);
            }
            Err(_) => notes.state_failure(),
        }
        outcome
    }

    /// The outcome of `commit`, a change of this bucket.
    pub(super) async fn change<E>(self, commit: impl Future<Output = Result<Committed, E>>) -> Result<Committed, E> {
        let outcome = traced(self.span, commit).await;
        if let Some(notes) = self.notes {
            notes.state_change(self.operation, &outcome);
        }
        outcome
    }

    /// As [`Bucket::commit`].
    pub(super) async fn commit(self, transaction: Transaction) -> Result<Committed, StateError> {
        let bucket = self.bucket.clone();
        self.change(bucket.commit(transaction)).await
    }
}

/// Begins the span of an operation on the store, if the guest's call is traced.
fn open(context: &Context, operation: &'static str) -> Option<OpenSpan> {
    let mut span = context.open_span("state")?;
    span.reserve(2);
    span.attribute("db.system.name", "atoll");
    span.attribute("db.operation.name", operation);
    Some(span)
}

/// The outcome of `work`, after which its span ends.
async fn traced<T, E>(span: Option<OpenSpan>, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let outcome = work.await;
    if let (Some(mut span), Err(_)) = (span, &outcome) {
        span.fail("state");
    }
    outcome
}
