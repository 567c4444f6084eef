//! The platform in memory, for native tests: the contract of `atoll:state`, with every order in which requests can
//! interleave.
//!
//! Each operation yields once. So [`interleave`] can run requests against each other in any order that a seed
//! decides, and in the same order each time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::events::Event;
use crate::platform::Platform;
use crate::transactions::{Check, Entry, Error, Page, Put, Versioned, Write};

/// How many steps [`Platform::within`] waits here, where time stands still.
const STEPS_WITHIN: u32 = 1_000;

type Interference = Box<dyn Fn(&Memory)>;

#[derive(Default)]
struct Inner {
    entries: RefCell<BTreeMap<String, (Vec<u8>, u64)>>,
    published: RefCell<Vec<Event>>,
    settings: RefCell<BTreeMap<String, String>>,
    version: Cell<u64>,
    now: Cell<u64>,
    random: Cell<u64>,
    waited: Cell<Duration>,
    down: Cell<bool>,
    before_commit: RefCell<Option<Interference>>,
}

/// A store, settings, a clock and random numbers that a test controls. Clones share them.
#[derive(Clone, Default)]
pub struct Memory(Rc<Inner>);

impl std::fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Memory").field("entries", &self.0.entries).finish_non_exhaustive()
    }
}

thread_local! {
    static CURRENT: RefCell<Memory> = RefCell::default();
}

impl Memory {
    /// Makes an empty platform the current one of this thread. Every test begins with it.
    pub fn fresh() -> Self {
        let memory = Self::default();
        memory.set_now(1_800_000_000_000);
        CURRENT.with(|current| current.replace(memory.clone()));
        memory
    }

    /// Sets the wall clock, in milliseconds since 1970.
    pub fn set_now(&self, now: u64) {
        self.0.now.set(now);
    }

    /// Sets a setting of the service.
    pub fn set(&self, key: &str, value: &str) {
        self.0.settings.borrow_mut().insert(key.to_owned(), value.to_owned());
    }

    /// Makes every operation on the state fail with `unavailable`, or ends that.
    pub fn set_down(&self, down: bool) {
        self.0.down.set(down);
    }

    /// Calls `interference` before each commit: what another request does at the worst moment.
    pub fn before_every_commit(&self, interference: impl Fn(&Memory) + 'static) {
        *self.0.before_commit.borrow_mut() = Some(Box::new(interference));
    }

    /// Restarts the random numbers: the next ones repeat those given before.
    pub fn repeat_random(&self) {
        self.0.random.set(0);
    }

    /// Writes one key, as another request's commit.
    pub fn put(&self, key: &str, value: &[u8]) {
        let version = self.next_version();
        self.0.entries.borrow_mut().insert(key.to_owned(), (value.to_vec(), version));
    }

    /// All keys in order.
    pub fn keys(&self) -> Vec<String> {
        self.0.entries.borrow().keys().cloned().collect()
    }

    /// The events of all commits, in their order.
    pub fn published(&self) -> Vec<Event> {
        self.0.published.borrow().clone()
    }

    /// How long the service has waited in all.
    pub fn waited(&self) -> Duration {
        self.0.waited.get()
    }

    fn next_version(&self) -> u64 {
        self.0.version.set(self.0.version.get() + 1);
        self.0.version.get()
    }

    async fn step(&self) -> Result<(), Error> {
        yield_now().await;
        if self.0.down.get() { Err(Error::Unavailable("the store is down".to_owned())) } else { Ok(()) }
    }
}

impl Platform for Memory {
    fn current() -> Self {
        CURRENT.with_borrow(Clone::clone)
    }

    async fn get_many(&self, keys: Vec<String>) -> Result<Vec<Option<Versioned>>, Error> {
        self.step().await?;
        let entries = self.0.entries.borrow();
        let read = |key| entries.get(key).map(|(value, version)| Versioned { value: value.clone(), version: *version });
        Ok(keys.iter().map(read).collect())
    }

    async fn scan(&self, prefix: String, after: Option<String>, limit: u32) -> Result<Page, Error> {
        self.step().await?;
        let entries = self.0.entries.borrow();
        let mut found = entries
            .range(prefix.clone()..)
            .take_while(|(key, _)| key.starts_with(&prefix))
            .filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after))
            .map(|(key, (value, version))| Entry { key: key.clone(), value: value.clone(), version: *version });
        let entries: Vec<_> = found.by_ref().take(limit as usize).collect();
        let next = found.next().and_then(|_| entries.last()).map(|last| last.key.clone());
        Ok(Page { entries, next })
    }

    async fn commit(&self, checks: Vec<Check>, writes: Vec<Write>, events: Vec<Event>) -> Result<u64, Error> {
        self.step().await?;
        if let Some(interfere) = self.0.before_commit.borrow().as_ref() {
            interfere(self);
        }
        let failed =
            |check: &Check| self.0.entries.borrow().get(&check.key).map_or(0, |(_, version)| *version) != check.version;
        if let Some(check) = checks.into_iter().find(failed) {
            return Err(Error::Conflict(check.key));
        }
        let version = self.next_version();
        let mut entries = self.0.entries.borrow_mut();
        for write in writes {
            match write {
                Write::Put(Put { key, value }) => entries.insert(key, (value, version)),
                Write::Delete(key) => entries.remove(&key),
            };
        }
        self.0.published.borrow_mut().extend(events);
        Ok(version)
    }

    fn setting(&self, key: &str) -> Result<Option<String>, String> {
        Ok(self.0.settings.borrow().get(key).cloned())
    }

    fn now(&self) -> u64 {
        self.0.now.get()
    }

    fn random(&self) -> u64 {
        self.0.random.set(self.0.random.get() + 1);
        mix(self.0.random.get())
    }

    async fn wait(&self, time: Duration) {
        self.0.waited.set(self.0.waited.get() + time);
        yield_now().await;
    }

    async fn within<T>(&self, _time: Duration, future: impl Future<Output = T>) -> Option<T> {
        cut_short(STEPS_WITHIN, future).await
    }
}

/// Runs a future to its end. It may wait for nothing outside of this memory.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

/// Runs all futures to their ends, one step of one future at a time, in an order that `seed` decides.
pub fn interleave<T>(seed: u64, futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut answers: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    let mut running: Vec<(usize, Pin<Box<_>>)> = futures.into_iter().map(Box::pin).enumerate().collect();
    let mut random = mix(seed);
    while !running.is_empty() {
        random = mix(random);
        let picked = usize::try_from(random % running.len() as u64).expect("it is an index");
        let (index, future) = &mut running[picked];
        if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            answers[*index] = Some(answer);
            running.swap_remove(picked);
        }
    }
    answers.into_iter().map(|answer| answer.expect("every future ran to its end")).collect()
}

/// Runs a future for at most this many steps and then drops it, as an instance ends at its deadline.
pub async fn cut_short<T>(steps: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = steps;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Yields once, so that other futures can run first.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|_| if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// SplitMix64 (Steele, Lea, Flood 2014): one well-mixed number for each input.
fn mix(input: u64) -> u64 {
    let mut z = input.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
