//! The start of a saga: by a caller, an operator, or an event.

use super::error::SagaError;
use super::event_inbox::EventInbox;
use super::journal::JournalStart;
use super::live_saga::{lock_holder, locked_thing};
use super::lock_table::{LockGrant, LockHolder, SagaLockKey};
use super::pending_start::PendingStart;
use super::performer::Perform;
use super::plan::SagaPlan;
use super::recovery::RecoveredSaga;
use super::saga_coordinator::Coordinator;
use super::start_key::SagaStarter;
use super::status::{digest, next_begun};
use super::unix_time::unix_ms;
use crate::base::HandledEvent;
use crate::contract::Names;
use crate::events::EventRecord;
use crate::saga::{JournalEntry, SagaRun, WhenTaken};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The answer to a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedSaga {
    /// The id of the saga.
    pub id: String,
    /// Whether it was started before, with the same id and the same input.
    pub existed: bool,
}

/// What a saga is begun with.
struct SagaBeginning {
    id: String,
    /// JSON with the names of the contract.
    input: String,
    /// The event that begins it, and when it was published, in milliseconds since 1970.
    event: Option<(EventInbox, u64)>,
}

/// What a lock has said to a start.
enum LockAnswer {
    /// It needs none.
    Free,
    /// It has it now.
    Has(SagaLockKey, LockGrant),
    /// It waits for it.
    Waits,
    /// Another one has it, or an earlier start of the same saga.
    Refused(LockHolder),
}

impl<P: Perform> Coordinator<P> {
    /// The id of the saga `saga` that `starter` starts with `key`: the same for the same three, and known to nobody who
    /// has not been told it.
    ///
    /// # Errors
    /// The key is not 1 to 200 visible ASCII characters.
    pub fn id_of(&self, saga: &str, starter: SagaStarter<'_>, key: &str) -> Result<String, SagaError> {
        self.ids.of(saga, starter, key)
    }

    /// Starts the saga `name`. `names` is the style of the names in `input`, which is JSON. With `id` a start can be
    /// repeated: the same id and the same input is the same saga. It is on disk when this returns.
    ///
    /// # Errors
    /// There is no such saga, the input does not fit, the id was used with another input, there are too many sagas, or
    /// the store fails.
    pub async fn begin(
        &self,
        name: &str,
        id: Option<String>,
        input: &[u8],
        names: Names,
    ) -> Result<StartedSaga, SagaError> {
        let plan = self.plan(name)?;
        let input = plan.accept(input, names, self.shared.settings.journal)?;
        let id = id.unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()));
        self.begin_as(plan, SagaBeginning { id, input, event: None }).await
    }

    /// Starts the saga `name` with the payload of an event as its input, once for each event: the note that the event
    /// was handled is in the commit of the start. `names` is the style of the names in the payload.
    ///
    /// # Errors
    /// As [`Coordinator::begin`].
    pub async fn begin_by_event(
        &self,
        name: &str,
        event: &HandledEvent,
        record: &EventRecord,
        names: Names,
    ) -> Result<StartedSaga, SagaError> {
        let plan = self.plan(name)?;
        let input = plan.accept(record.payload.as_bytes(), names, self.shared.settings.journal)?;
        let id = self.ids.of_event(name, &event.topic, event.number, record);
        let event = Some((EventInbox::of(name, event), record.time));
        self.begin_as(plan, SagaBeginning { id, input, event }).await
    }

    fn plan(&self, name: &str) -> Result<Arc<SagaPlan>, SagaError> {
        let found = self.shared.plans.iter().find(|(plan, _)| plan.is_current && *plan.definition.name == *name);
        let unknown = || SagaError::Unknown(format!("the manifest has no saga `{name}`"));
        Ok(Arc::clone(&found.ok_or_else(unknown)?.0))
    }

    async fn begin_as(&self, plan: Arc<SagaPlan>, beginning: SagaBeginning) -> Result<StartedSaga, SagaError> {
        let SagaBeginning { id, input, event } = beginning;
        if *self.shared.stopping.borrow() {
            return Err(SagaError::Stopping);
        }
        let Ok(place) = Arc::clone(&self.shared.places).try_acquire_owned() else {
            // The same start again is no new saga.
            let full = || SagaError::Full(self.shared.settings.most);
            return self.existing(&id, &input).await?.ok_or_else(full);
        };
        let (inbox, since) = event.map_or((None, None), |(inbox, time)| (Some(inbox), Some(time)));
        let (mut entries, topics) = self.first_entries(&plan, input.clone(), since).await?;
        let held = self.shared.hold(topics);
        let mut run = SagaRun::begin(Arc::clone(&plan.definition), &id, &entries[0]).expect("it begins with a start");
        let taken = match self.lock_at_start(&id, &run) {
            LockAnswer::Free => None,
            LockAnswer::Has(thing, grant) => {
                entries.push(JournalEntry::Locked { at: run.started() });
                Some((thing, grant))
            }
            LockAnswer::Waits => None,
            LockAnswer::Refused(holder) => return self.refused(&id, &input, holder).await,
        };
        for entry in &entries[1..] {
            run.apply(entry);
        }
        if let Some(begun) = next_begun(&run, unix_ms()) {
            run.apply(&begun);
            entries.push(begun);
        }
        let (length, bytes) = (u32::try_from(entries.len()).unwrap_or(u32::MAX), input.len());
        let saga = RecoveredSaga { id: id.clone(), plan, run, length, bytes };
        let (answer, answered) = oneshot::channel();
        let start = PendingStart { saga, entries, inbox, taken, place, held, answer };
        // A task of its own: whoever asks for the start and leaves must not leave a saga on disk that nobody drives.
        self.shared.tasks().spawn(Arc::clone(&self.shared).write_start(start));
        match answered.await.map_err(|_| SagaError::Stopping)?? {
            JournalStart::Begun => Ok(StartedSaga { id, existed: false }),
            JournalStart::Handled => {
                // It goes on, or has ended and may be forgotten.
                self.existing(&id, &input).await?;
                Ok(StartedSaga { id, existed: true })
            }
            JournalStart::Exists => {
                let lost = || SagaError::Unknown("the saga of this key is being forgotten".to_owned());
                self.existing(&id, &input).await?.ok_or_else(lost)
            }
        }
    }

    /// The answer to a start whose lock `holder` has.
    async fn refused(&self, id: &str, input: &str, holder: LockHolder) -> Result<StartedSaga, SagaError> {
        if let Some(existing) = self.existing(id, input).await? {
            return Ok(existing);
        }
        if holder.id != id {
            return Err(SagaError::Locked(holder));
        }
        // The same start is being written, or in doubt.
        drop(self.shared.starting.write().await);
        let unknown = || SagaError::Unread("the same start is not answered yet: try again".to_owned());
        self.existing(id, input).await?.ok_or_else(unknown)
    }

    /// The start of a saga, and the number of each topic after which its events count for it. One that an event begins
    /// has begun when that event was published.
    async fn first_entries(
        &self,
        plan: &SagaPlan,
        input: String,
        since: Option<u64>,
    ) -> Result<(Vec<JournalEntry>, BTreeMap<String, u64>), SagaError> {
        let definition = plan.definition.digest();
        let mut entries = vec![JournalEntry::Started { at: unix_ms(), definition, input }];
        let mut topics = BTreeMap::new();
        for topic in plan.definition.topics() {
            let unread = || SagaError::Unread(format!("the events of `{topic}` are not read"));
            let tail = self.shared.tails.get(&topic).ok_or_else(unread)?;
            topics.insert(topic.to_string(), tail.position(since).await.map_err(SagaError::Unread)?);
        }
        if !topics.is_empty() {
            entries.push(JournalEntry::Following { topics: topics.clone() });
        }
        Ok((entries, topics))
    }

    fn lock_at_start(&self, id: &str, run: &SagaRun) -> LockAnswer {
        let (Some(lock), Some(thing)) = (run.definition().lock.as_ref(), locked_thing(run)) else {
            return LockAnswer::Free;
        };
        let expires = u64::try_from(lock.expires.as_millis()).unwrap_or(u64::MAX);
        let until = run.started().saturating_add(expires);
        let Some(holder) = lock_holder(id, run, until) else { return LockAnswer::Free };
        match (self.shared.locks.take(&thing, holder, unix_ms()), lock.taken) {
            (Ok(grant), _) => LockAnswer::Has(thing, grant),
            (Err(_), WhenTaken::Wait) => LockAnswer::Waits,
            (Err(holder), WhenTaken::Refuse) => LockAnswer::Refused(holder),
        }
    }

    /// The saga that was started with this id, if there is one.
    async fn existing(&self, id: &str, input: &str) -> Result<Option<StartedSaga>, SagaError> {
        let (same, has_ended) = match self.shared.journal.ended(id).await? {
            Some(ended) => (ended.input == digest(input), true),
            None => match self.shared.journal.input(id).await? {
                Some(before) => (before == input, false),
                // It may have ended between the two reads.
                None => match self.shared.journal.ended(id).await? {
                    Some(ended) => (ended.input == digest(input), true),
                    None => return Ok(None),
                },
            },
        };
        if !same {
            return Err(SagaError::OtherInput);
        }
        if !has_ended {
            self.shared.adopt(id, &mut None).await?;
        }
        Ok(Some(StartedSaga { id: id.to_owned(), existed: true }))
    }
}
