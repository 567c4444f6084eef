//! The task of one schedule: waits for its due times, does the work of each, one after the other, and writes down which
//! was the last.

use super::handler::{Fire, TryEnd};
use super::schedule::{FiringEnd, NamedSchedule, ScheduledWork};
use super::schedules::WallClock;
use crate::events::{Backoff, NewEvent, RefusedEvent, Topic};
use crate::schedule::MissedRule;
use crate::state::{Beside, Bucket, Change, StateError, Transaction};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// The longest wait without a look at the clock, which somebody may set.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The pauses while the service cannot be reached, or the store cannot write.
const UNREACHED: Backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(5) };
/// The key of the last due time that is settled, in decimal digits.
const DONE: &[u8] = b"done";

/// How a schedule fares, as its task tells.
#[derive(Debug, Clone, Default)]
pub(super) struct ScheduleStatus {
    pub(super) next: Option<u64>,
    pub(super) under_way: Option<u64>,
    pub(super) last: Option<FiringEnd>,
    pub(super) done: u64,
    pub(super) failures: u64,
    pub(super) given_up: u64,
    pub(super) skipped: u64,
}

/// What a schedule's task is given.
pub(super) struct Timekeeper<F> {
    pub(super) schedule: Arc<NamedSchedule>,
    pub(super) bucket: Bucket,
    pub(super) fire: Arc<F>,
    pub(super) clock: WallClock,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) status: Arc<Mutex<ScheduleStatus>>,
}

/// A due time that is not settled.
struct Firing {
    due: u64,
    /// How often it has failed.
    failed: u32,
    /// How often in a row it could not be tried.
    unreached: u32,
    /// When it is tried.
    at: Instant,
}

impl Firing {
    fn new(due: u64) -> Self {
        Self { due, failed: 0, unreached: 0, at: Instant::now() }
    }
}

impl<F: Fire> Timekeeper<F> {
    /// Keeps the times until it is told to stop.
    pub(super) async fn run(mut self) {
        let Some(mut done) = self.load().await else { return };
        // What was due before was missed.
        let mut free_since = (self.clock)();
        let mut firing = None;
        while !*self.stop.borrow() {
            let now = (self.clock)();
            if !self.look(&mut firing, &mut done, free_since, now).await {
                return;
            }
            let wake = match &mut firing {
                None => {
                    let next = self.schedule.times.after(done);
                    self.tell(|status| status.next = next);
                    let wait = next.map_or(LONGEST_WAIT, |next| Duration::from_millis(next.saturating_sub(now)));
                    Instant::now() + wait.min(LONGEST_WAIT)
                }
                Some(firing) if firing.at > Instant::now() => firing.at,
                Some(current) => {
                    if self.attempt(current).await {
                        done = current.due;
                        free_since = (self.clock)();
                        firing = None;
                    }
                    continue;
                }
            };
            tokio::select! {
                () = sleep_until(wake) => {}
                _ = self.stop.changed() => {}
            }
        }
    }

    /// The last due time that is settled. A new schedule begins now, and says so on disk: what is due until the next
    /// start is missed then. `None`: it was told to stop first.
    async fn load(&mut self) -> Option<u64> {
        loop {
            match self.done().await {
                Ok((done @ Some(_), _)) => return done,
                Ok((None, _)) => {
                    let now = (self.clock)();
                    return self.settle(now).await.then_some(now);
                }
                Err(error) => self.warn(&error.with_causes(), "the last due time cannot be read"),
            }
            tokio::select! {
                () = sleep(Duration::from_secs(1)) => {}
                _ = self.stop.changed() => return None,
            }
        }
    }

    /// The last due time that is settled on disk, and the version of the note.
    async fn done(&self) -> Result<(Option<u64>, u64), StateError> {
        let Some(found) = self.bucket.get(vec![DONE.to_vec()]).await?.into_iter().flatten().next() else {
            return Ok((None, 0));
        };
        let done = std::str::from_utf8(&found.value).ok().and_then(|text| text.parse().ok());
        Ok((done, found.version))
    }

    /// Looks what is due at `now`. False: it was told to stop.
    async fn look(&mut self, firing: &mut Option<Firing>, done: &mut u64, free_since: u64, now: u64) -> bool {
        let NamedSchedule { times, missed, .. } = &*self.schedule;
        if let Some(current) = firing {
            let newer = times.last_until(now).filter(|last| *missed == MissedRule::Latest && *last > current.due);
            if let Some(newer) = newer {
                // Nobody waits for the older one any more.
                let pick = missed.pick(times, current.due, free_since, now);
                let given_up = u64::from(current.failed > 0);
                self.tell(|status| {
                    // One that was tried and failed was not skipped.
                    status.given_up += given_up;
                    status.skipped += pick.skipped + 1 - given_up;
                });
                *current = Firing::new(newer);
            }
        } else {
            let pick = missed.pick(times, *done, free_since, now);
            self.tell(|status| status.skipped += pick.skipped);
            if let Some(settled) = pick.settled {
                *done = settled;
                return self.settle(settled).await;
            }
            *firing = pick.fire.map(Firing::new);
        }
        let due = firing.as_ref().map(|firing| firing.due);
        self.tell(|status| status.under_way = due);
        true
    }

    /// Does the work of a due time. True: it is settled, and that is on disk, or the host stops.
    async fn attempt(&mut self, firing: &mut Firing) -> bool {
        let (due, schedule) = (firing.due, Arc::clone(&self.schedule));
        let (end, on_disk) = match &schedule.work {
            ScheduledWork::Call { service, at, payload, .. } => {
                let call = AssertUnwindSafe(self.fire.fire(service, *at, payload.as_deref())).catch_unwind().await;
                let panicked = |_| TryEnd::Failed("the host panicked; its log says where".to_owned());
                (call.unwrap_or_else(panicked), false)
            }
            ScheduledWork::Publish { topic, key, payload } => {
                let event = NewEvent { key: key.clone(), payload: payload.clone() };
                (self.publish(topic, event, due).await, true)
            }
        };
        let ended = (self.clock)();
        let name = &schedule.name;
        match end {
            TryEnd::Handled => {
                self.tell(|status| {
                    status.done += 1;
                    status.last = Some(FiringEnd { due, at: ended, error: None });
                });
                if !on_disk {
                    self.settle(due).await;
                }
            }
            TryEnd::NotNow(reason) => {
                firing.unreached = firing.unreached.saturating_add(1);
                firing.at = Instant::now() + UNREACHED.pause(firing.unreached, rand::random());
                tracing::debug!(target: "delivery", schedule = name, due, reason, "a schedule waits for its service");
                return false;
            }
            TryEnd::Failed(reason) => {
                (firing.failed, firing.unreached) = (firing.failed + 1, 0);
                let given_up = firing.failed >= schedule.tries;
                let tries = firing.failed;
                tracing::warn!(target: "delivery", schedule = name, due, tries, given_up, reason, "a schedule failed");
                self.tell(|status| {
                    status.failures += 1;
                    status.given_up += u64::from(given_up);
                    status.last = Some(FiringEnd { due, at: ended, error: Some(reason) });
                });
                if !given_up {
                    firing.at = Instant::now() + schedule.backoff.pause(tries, rand::random());
                    return false;
                }
                self.settle(due).await;
            }
        }
        self.tell(|status| status.under_way = None);
        true
    }

    /// Publishes the event of a due time, and settles the due time in the same commit: it is published once. A commit
    /// that failed with an error of the disk may be there all the same, so each try looks first; and the note must not
    /// have changed since, should a commit of before arrive late.
    async fn publish(&self, topic: &Arc<Topic>, event: NewEvent, due: u64) -> TryEnd {
        let source = format!("schedule {}", self.schedule.name);
        let record = match topic.admit(event, &source, (self.clock)()) {
            Ok(record) => record.encode(),
            Err(refused @ RefusedEvent::Full { .. }) => return TryEnd::NotNow(refused.to_string()),
            Err(refused) => return TryEnd::Failed(refused.to_string()),
        };
        let bytes = record.len() as u64;
        let version = match self.done().await {
            Ok((Some(done), _)) if done >= due => {
                // A commit of which nobody knew. Its number is learned when it is read.
                topic.published(0, 1, bytes);
                return TryEnd::Handled;
            }
            Ok((_, version)) => version,
            Err(error) => return TryEnd::NotNow(error.with_causes()),
        };
        let writes =
            vec![(Topic::COUNTER.to_vec(), Change::Append(record)), (Topic::WRITTEN.to_vec(), Change::Add(bytes))];
        let beside = vec![Beside { bucket: topic.bucket(), checks: Vec::new(), writes }];
        let checks = vec![(DONE.to_vec(), version)];
        match self.bucket.commit(Transaction { checks, beside, ..settled(due) }).await {
            Ok(committed) => {
                topic.published(committed.sums.first().copied().unwrap_or_default(), 1, bytes);
                TryEnd::Handled
            }
            Err(error) => {
                topic.may_have_more();
                TryEnd::NotNow(error.with_causes())
            }
        }
    }

    /// Writes down that everything up to `due` is settled, again and again if the store cannot write. False: it was
    /// told to stop first, so that the due time comes again at the next start.
    async fn settle(&mut self, due: u64) -> bool {
        let mut failures = 0;
        loop {
            let error: StateError = match self.bucket.commit(settled(due)).await {
                Ok(_) => return true,
                Err(error) => error,
            };
            failures += 1;
            self.warn(&error.with_causes(), "a due time cannot be written down: it is tried again");
            tokio::select! {
                () = sleep(UNREACHED.pause(failures, rand::random())) => {}
                _ = self.stop.changed() => return false,
            }
        }
    }

    fn tell(&self, change: impl FnOnce(&mut ScheduleStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn warn(&self, error: &str, what: &str) {
        tracing::warn!(target: "delivery", schedule = self.schedule.name, error, "{what}");
    }
}

fn settled(due: u64) -> Transaction {
    let writes = vec![(DONE.to_vec(), Change::Put(due.to_string().into_bytes()))];
    Transaction { writes, ..Transaction::default() }
}
