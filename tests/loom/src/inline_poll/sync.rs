//! Loom's types, in the place of the host's `runtime/instance/inline_poll/sync.rs`.

pub(super) use loom::sync::atomic::{AtomicBool, fence};

use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::ops::{Deref, DerefMut};
use std::task::Waker;
use std::time::Duration;

/// Holds the waker that was registered last, until it is woken.
pub(super) struct AtomicWaker(loom::sync::Mutex<Option<Waker>>);

impl AtomicWaker {
    pub(super) fn new() -> Self {
        Self(loom::sync::Mutex::new(None))
    }

    pub(super) fn register(&self, waker: &Waker) {
        *self.0.lock().expect("no panic") = Some(waker.clone());
    }

    pub(super) fn wake(&self) {
        let waker = self.0.lock().expect("no panic").take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// `std`'s mutex, as far as `try_lock` goes: one flag, taken by an exchange and freed by a store.
///
/// Not loom's: its `try_lock` always sees the newest state of the lock. A real one may see that the lock is taken
/// when it is free already, and that race is what the fences of the protocol are for.
pub(super) struct Mutex<T> {
    locked: AtomicBool,
    value: std::sync::Mutex<T>,
}

impl<T> Mutex<T> {
    pub(super) fn new(value: T) -> Self {
        Self { locked: AtomicBool::new(false), value: std::sync::Mutex::new(value) }
    }

    pub(super) fn try_lock(&self) -> Result<Guard<'_, T>, ()> {
        // The load is the stale view that an exchange may have when it fails: loom's exchange always sees the newest
        // value.
        if self.locked.load(Relaxed) || self.locked.compare_exchange(false, true, Acquire, Relaxed).is_err() {
            return Err(());
        }
        let value = self.value.try_lock().expect("`locked` keeps everybody else out");
        Ok(Guard { locked: &self.locked, value: Some(value) })
    }
}

pub(super) struct Guard<'a, T> {
    locked: &'a AtomicBool,
    value: Option<std::sync::MutexGuard<'a, T>>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("there until the drop")
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("there until the drop")
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        // Loom has stopped when it reports a failure.
        if !std::thread::panicking() {
            self.locked.store(false, Release);
        }
    }
}

/// A clock that stands still: every run of a model must take the same path.
pub(super) struct Instant;

impl Instant {
    pub(super) fn now() -> Self {
        Self
    }

    pub(super) fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

/// Lets panics through: a panic in a model is loom's, and ends the run.
pub(super) fn catch_unwind<R>(run: impl FnOnce() -> R) -> Result<R, ()> {
    Ok(run())
}
