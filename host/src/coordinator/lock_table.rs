//! Which saga has which lock.
//!
//! The table is in memory. What a saga has is in its journal, from which the table is made again after a restart.

use super::unix_time::unix_ms;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// What is locked: the name of a lock, and a value as JSON.
pub(super) type SagaLockKey = (Arc<str>, String);

/// The saga that has a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    /// The name of the lock.
    pub lock: Arc<str>,
    /// The saga of the manifest.
    pub saga: Arc<str>,
    /// Its id.
    pub id: String,
    /// When it loses the lock at the latest, in milliseconds since 1970.
    pub until: u64,
}

/// One taking of a lock: two takings by one saga are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LockGrant(u64);

/// Who has one lock, and who waits for it.
#[derive(Default)]
struct LockQueue {
    holder: Option<(LockHolder, LockGrant)>,
    /// In the order in which they came.
    waiting: VecDeque<(u64, LockHolder, Arc<Notify>)>,
}

/// The locks of all sagas.
#[derive(Default)]
pub(super) struct LockTable(Mutex<LockTableState>);

#[derive(Default)]
struct LockTableState {
    queues: BTreeMap<SagaLockKey, LockQueue>,
    /// The turn that the next one gets who waits, and the grant of the next one who takes.
    next_turn: u64,
}

/// A place in a queue. Dropped, it is given up.
struct LockTurn<'a> {
    table: &'a LockTable,
    thing: &'a SagaLockKey,
    turn: u64,
    come: Arc<Notify>,
}

impl Drop for LockTurn<'_> {
    fn drop(&mut self) {
        let mut state = self.table.state();
        if let Some(queue) = state.queues.get_mut(self.thing) {
            queue.waiting.retain(|(turn, ..)| *turn != self.turn);
            queue.wake();
        }
        state.tidy(self.thing);
    }
}

impl LockTable {
    fn state(&self) -> MutexGuard<'_, LockTableState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a lock that nobody has and nobody waits for. `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// A saga has it, or will have it next: another one, or an earlier start of the same one.
    pub(super) fn take(&self, thing: &SagaLockKey, holder: LockHolder, now: u64) -> Result<LockGrant, LockHolder> {
        let state = &mut *self.state();
        let queue = state.queues.entry(thing.clone()).or_default();
        let held = queue.held(now);
        if let Some(before) = held.or(queue.waiting.front().map(|(_, next, _)| next)) {
            return Err(before.clone());
        }
        Ok(queue.give(holder, &mut state.next_turn))
    }

    /// A saga of an earlier run has it. Of two the one has it that loses it later: the other one has expired.
    pub(super) fn restore(&self, thing: &SagaLockKey, holder: LockHolder) {
        let state = &mut *self.state();
        let queue = state.queues.entry(thing.clone()).or_default();
        if queue.holder.as_ref().is_none_or(|(before, _)| before.until <= holder.until) {
            queue.give(holder, &mut state.next_turn);
        }
    }

    /// Waits for its turn, and takes the lock for `expires`. Returns when that was, in milliseconds since 1970.
    pub(super) async fn wait(&self, thing: &SagaLockKey, holder: LockHolder, expires: Duration) -> u64 {
        let turn = self.line_up(thing, holder.clone());
        loop {
            let until = {
                let state = &mut *self.state();
                let now = unix_ms();
                let queue = state.queues.entry(thing.clone()).or_default();
                let held = queue.held(now).filter(|held| held.id != holder.id).map(|held| held.until);
                let is_first = queue.waiting.front().is_none_or(|(first, ..)| *first == turn.turn);
                if is_first && held.is_none() {
                    let expires = u64::try_from(expires.as_millis()).unwrap_or(u64::MAX);
                    let holder = LockHolder { until: now.saturating_add(expires), ..holder };
                    queue.give(holder, &mut state.next_turn);
                    return now;
                }
                held.map_or(Duration::MAX, |until| Duration::from_millis(until.saturating_sub(now)))
            };
            tokio::select! {
                () = turn.come.notified() => {}
                () = sleep(until.min(Duration::from_secs(3600))) => {}
            }
        }
    }

    fn line_up<'a>(&'a self, thing: &'a SagaLockKey, holder: LockHolder) -> LockTurn<'a> {
        let mut state = self.state();
        let (turn, come) = (state.next_turn, Arc::new(Notify::new()));
        state.next_turn += 1;
        state.queues.entry(thing.clone()).or_default().waiting.push_back((turn, holder, Arc::clone(&come)));
        LockTurn { table: self, thing, turn, come }
    }

    /// The saga `id` needs it no more. The first one that waits has its turn.
    pub(super) fn release(&self, thing: &SagaLockKey, id: &str) {
        let mut state = self.state();
        if let Some(queue) = state.queues.get_mut(thing) {
            queue.holder.take_if(|(holder, _)| holder.id == id);
            queue.wake();
        }
        state.tidy(thing);
    }

    /// How many wait for it.
    #[cfg(test)]
    pub(super) fn waiting(&self, thing: &SagaLockKey) -> usize {
        self.state().queues.get(thing).map_or(0, |queue| queue.waiting.len())
    }

    /// Whoever has taken it with `grant` needs it no more. Whoever has it by another taking keeps it, also the same
    /// saga.
    pub(super) fn give_back(&self, thing: &SagaLockKey, grant: LockGrant) {
        let mut state = self.state();
        if let Some(queue) = state.queues.get_mut(thing) {
            queue.holder.take_if(|(_, given)| *given == grant);
            queue.wake();
        }
        state.tidy(thing);
    }
}

impl LockQueue {
    /// Who has it at `now`.
    fn held(&self, now: u64) -> Option<&LockHolder> {
        self.holder.as_ref().map(|(holder, _)| holder).filter(|holder| holder.until > now)
    }

    fn give(&mut self, holder: LockHolder, next: &mut u64) -> LockGrant {
        let grant = LockGrant(*next);
        *next += 1;
        self.holder = Some((holder, grant));
        grant
    }

    fn wake(&self) {
        self.waiting.front().iter().for_each(|(.., come)| come.notify_one());
    }
}

impl LockTableState {
    /// Forgets a lock that nobody has and nobody waits for.
    fn tidy(&mut self, thing: &SagaLockKey) {
        if self.queues.get(thing).is_some_and(|queue| queue.holder.is_none() && queue.waiting.is_empty()) {
            self.queues.remove(thing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn thing() -> SagaLockKey {
        ("order".into(), "\"7\"".into())
    }

    fn holder(id: &str, until: u64) -> LockHolder {
        LockHolder { lock: "order".into(), saga: "buy".into(), id: id.into(), until }
    }

    #[tokio::test]
    async fn one_has_a_lock_and_the_others_have_it_in_the_order_in_which_they_came() {
        let (table, later) = (LockTable::default(), unix_ms() + 3_600_000);
        table.take(&thing(), holder("a", later), unix_ms()).unwrap();
        assert_eq!(table.take(&thing(), holder("x", later), unix_ms()), Err(holder("a", later)));
        let other = ("order".into(), "\"8\"".into());
        table.take(&other, holder("x", later), unix_ms()).unwrap();
        let (b_thing, c_thing, hour) = (thing(), thing(), Duration::from_secs(3600));
        let mut b = Box::pin(table.wait(&b_thing, holder("b", 0), hour));
        let mut c = Box::pin(table.wait(&c_thing, holder("c", 0), hour));
        assert!(b.as_mut().now_or_never().is_none() && c.as_mut().now_or_never().is_none());
        table.release(&thing(), "x");
        assert!(b.as_mut().now_or_never().is_none(), "it is not the lock of `x`");
        table.release(&thing(), "a");
        assert!(c.as_mut().now_or_never().is_none(), "`b` is first");
        assert!(table.take(&thing(), holder("y", later), unix_ms()).is_err(), "`b` has its turn");
        assert!(b.now_or_never().is_some());
        table.release(&thing(), "b");
        assert!(c.now_or_never().is_some());
        table.release(&thing(), "c");
        table.release(&other, "x");
        assert!(table.state().queues.is_empty());
    }

    #[test]
    fn what_was_taken_twice_is_given_back_by_the_taking_that_has_it() {
        let (table, now) = (LockTable::default(), unix_ms());
        let first = table.take(&thing(), holder("a", now + 1), now).unwrap();
        let later = holder("a", now + 3_600_000);
        // The first taking has expired.
        let second = table.take(&thing(), later.clone(), now + 2).unwrap();
        table.give_back(&thing(), first);
        assert_eq!(table.take(&thing(), holder("b", now + 9), now + 2), Err(later));
        table.give_back(&thing(), second);
        assert!(table.state().queues.is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_holds_up_nobody_and_an_expired_lock_is_free() {
        let (table, hour) = (LockTable::default(), Duration::from_secs(3600));
        table.take(&thing(), holder("a", unix_ms() + 3_600_000), unix_ms()).unwrap();
        let (b_thing, c_thing) = (thing(), thing());
        let mut b = Box::pin(table.wait(&b_thing, holder("b", 0), hour));
        let mut c = Box::pin(table.wait(&c_thing, holder("c", 0), hour));
        assert!(b.as_mut().now_or_never().is_none() && c.as_mut().now_or_never().is_none());
        drop(b);
        table.release(&thing(), "a");
        assert!(c.now_or_never().is_some());
        let table = LockTable::default();
        table.take(&thing(), holder("a", unix_ms() + 1), unix_ms()).unwrap();
        table.wait(&thing(), holder("b", 0), hour).await;
        table.release(&thing(), "a");
        assert!(table.take(&thing(), holder("c", 1), unix_ms()).is_err(), "the end of `a` is not that of `b`");
    }

    #[test]
    fn after_a_restart_the_lock_is_that_of_the_latest_holder() {
        for order in [["a", "b"], ["b", "a"]] {
            let (table, now) = (LockTable::default(), unix_ms());
            for id in order {
                let until = if id == "b" { now + 60_000 } else { now - 1 };
                table.restore(&thing(), holder(id, until));
            }
            assert_eq!(table.take(&thing(), holder("c", 0), now), Err(holder("b", now + 60_000)));
        }
    }
}
