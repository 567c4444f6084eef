//! The protocol of inline polling: a future is polled by its own task, and by any caller that submits work to it.
//!
//! - The lock on the future decides who polls. Nobody waits for the lock: whoever finds it taken leaves a wake behind.
//! - Each wake sets `woken`. Only a poller clears `woken`, and then owes a poll: it polls itself, or it wakes the task.
//! - While `being_polled` is set, a wake does not wake the task, since the poller will find `woken` set.
//! - The poller that finds the future at its end drops it and wakes the task, which then ends too.
//! - When the task is dropped, it sets `aborted`. Then the task drops the future, or the poller that has the lock does.
//!
//! `docs/inline-poll.md` has the states, the races and the reason for each ordering. `tests/loom` runs this file with
//! loom's types. It also checks each line that wins a race here: without that line, a test there fails.

use super::sync::{AtomicBool, AtomicWaker, Instant, Mutex, catch_unwind, fence};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// A caller polls at most this often: once for the answer, once for each piece of its body that it reads, and once to
/// find out that nothing is left to do. A call that needs more polls is not quick.
pub(super) const INLINE_POLLS: usize = 8;

/// A caller polls no more after this time. A guest that computes goes on in a task of its own, where it shares the
/// processor with others.
pub(super) const INLINE_TIME: Duration = Duration::from_millis(1);

type BoxedFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Polls once, and returns true if the future has ended. A panic counts as an end too: the poller then drops the
/// future, and with it the senders of all answers that are due. That is how those who wait for an answer learn of the
/// panic.
pub(super) fn poll_once(future: &mut (impl Future<Output = ()> + Unpin), context: &mut Context<'_>) -> bool {
    !matches!(catch_unwind(AssertUnwindSafe(|| Pin::new(future).poll(context))), Ok(Poll::Pending))
}

/// A caller's handle on a future that has a task of its own. Without any handle the task goes on.
#[derive(Clone)]
pub(crate) struct InlinePoll(Arc<Shared>);

impl InlinePoll {
    /// The callers' handle on `future`, and what its task has to run.
    pub(super) fn new(future: BoxedFuture) -> (Self, OwnerTask) {
        let shared = Arc::new(Shared {
            future: Mutex::new(Some(future)),
            task: AtomicWaker::new(),
            being_polled: AtomicBool::new(false),
            woken: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
        });
        (Self(Arc::clone(&shared)), OwnerTask(shared))
    }

    /// Runs `enqueue`, which wakes the future, and then polls the future here, with `after_each_poll` after each
    /// poll. Does not poll if another thread polls at the moment: that thread, or the task, then polls once more.
    pub(crate) fn submit<T>(&self, enqueue: impl FnOnce() -> T, after_each_poll: impl FnMut(&mut Context<'_>)) -> T {
        self.0.poll(INLINE_POLLS, enqueue, after_each_poll).0
    }
}

/// The task of the future. The future ends with it, at the latest.
pub(super) struct OwnerTask(Arc<Shared>);

impl Future for OwnerTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // Before the poll: a wake that comes during the poll, or while a caller holds the lock, must find this waker.
        self.0.task.register(context.waker());
        self.0.poll(1, || (), |_| ()).1
    }
}

impl Drop for OwnerTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Shared {
    /// `None` when the future has ended or was aborted. Whoever holds the lock is the poller.
    future: Mutex<Option<BoxedFuture>>,
    /// The waker of the future's task.
    task: AtomicWaker,
    /// A poller is at work, and takes `woken` when it is done. Set and cleared by the holder of the lock, read by
    /// `wake_by_ref`.
    being_polled: AtomicBool,
    /// The future was woken, and no poll has begun since. Set by `wake_by_ref`, cleared by `take_wake` alone.
    woken: AtomicBool,
    /// The task is gone, and the future must go. Never cleared.
    aborted: AtomicBool,
}

impl Shared {
    /// Runs `enqueue`, then polls the future up to `polls` times if nobody else does. Ready when the future has ended.
    fn poll<T>(
        self: &Arc<Self>,
        polls: usize,
        enqueue: impl FnOnce() -> T,
        mut after_each_poll: impl FnMut(&mut Context<'_>),
    ) -> (T, Poll<()>) {
        let Ok(mut future) = self.future.try_lock() else {
            let enqueued = enqueue();
            // The wake that called for this poll may have been taken already, and the poller at work may have polled
            // before it came. Without this wake nobody would poll for it.
            self.wake_by_ref();
            return (enqueued, Poll::Pending);
        };
        // Before `enqueue`, whose wake would otherwise wake the task for nothing.
        self.being_polled.store(true, Relaxed);
        let enqueued = enqueue();
        let waker = Waker::from(Arc::clone(self));
        let mut context = Context::from_waker(&waker);
        let began = Instant::now();
        for _ in 0..polls {
            let Some(running) = future.as_mut() else { break };
            // Before the poll: a wake that comes during the poll asks for the next one, and must stay.
            self.take_wake();
            let ended = poll_once(running, &mut context);
            after_each_poll(&mut context);
            if ended || self.aborted.load(Relaxed) {
                *future = None;
                break;
            }
            // A wake that is not yet visible here is taken below.
            if !self.woken.load(Relaxed) || began.elapsed() > INLINE_TIME {
                break;
            }
        }
        let ended = future.is_none();
        // Before the lock is free: cleared later, it could undo what the next poller sets, and wakes would wake the
        // task for nothing.
        self.being_polled.store(false, Relaxed);
        drop(future);
        // Pairs with the fence in `abort`: either `abort` finds the lock free, or this thread finds `aborted` set.
        // Without the fence both could miss, and the future would never be dropped. The fence also releases the clear
        // flag with the take below.
        fence(SeqCst);
        if self.aborted.load(Relaxed) {
            self.abort();
        }
        // A wake that came during the last poll has not woken the task, so this thread does it now. And if a caller has
        // found the end of the future, the task does not know of it yet.
        if self.take_wake() || ended {
            self.task.wake();
        }
        (enqueued, if ended { Poll::Ready(()) } else { Poll::Pending })
    }

    /// Clears `woken`, and returns whether it was set. The caller owes a poll then.
    ///
    /// A swap, since `wake_by_ref` swaps too, so that one of the two comes first. If the wake comes first, it is
    /// taken here, and `Acquire` shows the poll what preceded the wake. If this take comes first, the wake sees all
    /// that preceded the take: that `being_polled` is clear, when it is the last take of a poller. The fence before
    /// that last take is what releases it, and all writes of `woken` are swaps, which pass it on.
    fn take_wake(&self) -> bool {
        self.woken.swap(false, Acquire)
    }

    /// Drops the future: here, or in the thread that polls it, as soon as that thread is done.
    fn abort(&self) {
        self.aborted.store(true, Relaxed);
        // Pairs with the fence in `poll`.
        fence(SeqCst);
        if let Ok(mut future) = self.future.try_lock() {
            *future = None;
        }
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // `Release` for the poll that takes this wake: the poll must see what preceded the wake. `Acquire` for the load
        // below: it must not see `being_polled` of a poller whose last look at `woken` came before this swap. Nobody
        // would poll then. A swap, not a store: a store would hide an earlier wake, and what preceded that one, from
        // the poll that takes both.
        self.woken.swap(true, AcqRel);
        if !self.being_polled.load(Relaxed) {
            self.task.wake();
        }
    }
}
