//! The start of a saga: by a caller, an operator, or an event.

use super::error::SagaError;
use super::event_inbox::EventInbox;
use super::journal::JournalStart;
use super::live_saga::{lock_holder, locked_thing};
use super::lock_table::LockHolder;
use super::performer::Perform;
use super::plan::SagaPlan;
use super::recovery::{self, RecoveredSaga};
use super::saga_coordinator::Coordinator;
use super::start_key::SagaStarter;
use super::status::{digest, next_begun};
use super::unix_time::unix_ms;
use crate::base::HandledEvent;
use crate::contract::Names;
use crate::events::EventRecord;
use crate::saga::{JournalEntry, SagaRun, WhenTaken};
use crate::state::StateError;
use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// It has it, or needs none.
    Has,
    /// It waits for it.
    Waits,
    /// Another one has it.
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
        let found = self.plans.iter().find(|(plan, _)| plan.is_current && *plan.definition.name == *name);
        let unknown = || SagaError::Unknown(format!("the manifest has no saga `{name}`"));
        Ok(Arc::clone(&found.ok_or_else(unknown)?.0))
    }

    async fn begin_as(&self, plan: Arc<SagaPlan>, beginning: SagaBeginning) -> Result<StartedSaga, SagaError> {
        let SagaBeginning { id, input, event } = beginning;
        if *self.stop.borrow() {
            return Err(SagaError::Stopping);
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            // The same start again is no new saga.
            let full = || SagaError::Full(self.shared.settings.most);
            return self.existing(&id, &input).await?.ok_or_else(full);
        };
        let (inbox, since) = event.map_or((None, None), |(inbox, time)| (Some(inbox), Some(time)));
        let mut entries = self.first_entries(&plan, input.clone(), since).await?;
        let mut run = SagaRun::begin(Arc::clone(&plan.definition), &id, &entries[0]).expect("it begins with a start");
        match self.lock_at_start(&id, &run) {
            LockAnswer::Has => entries.extend(run.locks().map(|_| JournalEntry::Locked { at: run.started() })),
            LockAnswer::Waits => {}
            LockAnswer::Refused(holder) => {
                return self.existing(&id, &input).await?.ok_or(SagaError::Locked(holder));
            }
        }
        for entry in &entries[1..] {
            run.apply(entry);
        }
        if let Some(begun) = next_begun(&run, unix_ms()) {
            run.apply(&begun);
            entries.push(begun);
        }
        let starting = self.starting.read().await;
        let begun = self.shared.journal.begin(&id, &entries, inbox.as_ref()).await;
        // An error of the disk leaves in doubt whether it has begun: then its lock is free when it expires.
        if !matches!(begun, Ok(JournalStart::Begun) | Err(StateError::Io { .. })) {
            self.give_lock_back(&id, &run);
        }
        match begun? {
            JournalStart::Begun => {}
            JournalStart::Handled => {
                drop(starting);
                // It goes on, or has ended and may be forgotten.
                self.existing(&id, &input).await?;
                return Ok(StartedSaga { id, existed: true });
            }
            JournalStart::Exists => {
                drop(starting);
                let lost = || SagaError::Unknown("the saga of this key is being forgotten".to_owned());
                return self.existing(&id, &input).await?.ok_or_else(lost);
            }
        }
        let (length, bytes) = (u32::try_from(entries.len()).unwrap_or(u32::MAX), input.len());
        self.drive(RecoveredSaga { id: id.clone(), plan, run, length, bytes }, Some(place));
        Ok(StartedSaga { id, existed: false })
    }

    /// The start of a saga, and from where on the events of topics count for it. One that an event begins has begun
    /// when that event was published.
    async fn first_entries(
        &self,
        plan: &SagaPlan,
        input: String,
        since: Option<u64>,
    ) -> Result<Vec<JournalEntry>, SagaError> {
        let definition = plan.definition.digest();
        let mut entries = vec![JournalEntry::Started { at: unix_ms(), definition, input }];
        let mut topics = BTreeMap::new();
        for topic in plan.definition.topics() {
            let unread = || SagaError::Unread(format!("the events of `{topic}` are not read"));
            let tail = self.shared.tails.get(&topic).ok_or_else(unread)?;
            topics.insert(topic.to_string(), tail.position(since).await.map_err(SagaError::Unread)?);
        }
        if !topics.is_empty() {
            entries.push(JournalEntry::Following { topics });
        }
        Ok(entries)
    }

    fn lock_at_start(&self, id: &str, run: &SagaRun) -> LockAnswer {
        let (Some(lock), Some(thing)) = (run.definition().lock.as_ref(), locked_thing(run)) else {
            return LockAnswer::Has;
        };
        let expires = u64::try_from(lock.expires.as_millis()).unwrap_or(u64::MAX);
        let until = run.started().saturating_add(expires);
        let Some(holder) = lock_holder(id, run, until) else { return LockAnswer::Has };
        match (self.shared.locks.take(&thing, holder, unix_ms()), lock.taken) {
            (Ok(()), _) => LockAnswer::Has,
            (Err(_), WhenTaken::Wait) => LockAnswer::Waits,
            (Err(holder), WhenTaken::Refuse) => LockAnswer::Refused(holder),
        }
    }

    fn give_lock_back(&self, id: &str, run: &SagaRun) {
        // A live saga of this id keeps it: the start was one of its repetitions.
        if let Some(thing) = locked_thing(run).filter(|_| !self.shared.live().contains_key(id)) {
            self.shared.locks.release(&thing, id);
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
            self.adopt(id).await?;
        }
        Ok(Some(StartedSaga { id: id.to_owned(), existed: true }))
    }

    /// Gives a saga that is on disk its task, if it has none: the commit of its start has failed with an error of the
    /// disk, and is there all the same.
    async fn adopt(&self, id: &str) -> Result<(), SagaError> {
        if self.shared.live().contains_key(id) {
            return Ok(());
        }
        let plans: Vec<_> = self.plans.iter().map(|(plan, _)| Arc::clone(plan)).collect();
        // A damaged one never gets a task: no start waits for each repetition of its key.
        if recovery::recover_one(&self.shared.journal, &plans, id).await?.is_none() {
            return Ok(());
        }
        // Every start that is on disk has its task by then, or never gets one.
        let _alone = self.starting.write().await;
        if self.shared.live().contains_key(id) {
            return Ok(());
        }
        // It may have ended since.
        if let Some(saga) = recovery::recover_one(&self.shared.journal, &plans, id).await? {
            self.restore_lock(&saga);
            self.drive(saga, Arc::clone(&self.places).try_acquire_owned().ok());
        }
        Ok(())
    }
}
