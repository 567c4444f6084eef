//! What a guest's commit does beside its own writes: the events that it publishes, and the note that it was made for
//! the event which the call handles. All of it is one commit.

use super::own_bucket::{OwnBucket, played_refusal, recorded_change, recorded_commit, refused};
use crate::base::{CommitGuard, HandledEvent};
use crate::events::{NewEvent, RefusedEvent, Topic, longest};
use crate::recording::{PublishedEvent, RecordedQuestion, RecordedReply, RefusalCase};
use crate::runtime::context::context::{Context, caller};
use crate::runtime::grants::PublishGrant;
use crate::state::{Beside, Bucket, Change, Committed, Key, StateError, Transaction};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use wasmtime::StoreContextMut;

/// The commits of one call: where they go, what they may publish, and the event that they are made for.
pub(super) struct CommitScope {
    /// Where they go, with the span of the operation that the guest calls.
    pub(super) own: OwnBucket,
    publish: Option<PublishGrant>,
    event: Option<Arc<HandledEvent>>,
    guard: Option<Arc<CommitGuard>>,
}

/// Why nothing was committed.
pub(super) enum CommitFailure {
    /// The service may not publish on this topic, or there is none.
    NotGranted(String),
    /// An event is refused.
    Refused(RefusedEvent),
    /// The store refused, or failed.
    State(StateError),
    /// As an event was refused when the call was recorded that is replayed now.
    Replayed(RefusalCase, String),
}

impl From<StateError> for CommitFailure {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

impl CommitScope {
    /// The scope of the call on whose behalf the guest in `store` calls the host now. `operation` is the name of the
    /// function that it calls.
    pub(super) fn of(store: &mut StoreContextMut<'_, Context>, operation: &'static str) -> Self {
        let (event, guard) = match store.data().has_noted_commits.then(|| caller(store)) {
            Some(call) => (call.event, call.guard),
            None => (None, None),
        };
        let publish = store.data().identity.grants.publish.clone();
        Self { own: OwnBucket::of(store.data(), operation), publish, event, guard }
    }

    /// Commits `transaction` and publishes `events`, in one commit. In a call that handles an event the commit is
    /// applied once for that event: if a try before has made it, the answer has the version of then, and no sums.
    pub(super) async fn commit(
        self,
        transaction: Transaction,
        events: Vec<(String, NewEvent)>,
    ) -> Result<Committed, CommitFailure> {
        // Boxed where there is a tape: a call without one would pay for the size of the future.
        if self.own.tape.is_off() {
            return self.commit_now(transaction, events).await;
        }
        Box::pin(self.commit_taped(transaction, events)).await
    }

    async fn commit_taped(
        mut self,
        transaction: Transaction,
        events: Vec<(String, NewEvent)>,
    ) -> Result<Committed, CommitFailure> {
        let tape = std::mem::take(&mut self.own.tape);
        let event = |(topic, NewEvent { key, payload }): &(String, NewEvent)| PublishedEvent {
            topic: topic.clone(),
            key: key.clone(),
            payload: payload.clone().into(),
        };
        let mut asked = recorded_commit(&transaction);
        asked.events = events.iter().map(event).collect();
        let question = || RecordedQuestion::Commit(asked);
        tape.ask(question, self.commit_now(transaction, events), |answer| Some(recorded(answer)), played).await
    }

    async fn commit_now(
        self,
        mut transaction: Transaction,
        events: Vec<(String, NewEvent)>,
    ) -> Result<Committed, CommitFailure> {
        let published = self.add_events(&mut transaction, events)?;
        let Self { own, event, guard, .. } = self;
        let changes = !transaction.writes.is_empty() || !transaction.beside.is_empty();
        if let Some(guard) = guard.filter(|_| changes) {
            transaction.beside.push(beside(&guard));
        }
        let committed = match event {
            Some(event) if changes => {
                let bucket = own.bucket.clone();
                own.change(commit_once(&bucket, transaction, &event)).await
            }
            _ => own.commit(transaction).await,
        };
        let committed = committed.inspect_err(|error| {
            if matches!(error, StateError::Io { .. }) {
                published.iter().for_each(|(topic, ..)| topic.may_have_more());
            }
        })?;
        // A commit that was made before has no sums: it has told already.
        if !committed.sums.is_empty() {
            tell(&published, &committed.sums);
        }
        Ok(committed)
    }

    /// Adds the events to the transaction. Returns the topics, with the events and the bytes that each gets.
    fn add_events(
        &self,
        transaction: &mut Transaction,
        events: Vec<(String, NewEvent)>,
    ) -> Result<Vec<(Arc<Topic>, u64, u64)>, CommitFailure> {
        if events.len() > longest::EVENTS {
            let text = format!("one commit publishes at most {} events", longest::EVENTS);
            return Err(CommitFailure::Refused(RefusedEvent::TooLong(text)));
        }
        let topics = self.publish.as_ref().map_or(&[][..], |grant| &grant.topics);
        let source = self.own.bucket.service().as_str();
        let mut writes: BTreeMap<usize, (u64, Vec<(Key, Change)>)> = BTreeMap::new();
        for (topic, event) in events {
            let at = topics.iter().position(|own| own.name.as_str() == topic);
            let at = at.ok_or_else(|| CommitFailure::NotGranted(topic))?;
            let mut record = topics[at].admit(event, source, now()).map_err(CommitFailure::Refused)?;
            // The handlers' traces have a link to this one.
            record.trace = self.own.place();
            let record = record.encode();
            let (bytes, writes) = writes.entry(at).or_default();
            *bytes += record.len() as u64;
            writes.push((Topic::COUNTER.to_vec(), Change::Append(record)));
        }
        let published = writes.into_iter().map(|(at, (bytes, mut writes))| {
            let (topic, events) = (&topics[at], writes.len() as u64);
            writes.push((Topic::WRITTEN.to_vec(), Change::Add(bytes)));
            transaction.beside.push(Beside { bucket: topic.bucket(), checks: Vec::new(), writes });
            (Arc::clone(topic), events, bytes)
        });
        Ok(published.collect())
    }
}

/// Tells the topics what they have got. The last sums of a commit are theirs: of each the numbers of its events, and
/// the bytes that it has had.
fn tell(published: &[(Arc<Topic>, u64, u64)], sums: &[u64]) {
    let mut left = sums;
    for (topic, events, bytes) in published.iter().rev() {
        let own = usize::try_from(*events).unwrap_or(usize::MAX).saturating_add(1);
        let (before, own) = left.split_at(left.len().saturating_sub(own));
        left = before;
        // The one before the bytes is the last number.
        let last = own.iter().rev().nth(1).copied().unwrap_or_default();
        topic.published(last, *events, *bytes);
    }
}

fn recorded(answer: &Result<Committed, CommitFailure>) -> RecordedReply {
    let (case, text) = match answer {
        Ok(committed) => return recorded_change(committed),
        Err(CommitFailure::State(error)) => return refused(error),
        Err(CommitFailure::NotGranted(topic)) => (RefusalCase::NotGranted, topic.clone()),
        Err(CommitFailure::Refused(refused)) => {
            let case = match refused {
                RefusedEvent::Payload(_) => RefusalCase::Refused,
                RefusedEvent::TooLong(_) => RefusalCase::TooLarge,
                RefusedEvent::Full { .. } => RefusalCase::Unavailable,
            };
            (case, refused.to_string())
        }
        Err(CommitFailure::Replayed(case, text)) => (*case, text.clone()),
    };
    RecordedReply::Refused { case, text }
}

fn played(reply: RecordedReply) -> Option<Result<Committed, CommitFailure>> {
    match reply {
        RecordedReply::Change { version, sums } => Some(Ok(Committed { version, sums })),
        RecordedReply::Refused { case: RefusalCase::NotGranted, text } => Some(Err(CommitFailure::NotGranted(text))),
        RecordedReply::Refused { case: RefusalCase::Refused, text } => {
            Some(Err(CommitFailure::Replayed(RefusalCase::Refused, text)))
        }
        reply => played_refusal(reply).map(|error| Err(CommitFailure::State(error))),
    }
}

/// What demands that the guard's key is absent. The store has one writer, so a commit is either before the one that
/// writes the key, and then before everything that follows from it, or it is refused.
pub(super) fn beside(guard: &CommitGuard) -> Beside {
    Beside { bucket: guard.bucket.clone(), checks: vec![(guard.key.clone(), 0)], writes: Vec::new() }
}

/// Commits `transaction` with the note that it was made for `event`, unless a try before has made it. Returns the bytes
/// that it has written now as well.
async fn commit_once(
    bucket: &Bucket,
    mut transaction: Transaction,
    event: &HandledEvent,
) -> Result<(Committed, usize), StateError> {
    let (number, bytes) = (event.begin_commit(), transaction.written());
    let note = event.note_of(number);
    transaction.beside.push(Beside {
        bucket: event.notes.clone(),
        checks: vec![(note.clone(), 0)],
        writes: vec![(note.clone(), Change::Put(Vec::new()))],
    });
    match bucket.commit(transaction).await {
        // A try before has made this commit: all that it wrote has the version of its note.
        Err(StateError::ConflictBeside { key, version }) if key == note => {
            Ok((Committed { version, sums: Vec::new() }, 0))
        }
        outcome => outcome.map(|committed| (committed, bytes)).inspect_err(|_| event.release_commit(number)),
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
