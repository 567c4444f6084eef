//! What the guest of one instance takes, charged to those whose calls it serves.
//!
//! It costs nothing as long as nobody pays. For a call with a payer the processor time of the thread is read where a
//! poll of the instance begins and ends, and where the payers change in between. Calls of other services are made
//! within polls of their caller's instance; what was charged within a poll is not charged again by the poll around it.
//!
//! An instance that serves several calls at a time charges each payer an equal part of what it takes meanwhile: the
//! engine does not say which call it works for. What it does after its last answer is charged to the payer of that
//! answer; an instance that is kept for further calls charges the memory only while it serves one.

use super::thread_clock::thread_nanos;
use crate::base::{TakenWork, WorkPayer};
use crate::runtime::lock::lock;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use wasmtime::component::GuestTaskId;

type Payer = Arc<dyn WorkPayer>;

/// What the guest of one instance takes. `Id` tells its calls apart.
pub(crate) struct WorkMeter<Id = GuestTaskId> {
    /// Whether somebody pays.
    is_on: AtomicBool,
    /// The bytes of memory that the instance has.
    memory: AtomicUsize,
    state: Mutex<MeterState<Id>>,
}

struct MeterState<Id> {
    /// The calls that have a payer, in the order in which they came.
    calls: Vec<(Id, Payer)>,
    /// Who pays while no call runs.
    rest: Option<Payer>,
    /// Calls that run and have no payer. Their part of the work is charged to nobody.
    free: Vec<Id>,
    /// Whether the instance is kept for further calls.
    is_kept: bool,
    poll: Option<MeteredPoll>,
    /// Until when the memory was charged.
    held_since: Option<Instant>,
}

/// A poll of the instance that goes on.
#[derive(Clone, Copy)]
struct MeteredPoll {
    /// The thread's processor time until which it was charged.
    since: u64,
    /// What had been charged on this thread then.
    charged: u64,
}

thread_local! {
    /// The processor time that was charged on this thread, of all instances.
    static CHARGED: Cell<u64> = const { Cell::new(0) };
}

impl<Id> Default for WorkMeter<Id> {
    fn default() -> Self {
        let state = MeterState {
            calls: Vec::new(),
            rest: None,
            free: Vec::new(),
            is_kept: false,
            poll: None,
            held_since: None,
        };
        Self { is_on: AtomicBool::new(false), memory: AtomicUsize::new(0), state: Mutex::new(state) }
    }
}

impl<Id: Copy + PartialEq> WorkMeter<Id> {
    /// The instance was made for a call with this payer.
    pub(crate) fn made_for(&self, payer: Option<&Payer>) {
        let Some(payer) = payer else { return };
        let mut state = lock(&self.state);
        state.rest = Some(Arc::clone(payer));
        state.held_since = Some(Instant::now());
        self.is_on.store(true, Relaxed);
    }

    /// The instance is kept for further calls.
    pub(crate) fn keep(&self) {
        lock(&self.state).is_kept = true;
    }

    /// The instance has so much memory from now on.
    pub(crate) fn has_memory(&self, bytes: usize) {
        self.memory.store(bytes, Relaxed);
    }

    /// A poll of the instance begins.
    pub(super) fn begin_poll(&self) {
        if self.is_on.load(Relaxed) {
            lock(&self.state).poll = Some(MeteredPoll::now());
        }
    }

    /// The poll ends.
    pub(super) fn end_poll(&self) {
        if self.is_on.load(Relaxed) {
            let mut state = lock(&self.state);
            self.settle(&mut state);
            state.poll = None;
        }
    }

    /// Within a poll: the instance begins a call with this payer.
    pub(crate) fn begin_call(&self, task: Id, payer: Option<&Payer>) {
        if payer.is_none() && !self.is_on.load(Relaxed) {
            return;
        }
        let mut state = lock(&self.state);
        // A call begins in an instance that was made for it: what it took so far is on the same account.
        let is_same = state.calls.is_empty() && payer.is_some_and(|payer| state.pays_rest(payer));
        if !is_same {
            self.settle(&mut state);
        }
        state.rest = None;
        match payer {
            Some(payer) => state.calls.push((task, Arc::clone(payer))),
            None => state.free.push(task),
        }
        let now = Instant::now();
        state.held_since.get_or_insert(now);
        state.poll.get_or_insert_with(MeteredPoll::now);
        self.is_on.store(true, Relaxed);
    }

    /// Within a poll: a call has its answer.
    pub(crate) fn end_call(&self, task: Id) {
        if !self.is_on.load(Relaxed) {
            return;
        }
        let mut state = lock(&self.state);
        if state.calls.len() + state.free.len() > 1 || state.is_kept {
            self.settle(&mut state);
        }
        state.free.retain(|free| *free != task);
        let Some(at) = state.calls.iter().position(|(call, _)| *call == task) else { return };
        let (_, payer) = state.calls.remove(at);
        if state.calls.is_empty() && state.free.is_empty() {
            state.rest = Some(payer);
            if state.is_kept {
                state.held_since = None;
            }
        }
    }

    /// The instance goes.
    pub(crate) fn end(&self) {
        if self.is_on.load(Relaxed) {
            self.settle(&mut lock(&self.state));
        }
    }

    /// Charges what was taken since the last time.
    fn settle(&self, state: &mut MeterState<Id>) {
        let cpu = state.poll.as_mut().map_or(0, MeteredPoll::take);
        let held = state.held_since.map_or(Duration::ZERO, |since| since.elapsed());
        if let Some(since) = &mut state.held_since {
            *since += held;
        }
        let memory = TakenWork::held(self.memory.load(Relaxed), held);
        let parts = (state.calls.len() + state.free.len()).max(1) as u64;
        let part = TakenWork { cpu: Duration::from_nanos(cpu.div_ceil(parts)), memory: memory.div_ceil(parts) };
        if part.is_none() {
            return;
        }
        let rest = state.rest.iter().filter(|_| state.calls.is_empty() && state.free.is_empty());
        for payer in state.calls.iter().map(|(_, payer)| payer).chain(rest) {
            payer.pay(part);
        }
    }
}

impl<Id> MeterState<Id> {
    fn pays_rest(&self, payer: &Payer) -> bool {
        self.rest.as_ref().is_some_and(|rest| Arc::ptr_eq(rest, payer))
    }
}

impl MeteredPoll {
    fn now() -> Self {
        Self { since: thread_nanos(), charged: CHARGED.get() }
    }

    /// The processor time since the last time, less what was charged within.
    fn take(&mut self) -> u64 {
        let (now, charged) = (thread_nanos(), CHARGED.get());
        let own = now.saturating_sub(self.since).saturating_sub(charged.wrapping_sub(self.charged));
        CHARGED.set(charged.wrapping_add(own));
        *self = Self { since: now, charged: charged.wrapping_add(own) };
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's account.
    #[derive(Debug, Default)]
    struct Account(Mutex<TakenWork>);

    impl WorkPayer for Account {
        fn pay(&self, work: TakenWork) {
            let mut taken = lock(&self.0);
            taken.cpu += work.cpu;
            taken.memory += work.memory;
        }
    }

    impl Account {
        fn cpu(&self) -> Duration {
            lock(&self.0).cpu
        }
    }

    fn account() -> (Arc<Account>, Payer) {
        let account = Arc::new(Account::default());
        (Arc::clone(&account), account)
    }

    const MILLI: Duration = Duration::from_millis(1);

    /// Computes on this thread for so long.
    fn compute(time: Duration) {
        let end = thread_nanos() + u64::try_from(time.as_nanos()).expect("short");
        while thread_nanos() < end {
            std::hint::spin_loop();
        }
    }

    /// A poll of the instance, and how much of the thread's time it took.
    fn poll(meter: &WorkMeter<u32>, work: impl FnOnce()) -> Duration {
        let began = thread_nanos();
        meter.begin_poll();
        work();
        meter.end_poll();
        Duration::from_nanos(thread_nanos() - began)
    }

    #[test]
    fn the_time_of_a_poll_is_charged_to_the_call_and_what_follows_to_the_last_one() {
        let (meter, (account, payer)) = (WorkMeter::default(), account());
        meter.made_for(Some(&payer));
        let mut took = poll(&meter, || {
            compute(MILLI);
            meter.begin_call(1, Some(&payer));
            compute(MILLI);
            meter.end_call(1);
        });
        assert!(account.cpu() >= 2 * MILLI && account.cpu() <= took, "{:?} of {took:?}", account.cpu());
        took += poll(&meter, || compute(MILLI));
        assert!(account.cpu() >= 3 * MILLI && account.cpu() <= took, "the body of the answer counts too");
        compute(MILLI);
        meter.end();
        assert!(account.cpu() <= took, "what the thread does between two polls is nobody's");
    }

    #[test]
    fn a_poll_within_a_poll_is_charged_once() {
        let ((outer, outer_payer), (inner, inner_payer)) = (account(), account());
        let (caller, callee) = (WorkMeter::default(), WorkMeter::default());
        let took = poll(&caller, || {
            caller.begin_call(1, Some(&outer_payer));
            compute(MILLI);
            poll(&callee, || {
                callee.begin_call(1, Some(&inner_payer));
                compute(2 * MILLI);
                callee.end_call(1);
            });
            compute(MILLI);
            caller.end_call(1);
        });
        assert!(outer.cpu() >= 2 * MILLI && inner.cpu() >= 2 * MILLI, "{outer:?} and {inner:?}");
        assert!(outer.cpu() + inner.cpu() <= took, "{outer:?} and {inner:?} of {took:?}");
    }

    #[test]
    fn calls_at_the_same_time_pay_equal_parts_and_one_without_a_payer_has_its_part_free() {
        let ((one, first), (two, second)) = (account(), account());
        let meter = WorkMeter::default();
        let mut alone = Duration::ZERO;
        let took = poll(&meter, || {
            meter.begin_call(1, Some(&first));
            meter.begin_call(2, Some(&second));
            meter.begin_call(3, None);
            let began = one.cpu() + two.cpu();
            compute(3 * MILLI);
            meter.end_call(2);
            let both = one.cpu() + two.cpu() - began;
            assert!(both >= 2 * MILLI && two.cpu() >= MILLI, "{one:?} and {two:?}");
            meter.end_call(3);
            alone = one.cpu();
            compute(MILLI);
            meter.end_call(1);
        });
        assert!(one.cpu() - alone >= MILLI && one.cpu() + two.cpu() < took, "{one:?} and {two:?} of {took:?}");
    }

    #[test]
    fn an_idle_instance_that_is_kept_takes_nothing_and_the_next_call_pays_for_itself() {
        let ((one, first), (two, second)) = (account(), account());
        let meter = WorkMeter::default();
        meter.keep();
        meter.has_memory(1 << 30);
        poll(&meter, || {
            meter.begin_call(1, Some(&first));
            compute(MILLI);
            meter.end_call(1);
        });
        let paid = *lock(&one.0);
        assert!(paid.memory >= 1 << 20, "a GiB for a millisecond: {paid:?}");
        compute(2 * MILLI);
        poll(&meter, || {
            meter.begin_call(2, Some(&second));
            compute(MILLI);
            meter.end_call(2);
        });
        assert!(two.cpu() >= MILLI && one.cpu() - paid.cpu < MILLI, "{one:?} and {two:?}");
        assert_eq!(lock(&one.0).memory, paid.memory, "nobody holds an idle instance");
    }

    #[test]
    fn without_a_payer_nothing_is_measured() {
        let meter = WorkMeter::<u32>::default();
        meter.made_for(None);
        poll(&meter, || {
            meter.begin_call(1, None);
            meter.end_call(1);
        });
        assert!(!meter.is_on.load(Relaxed) && lock(&meter.state).poll.is_none());
    }
}
