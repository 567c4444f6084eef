//! The properties of the protocol of inline polling. Each is a model: a test that loom runs in every order of its
//! threads' steps.
//!
//! A model takes the protocol as a parameter: the host's, or a mutant of it. If a wake is lost, the task sleeps for
//! ever, and loom reports a deadlock.

use super::Protocol;
use crate::{PREEMPTIONS, both, every_order, every_order_within};
use loom::sync::Notify;
use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::Relaxed;
use loom::thread;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// For models with three threads: with one preemption more, their steps could be mixed in too many orders.
const FEWER_PREEMPTIONS: usize = PREEMPTIONS - 1;

/// What a future waits for.
#[derive(Default)]
struct Bell {
    /// Counted with `Relaxed`: nothing but the wake shows a ring to the poll that must see it.
    rings: AtomicUsize,
    /// The waker of the last poll. Loom does not know this mutex, so it orders nothing in the model.
    waker: Mutex<Option<Waker>>,
}

impl Bell {
    fn ring(&self) {
        self.rings.fetch_add(1, Relaxed);
        let waker = self.waker.lock().expect("no panic").clone();
        waker.expect("the future was polled before").wake();
    }
}

/// A future that ends when the bell has rung `awaited` times.
struct Rings {
    bell: Arc<Bell>,
    awaited: usize,
    dropped: Dropped,
}

/// How often the future was dropped.
type Dropped = Arc<std::sync::atomic::AtomicUsize>;

impl Future for Rings {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        *self.bell.waker.lock().expect("no panic") = Some(context.waker().clone());
        if self.bell.rings.load(Relaxed) < self.awaited { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Rings {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Relaxed);
    }
}

/// The future's task, as a runtime keeps it.
struct Task {
    /// `Some` until the drop.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    woken: Arc<Woken>,
}

struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

impl Task {
    /// Wakes the task as a runtime does when it spawns it.
    fn start(&self) {
        self.woken.0.notify();
    }

    fn poll(&mut self) -> Poll<()> {
        let waker = Waker::from(Arc::clone(&self.woken));
        let future = self.future.as_mut().expect("there until the drop");
        future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// Polls the task whenever it has been woken, until it ends.
    fn run(mut self) {
        for polls in 1.. {
            self.woken.0.wait();
            if self.poll().is_ready() {
                break;
            }
            // A task that finds the lock taken may wake itself, again and again. Let the other threads go on then.
            if polls > 2 {
                thread::yield_now();
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // Loom has stopped when it reports a failure: the drop would call it once more, and abort the tests.
        if std::thread::panicking() {
            mem::forget(self.future.take());
        }
    }
}

/// A future that has been polled once, by a caller, before its task starts.
struct Scene<P> {
    callers: P,
    task: Task,
    bell: Arc<Bell>,
    dropped: Dropped,
}

impl<P: Protocol> Scene<P> {
    fn new(awaited: usize) -> Self {
        let (bell, dropped) = (Arc::<Bell>::default(), Dropped::default());
        let future = Rings { bell: Arc::clone(&bell), awaited, dropped: Arc::clone(&dropped) };
        let (callers, future) = P::new(Box::pin(future));
        callers.submit(|| ());
        let task = Task { future: Some(future), woken: Arc::new(Woken(Notify::new())) };
        Self { callers, task, bell, dropped }
    }

    /// The task has been polled, too.
    fn started(awaited: usize) -> Self {
        let mut scene = Self::new(awaited);
        assert!(scene.task.poll().is_pending());
        scene
    }
}

fn assert_dropped_once(dropped: &Dropped) {
    assert_eq!(dropped.load(Relaxed), 1, "the future is dropped once");
}

pub(super) fn a_job_that_a_caller_submits_while_the_task_starts_is_done<P: Protocol>() {
    every_order(|| {
        let Scene { callers, task, bell, dropped } = Scene::<P>::new(1);
        task.start();
        both(move || task.run(), move || callers.submit(|| bell.ring()));
        assert_dropped_once(&dropped);
    });
}

pub(super) fn the_task_ends_when_a_caller_finds_the_end<P: Protocol>() {
    every_order(|| {
        let Scene { callers, task, bell, dropped } = Scene::<P>::started(1);
        both(move || task.run(), move || callers.submit(|| bell.ring()));
        assert_dropped_once(&dropped);
    });
}

pub(super) fn jobs_that_two_callers_submit_at_once_are_both_done<P: Protocol>() {
    every_order(|| {
        let Scene { callers, task, bell, dropped } = Scene::<P>::started(2);
        let (other, bell_of_other) = (callers.clone(), Arc::clone(&bell));
        both(move || callers.submit(|| bell.ring()), move || other.submit(|| bell_of_other.ring()));
        task.run();
        assert_dropped_once(&dropped);
    });
}

pub(super) fn a_wake_during_an_inline_poll_reaches_the_sleeping_task<P: Protocol>() {
    every_order(|| {
        let Scene { callers, task, bell, dropped } = Scene::<P>::started(1);
        both(move || callers.submit(|| ()), move || bell.ring());
        task.run();
        assert_dropped_once(&dropped);
    });
}

pub(super) fn a_wake_while_the_task_and_a_caller_poll_reaches_one_of_them<P: Protocol>() {
    every_order_within(FEWER_PREEMPTIONS, || {
        let Scene { callers, task, bell, dropped } = Scene::<P>::new(1);
        task.start();
        let task = thread::spawn(move || task.run());
        both(move || callers.submit(|| ()), move || bell.ring());
        task.join().expect("no panic");
        assert_dropped_once(&dropped);
    });
}

pub(super) fn a_wake_by_the_caller_between_two_polls_reaches_the_task<P: Protocol>() {
    every_order(|| {
        let Scene { callers, task, bell, dropped } = Scene::<P>::new(1);
        task.start();
        let mut rung = false;
        let mut ring_once = move || {
            if !mem::replace(&mut rung, true) {
                bell.ring();
            }
        };
        let submit = move || {
            callers.submit_and(|| (), &mut ring_once);
            // If the task held the lock, nothing was polled.
            ring_once();
        };
        both(move || task.run(), submit);
        assert_dropped_once(&dropped);
    });
}

pub(super) fn an_abort_while_a_caller_polls_drops_the_future<P: Protocol>() {
    every_order(|| {
        let Scene { callers, task, dropped, .. } = Scene::<P>::new(1);
        both(move || drop(task), move || callers.submit(|| ()));
        assert_dropped_once(&dropped);
    });
}

pub(super) fn an_abort_while_two_callers_poll_drops_the_future<P: Protocol>() {
    every_order_within(FEWER_PREEMPTIONS, || {
        let Scene { callers, task, dropped, .. } = Scene::<P>::new(1);
        let other = callers.clone();
        let other = thread::spawn(move || other.submit(|| ()));
        both(move || drop(task), move || callers.submit(|| ()));
        other.join().expect("no panic");
        assert_dropped_once(&dropped);
    });
}

pub(super) fn an_abort_while_the_future_ends_drops_it_once<P: Protocol>() {
    every_order(|| {
        let Scene { callers, task, bell, dropped } = Scene::<P>::new(1);
        both(move || drop(task), move || callers.submit(|| bell.ring()));
        assert_dropped_once(&dropped);
    });
}
