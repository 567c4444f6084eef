//! A guest's use of its store: each operation counted, with its span, on the call's tape, and with a note of what the
//! guest is handed.

use crate::base::{OpenSpan, TraceParent};
use crate::recording::{Blob, RecordedCommit, RecordedQuestion, RecordedReply, RefusalCase};
use crate::runtime::context::call_notes::CallNotes;
use crate::runtime::context::context::Context;
use crate::runtime::tape::call_tape::CallTape;
use crate::state::{Bucket, Change, Committed, Entry, Key, Page, StateError, Transaction, Versioned};
use crate::telemetry::{PoolMetrics, StateOperation};
use std::sync::Arc;
use std::time::Instant;

/// A service's own bucket for one operation, with the span of that, and what is noted of the call.
pub(super) struct OwnBucket {
    pub(super) bucket: Bucket,
    operation: &'static str,
    span: Option<OpenSpan>,
    notes: Option<CallNotes>,
    /// The service's counters. A replay asks the store nothing, so it counts nothing.
    metrics: Arc<PoolMetrics>,
    /// The tape of the call.
    pub(super) tape: CallTape,
}

impl OwnBucket {
    /// Its operation's place in the trace of the call, if that is traced.
    pub(super) fn place(&self) -> Option<TraceParent> {
        self.span.as_ref().map(|span| span.scope().parent())
    }

    /// The bucket of the guest with this context. `operation` is the name of the function that it calls.
    pub(super) fn of(context: &Context, operation: &'static str) -> Self {
        let grants = &context.identity.grants;
        let bucket = grants.state.as_ref().or(grants.publish.as_ref().map(|grant| &grant.bucket)).cloned();
        let bucket = bucket.expect("a component that uses a store or publishes is not loaded without a grant");
        Self::opened(context, bucket, operation)
    }

    /// As [`OwnBucket::of`], for a guest that has opened its bucket itself.
    pub(super) fn opened(context: &Context, bucket: Bucket, operation: &'static str) -> Self {
        let (span, notes, tape) = (open(context, operation), context.notes(), context.identity.tape.clone());
        // What a migration does is the host's, and may be given up.
        let metrics = if tape.is_confined() { Arc::default() } else { Arc::clone(context.memory.metrics()) };
        Self { bucket, operation, span, notes, metrics, tape }
    }

    /// As [`Bucket::get`].
    pub(super) async fn get(self, keys: Vec<Key>) -> Result<Vec<Option<Versioned>>, StateError> {
        // Boxed where there is a tape: a call without one would pay for the size of the future.
        if self.tape.is_off() { self.get_now(keys).await } else { Box::pin(self.get_taped(keys)).await }
    }

    async fn get_taped(mut self, keys: Vec<Key>) -> Result<Vec<Option<Versioned>>, StateError> {
        let tape = std::mem::take(&mut self.tape);
        let asked = keys.iter().cloned().map(Blob::from).collect();
        let question = || RecordedQuestion::Get { keys: asked };
        tape.ask(question, self.get_now(keys), recorded_values, played_values).await
    }

    async fn get_now(self, keys: Vec<Key>) -> Result<Vec<Option<Versioned>>, StateError> {
        let own = (self.span, &*self.metrics, StateOperation::Get);
        let Some(notes) = self.notes else {
            return read(own, self.bucket.get(keys), |found| bytes_of_values(found)).await;
        };
        notes.before_values(&self.bucket, &keys);
        let outcome = read(own, self.bucket.get(keys.clone()), |found| bytes_of_values(found)).await;
        match &outcome {
            Ok(found) => notes.state_values(&keys, found),
            Err(_) => notes.state_failure(),
        }
        outcome
    }

    /// As [`Bucket::scan`].
    pub(super) async fn scan(self, prefix: Key, after: Option<Key>, limit: usize) -> Result<Page<Entry>, StateError> {
        if self.tape.is_off() {
            return self.scan_now(prefix, after, limit).await;
        }
        Box::pin(self.scan_taped(prefix, after, limit)).await
    }

    async fn scan_taped(mut self, prefix: Key, after: Option<Key>, limit: usize) -> Result<Page<Entry>, StateError> {
        let tape = std::mem::take(&mut self.tape);
        let question = asked_page(&prefix, after.as_ref(), limit.max(1));
        let entry = |Entry { key, value }: &Entry| (key.clone().into(), value.value.clone().into(), value.version);
        let played = |(key, value, version): (Blob, Blob, u64)| Entry {
            key: key.bytes().to_vec(),
            value: Versioned { value: value.bytes().to_vec(), version },
        };
        let live = self.scan_now(prefix, after, limit);
        tape.ask(question, live, |page| recorded_page(page, entry), |reply| played_page(reply, played)).await
    }

    async fn scan_now(self, prefix: Key, after: Option<Key>, limit: usize) -> Result<Page<Entry>, StateError> {
        let own = (self.span, &*self.metrics, StateOperation::Scan);
        let Some(notes) = self.notes else {
            return read(own, self.bucket.scan(prefix, after, limit), bytes_of_entries).await;
        };
        let watch = notes.before_page(&self.bucket, &prefix, after.as_deref());
        let outcome = read(own, self.bucket.scan(prefix.clone(), after.clone(), limit), bytes_of_entries).await;
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
        if self.tape.is_off() {
            return self.keys_now(prefix, after, limit).await;
        }
        Box::pin(self.keys_taped(prefix, after, limit)).await
    }

    async fn keys_taped(mut self, prefix: Key, after: Option<Key>, limit: usize) -> Result<Page<Key>, StateError> {
        let tape = std::mem::take(&mut self.tape);
        let question = asked_page(&prefix, after.as_ref(), 0);
        let key = |key: &Key| (key.clone().into(), Blob::default(), 0);
        let played = |(key, _, _): (Blob, Blob, u64)| key.bytes().to_vec();
        let live = self.keys_now(prefix, after, limit);
        tape.ask(question, live, |page| recorded_page(page, key), |reply| played_page(reply, played)).await
    }

    /// As [`Bucket::key_of_cursor`].
    pub(super) async fn key_of_cursor(self, cursor: u64) -> Result<Option<Key>, StateError> {
        if self.tape.is_off() {
            return self.bucket.key_of_cursor(cursor).await;
        }
        Box::pin(self.key_of_cursor_taped(cursor)).await
    }

    async fn key_of_cursor_taped(mut self, cursor: u64) -> Result<Option<Key>, StateError> {
        let tape = std::mem::take(&mut self.tape);
        let recorded = |answer: &Result<Option<Key>, StateError>| match answer {
            Ok(key) => Some(RecordedReply::Key(key.clone().map(Blob::from))),
            Err(error) => Some(refused(error)),
        };
        let played = |reply| match reply {
            RecordedReply::Key(key) => Some(Ok(key.map(|key| key.bytes().to_vec()))),
            reply => played_refusal(reply).map(Err),
        };
        let live = self.bucket.key_of_cursor(cursor);
        tape.ask(|| RecordedQuestion::Cursor { cursor }, live, recorded, played).await
    }

    async fn keys_now(self, prefix: Key, after: Option<Key>, limit: usize) -> Result<Page<Key>, StateError> {
        let own = (self.span, &*self.metrics, StateOperation::Scan);
        let Some(notes) = self.notes else {
            return read(own, self.bucket.keys(prefix, after, limit), bytes_of_keys).await;
        };
        let watch = notes.before_page(&self.bucket, &prefix, after.as_deref());
        let outcome = read(own, self.bucket.keys(prefix.clone(), after.clone(), limit), bytes_of_keys).await;
        match &outcome {
            Ok(page) => {
                notes.after_page(&self.bucket, (&prefix, after.as_deref()), watch, page.next.as_deref());
                notes.state_keys((&prefix, after.as_deref(), limit), page);
            }
            Err(_) => notes.state_failure(),
        }
        outcome
    }

    /// The outcome of `commit`, a change of this bucket, which says how many bytes it has written.
    pub(super) async fn change(
        self,
        commit: impl Future<Output = Result<(Committed, usize), StateError>>,
    ) -> Result<Committed, StateError> {
        let state = self.metrics.state();
        state.began(StateOperation::Commit);
        let began = Instant::now();
        let outcome = traced(self.span, commit).await;
        state.committed(began.elapsed());
        let outcome = match outcome {
            Ok((committed, bytes)) => {
                state.wrote(bytes);
                Ok(committed)
            }
            Err(error) => {
                state.failed(error.failure());
                Err(error)
            }
        };
        if let Some(notes) = self.notes {
            notes.state_change(self.operation, &outcome);
        }
        outcome
    }

    /// As [`Bucket::commit`].
    pub(super) async fn commit(self, transaction: Transaction) -> Result<Committed, StateError> {
        if self.tape.is_off() {
            return self.commit_now(transaction).await;
        }
        Box::pin(self.commit_taped(transaction)).await
    }

    async fn commit_taped(mut self, transaction: Transaction) -> Result<Committed, StateError> {
        let tape = std::mem::take(&mut self.tape);
        let asked = recorded_commit(&transaction);
        let recorded = |answer: &Result<Committed, StateError>| match answer {
            Ok(committed) => Some(recorded_change(committed)),
            Err(error) => Some(refused(error)),
        };
        let played = |reply| match reply {
            RecordedReply::Change { version, sums } => Some(Ok(Committed { version, sums })),
            reply => played_refusal(reply).map(Err),
        };
        tape.ask(|| RecordedQuestion::Commit(asked), self.commit_now(transaction), recorded, played).await
    }

    async fn commit_now(self, transaction: Transaction) -> Result<Committed, StateError> {
        let (bucket, bytes) = (self.bucket.clone(), transaction.written());
        let commit = async move { bucket.commit(transaction).await.map(|committed| (committed, bytes)) };
        self.change(commit).await
    }
}

/// What a commit changes, as a recording has it; the events come beside.
pub(super) fn recorded_commit(transaction: &Transaction) -> RecordedCommit {
    let write = |(key, change): &(Key, Change)| {
        let value = match change {
            Change::Put(value) | Change::Append(value) => Some(value.clone().into()),
            Change::Add(delta) => Some(format!("+{delta}").into()),
            Change::Delete => None,
        };
        (key.clone().into(), value)
    };
    RecordedCommit {
        checks: transaction.checks.iter().map(|(key, version)| (key.clone().into(), *version)).collect(),
        writes: transaction.writes.iter().map(write).collect(),
        events: Vec::new(),
    }
}

/// A commit that was made.
pub(super) fn recorded_change(committed: &Committed) -> RecordedReply {
    RecordedReply::Change { version: committed.version, sums: committed.sums.clone() }
}

/// A failure of the store, as the guest reads it.
pub(super) fn refused(error: &StateError) -> RecordedReply {
    let (case, text) = match error {
        StateError::Conflict { key } => (RefusalCase::Conflict, String::from_utf8_lossy(key).into_owned()),
        StateError::TooLarge { .. } | StateError::EmptyKey | StateError::NotANumber { .. } => {
            (RefusalCase::TooLarge, error.for_guest())
        }
        _ => (RefusalCase::Unavailable, error.for_guest()),
    };
    RecordedReply::Refused { case, text }
}

/// The failure of the store that was recorded; `None`: it is something else.
pub(super) fn played_refusal(reply: RecordedReply) -> Option<StateError> {
    let RecordedReply::Refused { case, text } = reply else { return None };
    match case {
        RefusalCase::Conflict => Some(StateError::Conflict { key: text.into_bytes() }),
        RefusalCase::TooLarge | RefusalCase::Unavailable => {
            Some(StateError::Replayed { text, too_large: case == RefusalCase::TooLarge })
        }
        RefusalCase::NotGranted | RefusalCase::Refused => None,
    }
}

fn recorded_values(answer: &Result<Vec<Option<Versioned>>, StateError>) -> Option<RecordedReply> {
    let value = |value: &Option<Versioned>| value.as_ref().map(|one| (one.value.clone().into(), one.version));
    Some(match answer {
        Ok(values) => RecordedReply::Values(values.iter().map(value).collect()),
        Err(error) => refused(error),
    })
}

fn played_values(reply: RecordedReply) -> Option<Result<Vec<Option<Versioned>>, StateError>> {
    let value = |(value, version): (Blob, u64)| Versioned { value: value.bytes().to_vec(), version };
    match reply {
        RecordedReply::Values(values) => Some(Ok(values.into_iter().map(|one| one.map(value)).collect())),
        reply => played_refusal(reply).map(Err),
    }
}

/// The question for a page.
fn asked_page(prefix: &Key, after: Option<&Key>, limit: usize) -> impl FnOnce() -> RecordedQuestion + use<> {
    let (prefix, after) = (prefix.clone(), after.cloned());
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    move || RecordedQuestion::Scan { prefix: prefix.into(), after: after.map(Blob::from), limit }
}

fn recorded_page<T>(
    answer: &Result<Page<T>, StateError>,
    entry: impl Fn(&T) -> (Blob, Blob, u64),
) -> Option<RecordedReply> {
    Some(match answer {
        Ok(Page { items, next }) => {
            RecordedReply::Page { entries: items.iter().map(entry).collect(), next: next.clone().map(Blob::from) }
        }
        Err(error) => refused(error),
    })
}

fn played_page<T>(reply: RecordedReply, entry: impl Fn((Blob, Blob, u64)) -> T) -> Option<Result<Page<T>, StateError>> {
    match reply {
        RecordedReply::Page { entries, next } => {
            let items = entries.into_iter().map(entry).collect();
            Some(Ok(Page { items, next: next.map(|next| next.bytes().to_vec()) }))
        }
        reply => played_refusal(reply).map(Err),
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

/// The outcome of `work`, which reads: counted, with the bytes that it hands to the guest, and in its span.
async fn read<T>(
    (span, metrics, operation): (Option<OpenSpan>, &PoolMetrics, StateOperation),
    work: impl Future<Output = Result<T, StateError>>,
    bytes: impl FnOnce(&T) -> usize,
) -> Result<T, StateError> {
    let state = metrics.state();
    state.began(operation);
    let outcome = traced(span, work).await;
    match &outcome {
        Ok(found) => state.read(bytes(found)),
        Err(error) => state.failed(error.failure()),
    }
    outcome
}

/// The guest has the keys already.
fn bytes_of_values(found: &[Option<Versioned>]) -> usize {
    found.iter().flatten().map(|one| one.value.len()).sum()
}

fn bytes_of_entries(page: &Page<Entry>) -> usize {
    page.items.iter().map(|entry| entry.key.len() + entry.value.value.len()).sum()
}

fn bytes_of_keys(page: &Page<Key>) -> usize {
    page.items.iter().map(Vec::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ServiceName;
    use crate::state::{Settings, Store};

    /// A service's data, as one operation after the other has them.
    struct Guest {
        bucket: Bucket,
        metrics: Arc<PoolMetrics>,
    }

    impl Guest {
        fn own(&self) -> OwnBucket {
            let (bucket, metrics) = (self.bucket.clone(), Arc::clone(&self.metrics));
            OwnBucket { bucket, operation: "test", span: None, notes: None, metrics, tape: CallTape::default() }
        }

        async fn commit(&self, checks: Vec<(Key, u64)>, writes: &[(&str, Change)]) -> Result<Committed, StateError> {
            let writes = writes.iter().map(|(key, change)| ((*key).into(), change.clone())).collect();
            self.own().commit(Transaction { checks, writes, beside: Vec::new() }).await
        }

        fn counts(&self) -> (Vec<u64>, (u64, u64)) {
            let state = self.metrics.state();
            (state.operations().map(|(_, count)| count).collect(), state.bytes())
        }
    }

    #[tokio::test]
    async fn each_operation_is_counted_with_the_bytes_that_went_over() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Settings { path: folder.path().join("state.redb"), ..Settings::default() }).unwrap();
        let guest = |name| Guest { bucket: store.bucket(&ServiceName::new(name).unwrap()), metrics: Arc::default() };
        let (users, orders) = (guest("users"), guest("orders"));
        // 2 + 100 bytes, 3 + 40, a key alone, a key alone.
        let value = |bytes| Change::Put(vec![7; bytes]);
        let writes = [("ka", value(100)), ("kbb", value(40)), ("gone", Change::Delete), ("n", Change::Add(5))];
        users.commit(Vec::new(), &writes).await.unwrap();
        assert_eq!(users.counts(), (vec![0, 0, 1], (0, 150)));
        assert!(!users.metrics.state().commit_time().is_zero());
        // The values alone, and nothing of a key that is absent.
        let found = users.own().get(["ka", "kbb", "absent"].map(Key::from).to_vec()).await.unwrap();
        assert_eq!(found.iter().flatten().count(), 2);
        assert_eq!(users.counts(), (vec![1, 0, 1], (140, 150)));
        let page = users.own().scan(b"k".to_vec(), None, 10).await.unwrap();
        assert_eq!((page.items.len(), users.counts()), (2, (vec![1, 1, 1], (140 + 145, 150))));
        let page = users.own().keys(Key::new(), None, 10).await.unwrap();
        assert_eq!((page.items.len(), users.counts()), (3, (vec![1, 2, 1], (285 + 6, 150))));
        assert_eq!(users.metrics.state().failures().iter().map(|(_, count)| count).sum::<u64>(), 0);
        // What fails is asked for all the same, and moves no bytes.
        let stale = vec![(b"ka".to_vec(), u64::MAX)];
        assert!(matches!(users.commit(stale, &[("ka", value(1))]).await, Err(StateError::Conflict { .. })));
        assert_eq!(users.own().get(vec![Key::new()]).await, Err(StateError::EmptyKey));
        assert_eq!(users.counts(), (vec![2, 2, 2], (291, 150)));
        assert_eq!(users.metrics.state().failures()[..2], [("conflict", 1), ("invalid", 1)]);
        assert_eq!(orders.counts(), (vec![0, 0, 0], (0, 0)), "each service has its own");
        tokio::task::spawn_blocking(move || store.close()).await.unwrap();
        assert!(orders.own().get(vec![b"k".to_vec()]).await.is_err());
        assert_eq!(orders.metrics.state().failures()[3], ("unavailable", 1));
    }
}
