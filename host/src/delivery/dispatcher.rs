//! The task of one subscription: reads the log, hands events out, and writes down what became of them.

use super::dead_letter::FailureHistory;
use super::event_log::{EventLog, LogError, LoggedEvent};
use super::handler::{Handle, TryEnd};
use super::hold::{Hold, Restart, SubscriptionOrder};
use super::notes::{EventFate, MOST_FATES, Notes, SavedNotes};
use super::status::{Settled, Status};
use super::subscription::Subscription;
use crate::base::HandledEvent;
use crate::events::{Backoff, EventRecord, Lanes, Progress};
use crate::state::StateError;
use futures_util::FutureExt;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

/// The most events of one read.
const PAGE: usize = 256;
/// The most bytes of events that are held in memory; further ones are read again when their turn comes.
const HELD_BYTES: usize = 8 << 20;
/// The time between two tries of the store after one failed.
const STORE_PAUSE: Duration = Duration::from_millis(250);
/// Why an event is a dead letter that nobody was given. Of a broker's the log says more.
const UNREADABLE: &str = "the event cannot be read: its bytes are not those that were written, or the broker has it in \
                          a form that Atoll does not read";
/// The pauses while the service cannot be reached.
const UNREACHED: Backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(5) };

/// What a subscription's task is given.
pub(super) struct Dispatcher<H> {
    pub(super) subscription: Arc<Subscription>,
    pub(super) log: EventLog,
    pub(super) notes: Notes,
    pub(super) handler: Arc<H>,
    /// Wakes the task after an event was published.
    pub(super) news: Arc<Notify>,
    pub(super) orders: mpsc::Receiver<SubscriptionOrder>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) settled: Settled,
    pub(super) status: Arc<Mutex<Status>>,
}

/// An event that was read and is not settled.
struct ReadEvent {
    time: u64,
    key: Option<String>,
    /// `None`: it is read again when its turn comes.
    record: Option<Arc<EventRecord>>,
    bytes: usize,
    /// Whether it is a dead letter that was sent again.
    revived: bool,
}

/// The end of one try.
struct EndedTry {
    number: u64,
    verdict: TryEnd,
}

/// A save that has ended: what was to be saved, and how many of it were.
type EventSave = (Vec<(u64, EventFate)>, Result<usize, LogError>);

/// The task's own state.
struct Delivering<H> {
    given: Dispatcher<H>,
    progress: Progress,
    lanes: Lanes,
    held: BTreeMap<u64, ReadEvent>,
    held_bytes: usize,
    failed: BTreeMap<u64, FailureHistory>,
    /// Dead letters on disk, and those on their way there.
    dead: usize,
    /// The number up to which the log was read.
    read: u64,
    /// Whether more may have been published.
    more: bool,
    /// When the log may be read again, after a failure.
    read_again: Instant,
    fates: BTreeMap<u64, EventFate>,
    /// Calls in a row that could not be made.
    unreached: u32,
    /// While it is there, nothing is handed out.
    hold: Option<Hold>,
}

impl<H: Handle> Dispatcher<H> {
    /// Delivers until it is told to stop, and what is under way has ended.
    pub(super) async fn run(self) {
        let mut stop = self.stop.clone();
        let Some(mut delivering) = self.load(&mut stop).await else { return };
        let (mut tries, mut saves) = (JoinSet::new(), JoinSet::new());
        loop {
            let stopping = *stop.borrow();
            let pausing = stopping || delivering.hold.is_some();
            if !pausing {
                delivering.read_more().await;
                delivering.begin_tries(&mut tries);
            }
            if saves.is_empty() {
                delivering.begin_save(&mut saves);
            }
            delivering.report();
            if tries.is_empty() && saves.is_empty() {
                match delivering.hold.take() {
                    _ if stopping => return,
                    Some(hold) => {
                        delivering.pause(hold).await;
                        continue;
                    }
                    None => {}
                }
            }
            let wake = delivering.next_wake();
            let given = &mut delivering.given;
            tokio::select! {
                Some(Ok(ended)) = tries.join_next() => delivering.ended(ended),
                Some(Ok((fates, saved))) = saves.join_next() => delivering.saved(fates, saved),
                Some(order) = given.orders.recv(), if !pausing => delivering.obey(order).await,
                () = given.news.notified(), if !stopping => delivering.more = true,
                () = sleep_until(wake.unwrap_or_else(Instant::now).into()), if wake.is_some() && !pausing => {}
                _ = stop.changed(), if !stopping => {}
                else => return,
            }
        }
    }

    /// Reads the notes, again and again if the store cannot answer; `None` if it is told to stop first.
    async fn load(self, stop: &mut watch::Receiver<bool>) -> Option<Delivering<H>> {
        loop {
            match self.try_load().await {
                Ok((progress, SavedNotes { failed, dead, .. })) => {
                    let settings = &self.subscription.settings;
                    let lanes = Lanes::new(settings.concurrency, settings.waiting);
                    return Some(Delivering {
                        read: progress.floor(),
                        given: self,
                        progress,
                        lanes,
                        held: BTreeMap::new(),
                        held_bytes: 0,
                        failed,
                        dead,
                        more: true,
                        read_again: Instant::now(),
                        fates: BTreeMap::new(),
                        unreached: 0,
                        hold: None,
                    });
                }
                Err(error) => {
                    let (error, notes) = (error.with_causes(), self.subscription.notes());
                    tracing::error!(target: "delivery", subscription = %notes, error, "the notes cannot be read");
                }
            }
            tokio::select! {
                () = sleep(Duration::from_secs(1)) => {}
                _ = stop.changed() => return None,
            }
        }
    }

    async fn try_load(&self) -> Result<(Progress, SavedNotes), LogError> {
        let mut saved = self.notes.load().await?;
        if let Some(progress) = saved.progress.take() {
            return Ok((progress, saved));
        }
        let floor = if self.subscription.settings.from_beginning { 0 } else { self.log.count().await?.0 };
        let progress = Progress::up_to(floor);
        // From now on the subscription is not new: what is published until the next start is not skipped.
        self.notes.save(progress.clone(), &[]).await?;
        Ok((progress, saved))
    }
}

impl<H: Handle> Delivering<H> {
    /// Reads events until as many are held as may be, or no more are there.
    async fn read_more(&mut self) {
        while self.more && self.lanes.room() > 0 && self.read_again <= Instant::now() {
            let page = match self.given.log.after(self.read, self.lanes.room().min(PAGE)).await {
                Ok(page) => page,
                Err(error) => {
                    self.warn(&error, "the log cannot be read");
                    self.read_again = Instant::now() + STORE_PAUSE;
                    return;
                }
            };
            self.more = page.more;
            for event in page.events {
                // Numbers between have gone with the retention, before this subscription was there.
                self.progress.settle(self.read + 1, event.number - 1);
                self.read = event.number;
                self.given.subscription.topic.has(event.number);
                if !self.progress.is_settled(event.number) {
                    self.admit(event);
                }
            }
        }
    }

    fn admit(&mut self, LoggedEvent { number, record, bytes }: LoggedEvent) {
        let now = Instant::now();
        let Ok(record) = record else {
            tracing::error!(
                target: "delivery", topic = %self.given.subscription.topic.name, number,
                "an event cannot be read: it is a dead letter, and is not delivered"
            );
            let mut history = FailureHistory::default();
            history.add(unix_ms(), UNREADABLE);
            self.dead += 1;
            // It takes part in the lanes as an event of its own, so that its outcome ends like any other.
            self.lanes.admit_under_way(number);
            self.fates.insert(number, EventFate::Dead(history, Vec::new()));
            return;
        };
        let tries = self.failed.get(&number).map_or(0, |history| history.tries);
        // An event that had failed before a restart is tried soon: nobody knows how long it has waited.
        self.lanes.admit(number, record.key.as_deref(), tries, now);
        self.hold(number, record, usize::try_from(bytes).unwrap_or(usize::MAX), false);
    }

    fn hold(&mut self, number: u64, record: EventRecord, bytes: usize, revived: bool) {
        let (time, key) = (record.time, record.key.clone());
        let kept = self.held_bytes.saturating_add(bytes) <= HELD_BYTES;
        let (record, bytes) = if kept { (Some(Arc::new(record)), bytes) } else { (None, 0) };
        self.held_bytes += bytes;
        self.held.insert(number, ReadEvent { time, key, record, bytes, revived });
    }

    fn begin_tries(&mut self, tries: &mut JoinSet<EndedTry>) {
        while let Some(number) = self.lanes.next(Instant::now()) {
            let Some(held) = self.held.get(&number) else { continue };
            let failed = self.failed.get(&number).map_or(0, |history| history.tries);
            let subscription = Arc::clone(&self.given.subscription);
            let event = HandledEvent::new(
                subscription.topic.name.as_str().to_owned(),
                number,
                held.key.clone(),
                held.time,
                failed.saturating_add(1),
                subscription.notes(),
            );
            let (record, revived) = (held.record.clone(), held.revived);
            let (log, notes, handler) =
                (self.given.log.clone(), self.given.notes.clone(), Arc::clone(&self.given.handler));
            tries.spawn(async move {
                let record = match record {
                    Some(record) => Ok(record),
                    None => read_again(&log, &notes, number, revived).await,
                };
                let verdict = match record {
                    Ok(record) => {
                        let handling = handler.handle(&subscription, Arc::new(event), &record);
                        // A panic of the host itself is a failed try like any other: it must not block the key.
                        let panicked = |_| TryEnd::Failed("the host panicked; its log says where".to_owned());
                        AssertUnwindSafe(handling).catch_unwind().await.unwrap_or_else(panicked)
                    }
                    Err(verdict) => verdict,
                };
                EndedTry { number, verdict }
            });
        }
    }

    /// A try has ended.
    fn ended(&mut self, EndedTry { number, verdict }: EndedTry) {
        let now = Instant::now();
        let settings = &self.given.subscription.settings;
        let revived = self.held.get(&number).is_some_and(|held| held.revived);
        match verdict {
            TryEnd::Handled => {
                self.unreached = 0;
                self.count(true);
                self.fates.insert(number, if revived { EventFate::Revived } else { EventFate::Handled });
            }
            TryEnd::NotNow(reason) => {
                self.unreached = self.unreached.saturating_add(1);
                let pause = UNREACHED.pause(self.unreached, rand::random());
                let (service, topic) = (&self.given.subscription.service, &self.given.subscription.topic.name);
                tracing::debug!(target: "delivery", %service, %topic, number, reason, "an event waits for its service");
                self.lanes.retry(number, now + pause, false);
            }
            TryEnd::Failed(reason) => {
                self.unreached = 0;
                let history = self.failed.entry(number).or_default();
                history.add(unix_ms(), &reason);
                let (history, tries) = (history.clone(), history.tries);
                let (last, room) = (tries >= settings.tries, revived || self.dead < settings.dead);
                let pause = settings.backoff.pause(tries, rand::random());
                let (service, topic) = (&self.given.subscription.service, &self.given.subscription.topic.name);
                tracing::warn!(
                    target: "delivery", %service, %topic, number, tries, dead = last && room, reason,
                    "a service failed on an event"
                );
                self.count(false);
                let record = self.held.get(&number).and_then(|held| held.record.clone());
                if revived || (last && room) {
                    self.dead += usize::from(!revived);
                    let record = record.map(|record| record.encode()).unwrap_or_default();
                    self.fates.insert(number, EventFate::Dead(history, record));
                } else {
                    self.lanes.retry(number, now + pause, true);
                    self.fates.insert(number, EventFate::Failed(history));
                }
            }
        }
    }

    /// Saves what became of events since the last time. What the next save needs stays in `fates`.
    fn begin_save(&mut self, saves: &mut JoinSet<EventSave>) {
        if self.fates.is_empty() {
            return;
        }
        let mut fates = Vec::new();
        while fates.len() < MOST_FATES
            && let Some(one) = self.fates.pop_first()
        {
            fates.push(one);
        }
        let (notes, progress, log) = (self.given.notes.clone(), self.progress.clone(), self.given.log.clone());
        saves.spawn(async move {
            for (number, outcome) in &mut fates {
                let EventFate::Dead(_, record) = outcome else { continue };
                if !record.is_empty() {
                    continue;
                }
                match log.get(*number).await {
                    Ok(Some(Ok(found))) => *record = found.encode(),
                    // It has gone, or is damaged: there is nothing to keep.
                    Ok(_) => {}
                    // A dead letter without its event would lose the event: the save is tried again.
                    Err(error) => {
                        sleep(STORE_PAUSE).await;
                        return (fates, Err(error));
                    }
                }
            }
            let saved = notes.save(progress, &fates).await.map_err(LogError::from);
            if saved.is_err() {
                sleep(STORE_PAUSE).await;
            }
            (fates, saved)
        });
    }

    /// A save has ended: the events that it settles make room for the next of their keys.
    fn saved(&mut self, fates: Vec<(u64, EventFate)>, saved: Result<usize, LogError>) {
        let saved = saved.unwrap_or_else(|error| {
            self.warn(&error, "the progress cannot be saved: it is tried again");
            0
        });
        for (index, (number, outcome)) in fates.into_iter().enumerate() {
            if index >= saved {
                // A later outcome of the same event counts more.
                self.fates.entry(number).or_insert(outcome);
                continue;
            }
            if let EventFate::Failed(_) = outcome {
                continue;
            }
            if let EventFate::Revived = outcome {
                self.dead = self.dead.saturating_sub(1);
            } else {
                self.progress.settle(number, number);
            }
            self.failed.remove(&number);
            self.lanes.settle(number);
            if let Some(held) = self.held.remove(&number) {
                self.held_bytes -= held.bytes;
            }
        }
    }

    async fn obey(&mut self, order: SubscriptionOrder) {
        match order {
            SubscriptionOrder::Resend { number, answer } => {
                let outcome = self.revive(number).await;
                // Who has asked may have gone.
                let _ = answer.send(outcome);
            }
            SubscriptionOrder::Hold(hold) => self.hold = Some(hold),
        }
    }

    /// Nothing is under way, and all that has ended is on disk: waits until it is told how to go on.
    async fn pause(&mut self, Hold { held, go_on }: Hold) {
        // What it has settled may be wanted again: from now on retention takes nothing.
        self.given.settled.set(0);
        if held.send(self.progress.clone()).is_err() {
            return;
        }
        // Without an answer nothing has changed.
        let Ok(Restart { progress, dead, begun }) = go_on.await else { return };
        let settings = &self.given.subscription.settings;
        self.lanes = Lanes::new(settings.concurrency, settings.waiting);
        (self.read, self.progress, self.dead) = (progress.floor(), progress, dead);
        (self.held_bytes, self.more, self.unreached) = (0, true, 0);
        self.held.clear();
        self.failed.clear();
        self.fates.clear();
        self.report();
        // Who has ordered it may have gone.
        let _ = begun.send(());
    }

    /// Sends dead letters again. They stay dead letters until they are handled.
    async fn revive(&mut self, number: Option<u64>) -> Result<usize, StateError> {
        let (mut after, mut count) = (number.map_or(0, |number| number.saturating_sub(1)), 0);
        loop {
            let letters = self.given.notes.dead_letters(after, PAGE).await?;
            let wanted: BTreeSet<u64> = number.into_iter().collect();
            let last = letters.last().map(|letter| letter.number);
            for letter in letters {
                let ours = wanted.is_empty() || wanted.contains(&letter.number);
                let Ok(record) = letter.record else { continue };
                if !ours || self.held.contains_key(&letter.number) || self.lanes.room() == 0 {
                    continue;
                }
                let history = FailureHistory { tries: letter.tries, latest: letter.latest };
                self.failed.insert(letter.number, history);
                self.lanes.admit(letter.number, record.key.as_deref(), 0, Instant::now());
                let bytes = record.payload.len();
                self.hold(letter.number, record, bytes, true);
                count += 1;
            }
            match last {
                Some(last) if number.is_none() => after = last,
                _ => return Ok(count),
            }
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        let reading = (self.more && self.lanes.room() > 0).then_some(self.read_again);
        // At the bound of events under way a due event waits for the end of one of them.
        let free = self.lanes.under_way() < self.given.subscription.settings.concurrency;
        let due = self.lanes.next_due().filter(|_| free);
        reading.into_iter().chain(due).min()
    }

    fn count(&self, handled: bool) {
        let mut status = self.given.status.lock().unwrap_or_else(PoisonError::into_inner);
        *(if handled { &mut status.handled } else { &mut status.failures }) += 1;
    }

    /// Tells others how far it is.
    fn report(&self) {
        self.given.settled.set(self.progress.floor());
        let stuck = self.lanes.stuck().map(|(number, key, _)| (number, key.map(str::to_owned)));
        let mut status = self.given.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.progress = Some(self.progress.clone());
        status.oldest = self.lanes.oldest().and_then(|number| Some(self.held.get(&number)?.time));
        status.stuck = stuck;
        status.under_way = self.lanes.under_way();
        status.dead = self.dead;
    }

    fn warn(&self, error: &LogError, what: &str) {
        if error.is_away() {
            return;
        }
        let Subscription { service, topic, .. } = &*self.given.subscription;
        tracing::warn!(target: "delivery", %service, topic = %topic.name, error = error.with_causes(), "{what}");
    }
}

/// The event that did not fit in memory.
async fn read_again(log: &EventLog, notes: &Notes, number: u64, revived: bool) -> Result<Arc<EventRecord>, TryEnd> {
    let found = if revived {
        notes.dead_letter(number).await.map(|letter| letter.map(|letter| letter.record)).map_err(LogError::from)
    } else {
        log.get(number).await
    };
    match found {
        Ok(Some(Ok(record))) => Ok(Arc::new(record)),
        Ok(_) => Err(TryEnd::Failed("the event is damaged, or has gone".to_owned())),
        Err(error) => Err(TryEnd::NotNow(error.with_causes())),
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
