//! The reader of one topic's log, for all waits of sagas: it knows the latest events by their marks, and wakes the
//! sagas whose event has come.
//!
//! The log is the memory. Nothing is written for an event that no saga takes, and after a restart the log is read again
//! from where the oldest saga looks.

use super::topic_log::{TopicEvent, WaitedTopic};
use crate::contract::Names;
use crate::contract::json;
use crate::events::{EventRecord, PayloadType};
use crate::mesh::Value;
use crate::saga::{EventMark, WaitForm};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

/// The most events that are known by their marks; a saga that began before them searches the log.
const KNOWN: usize = 65_536;
/// The most events of one read.
const PAGE: usize = 256;
/// The time between two looks at a log of which nothing was heard, and at what must stay in it.
const LOOK: Duration = Duration::from_secs(1);
/// The time between two tries of a log that cannot be read.
const AGAIN: Duration = Duration::from_millis(250);
/// How long a start waits until the log was read to its end once.
const FIRST_READ: Duration = Duration::from_secs(5);

/// What a wait looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SoughtEvent {
    /// The position of its form in the tail.
    pub(super) form: usize,
    /// The mark that the event must have.
    pub(super) mark: EventMark,
    /// Its number must be above this one.
    pub(super) after: u64,
}

/// The event that ends a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundEvent {
    pub(super) number: u64,
    /// Its payload, JSON with the names of the contract.
    pub(super) payload: String,
}

/// The reader of one topic.
pub(super) struct TopicTail {
    topic: WaitedTopic,
    forms: Vec<WaitForm>,
    seen: Mutex<SeenEvents>,
    /// Whether the log was read to its end once.
    is_live: watch::Sender<bool>,
}

/// What was read of the log.
#[derive(Default)]
struct SeenEvents {
    /// All events up to this number were read.
    read: u64,
    /// The events above this number, up to `read`, are in `known`.
    floor: u64,
    /// The latest events, each with its marks by the forms.
    known: VecDeque<(u64, Vec<Option<EventMark>>)>,
    /// The numbers of the known events, in their order.
    numbers: HashMap<(usize, EventMark), VecDeque<u64>>,
    waiting: HashMap<(usize, EventMark), Vec<Arc<Notify>>>,
}

/// A wait that is woken when its event comes. Dropped, it waits no more.
struct WaitingSaga<'a> {
    tail: &'a TopicTail,
    sought: (usize, EventMark),
    come: Arc<Notify>,
}

impl Drop for WaitingSaga<'_> {
    fn drop(&mut self) {
        let mut seen = self.tail.seen();
        let Some(waiting) = seen.waiting.get_mut(&self.sought) else { return };
        waiting.retain(|come| !Arc::ptr_eq(come, &self.come));
        if waiting.is_empty() {
            seen.waiting.remove(&self.sought);
        }
    }
}

impl TopicTail {
    /// The reader of `topic` for waits of these forms, which begins behind the event `after`.
    pub(super) fn new(topic: WaitedTopic, forms: BTreeSet<WaitForm>, after: u64) -> Self {
        let seen = SeenEvents { read: after, floor: after, ..SeenEvents::default() };
        Self { topic, forms: forms.into_iter().collect(), seen: Mutex::new(seen), is_live: watch::channel(false).0 }
    }

    fn seen(&self) -> MutexGuard<'_, SeenEvents> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The position of a form.
    pub(super) fn form(&self, form: &WaitForm) -> Option<usize> {
        self.forms.iter().position(|own| own == form)
    }

    /// The number after which the events of a saga count that begins now, or began at `since`, in milliseconds since
    /// 1970. `Err`: the log cannot be read.
    pub(super) async fn position(&self, since: Option<u64>) -> Result<u64, String> {
        if let Some(time) = since {
            return self.topic.log.before(time).await;
        }
        let unread = || format!("the events of `{}` cannot be read yet", self.topic.name);
        timeout(FIRST_READ, self.live()).await.map_err(|_| unread())?;
        Ok(self.seen().read)
    }

    /// Waits until the log was read to its end once.
    pub(super) async fn live(&self) {
        // The sender is part of the tail, so it is there.
        let _ = self.is_live.subscribe().wait_for(|live| *live).await;
    }

    /// Reads the log for ever. `held`: the number after which a saga may still ask for events.
    pub(super) async fn run(self: Arc<Self>, held: impl Fn() -> Option<u64> + Send) {
        let (mut looked, mut before, mut is_away) = (None::<Instant>, 0, false);
        loop {
            let read = self.seen().read;
            match self.topic.log.after(read, PAGE).await {
                Ok(page) if page.is_empty() => {
                    is_away = false;
                    self.is_live.send_if_modified(|live| !std::mem::replace(live, true));
                    let _ = timeout(LOOK, self.topic.log.news()).await;
                    self.heed_lost_end().await;
                }
                Ok(page) => {
                    is_away = false;
                    self.take(&page);
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_away, true) {
                        let topic = &self.topic.name;
                        tracing::warn!(target: "saga", %topic, error, "sagas wait for events that cannot be read");
                    }
                    sleep(AGAIN).await;
                }
            }
            if *self.is_live.borrow() && looked.is_none_or(|at| at.elapsed() >= LOOK) {
                looked = Some(Instant::now());
                // What was read by the look before: a saga that begins now may not be among those that hold events.
                let read = std::mem::replace(&mut before, self.seen().read);
                self.topic.log.keep_after(held().map_or(read, |held| held.min(read)));
            }
        }
    }

    /// A broker may lose the end of its log, and give these numbers to other events. It must say so twice: a server
    /// that has just become the leader, or is none any more, may be behind.
    pub(super) async fn heed_lost_end(&self) {
        let Ok(last) = self.topic.log.last().await else { return };
        if last >= self.seen().read {
            return;
        }
        sleep(LOOK).await;
        let Ok(last) = self.topic.log.last().await else { return };
        let mut seen = self.seen();
        if last < seen.read {
            (seen.read, seen.floor) = (last, last);
            seen.known.clear();
            seen.numbers.clear();
        }
    }

    fn take(&self, page: &[TopicEvent]) {
        let marked: Vec<_> = page.iter().map(|event| (event.number, self.marks(event.record.as_ref()))).collect();
        let mut seen = self.seen();
        for (number, marks) in marked {
            seen.take(number, marks);
        }
    }

    fn marks(&self, record: Option<&EventRecord>) -> Vec<Option<EventMark>> {
        let Some(record) = record else { return Vec::new() };
        let Some(payload) = self.read_payload(&record.payload) else { return Vec::new() };
        self.forms.iter().map(|form| form.mark(record.key.as_deref(), &payload)).collect()
    }

    /// The payload with the names of the contract; `None`: it was published when the topic had another type.
    fn read_payload(&self, payload: &str) -> Option<String> {
        let PayloadType::Typed { ty, names, .. } = &self.topic.payload else { return Some(payload.to_owned()) };
        let value = json::read::<Value>(ty, *names, payload.as_bytes()).ok()?;
        let mut text = Vec::new();
        json::write(ty, Names::Kebab, &value, &mut text).ok()?;
        String::from_utf8(text).ok()
    }

    /// The event, if it was there when this was called.
    pub(super) async fn look(&self, sought: SoughtEvent) -> Option<FoundEvent> {
        let SoughtEvent { form, mark, mut after } = sought;
        loop {
            let (floor, found) = {
                let seen = self.seen();
                // Beyond the end only if a broker has lost it.
                after = after.min(seen.read);
                (seen.floor, seen.first((form, mark), after))
            };
            if after < floor {
                match self.search(sought, after, floor).await {
                    Some(found) => return Some(found),
                    None => after = floor,
                }
                continue;
            }
            let number = found?;
            let event = self.read(number - 1, 1).await.into_iter().next();
            if let Some(found) = event.filter(|event| event.number == number).and_then(|event| self.is(sought, event)) {
                return Some(found);
            }
            // It has gone since.
            after = number;
        }
    }

    /// Waits for the event.
    pub(super) async fn find(&self, sought: SoughtEvent) -> FoundEvent {
        let wait = (sought.form, sought.mark);
        let come = Arc::new(Notify::new());
        // Before the look: what comes after it wakes, and what comes before is found.
        self.seen().waiting.entry(wait).or_default().push(Arc::clone(&come));
        let waiting = WaitingSaga { tail: self, sought: wait, come };
        loop {
            if let Some(found) = self.look(sought).await {
                return found;
            }
            waiting.come.notified().await;
        }
    }

    /// Searches the log itself, above `after` and up to `end`.
    async fn search(&self, sought: SoughtEvent, mut after: u64, end: u64) -> Option<FoundEvent> {
        while after < end {
            let page = self.read(after, PAGE).await;
            after = page.last()?.number;
            let up_to_end = page.into_iter().take_while(|event| event.number <= end);
            if let Some(found) = up_to_end.filter_map(|event| self.is(sought, event)).next() {
                return Some(found);
            }
        }
        None
    }

    /// The event, if it is the one.
    fn is(&self, sought: SoughtEvent, TopicEvent { number, record }: TopicEvent) -> Option<FoundEvent> {
        let record = record?;
        let payload = self.read_payload(&record.payload)?;
        let mark = self.forms.get(sought.form)?.mark(record.key.as_deref(), &payload)?;
        (mark == sought.mark).then_some(FoundEvent { number, payload })
    }

    /// A page of the log, read again until it answers.
    async fn read(&self, after: u64, most: usize) -> Vec<TopicEvent> {
        loop {
            match self.topic.log.after(after, most).await {
                Ok(page) => return page,
                Err(_) => sleep(AGAIN).await,
            }
        }
    }
}

impl SeenEvents {
    fn take(&mut self, number: u64, marks: Vec<Option<EventMark>>) {
        for (form, mark) in marks.iter().enumerate() {
            let Some(mark) = mark else { continue };
            self.numbers.entry((form, *mark)).or_default().push_back(number);
            self.waiting.get(&(form, *mark)).into_iter().flatten().for_each(|come| come.notify_one());
        }
        self.known.push_back((number, marks));
        self.read = number;
        while self.known.len() > KNOWN {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((number, marks)) = self.known.pop_front() else { return };
        self.floor = number;
        for (form, mark) in marks.into_iter().enumerate() {
            let Some(mark) = mark else { continue };
            let Some(numbers) = self.numbers.get_mut(&(form, mark)) else { continue };
            numbers.pop_front();
            if numbers.is_empty() {
                self.numbers.remove(&(form, mark));
            }
        }
    }

    /// The first known event with this mark whose number is above `after`.
    fn first(&self, sought: (usize, EventMark), after: u64) -> Option<u64> {
        let numbers = self.numbers.get(&sought)?;
        numbers.get(numbers.partition_point(|number| *number <= after)).copied()
    }
}
