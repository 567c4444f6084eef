//! The signal that ends serving in order; it is given once and never taken back.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep_until};

/// A handle on the shutdown, shared by everything that serves. A drain that has started never stops, and its deadline
/// only comes nearer.
#[derive(Debug, Clone)]
pub struct Drain {
    deadline: Arc<watch::Sender<Option<Instant>>>,
    /// Set before `deadline` notifies anybody, so that a task that is woken finds it set.
    started: Arc<AtomicBool>,
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// A drain that has not started.
    pub fn new() -> Self {
        Self { deadline: Arc::new(watch::Sender::new(None)), started: Arc::default() }
    }

    /// Starts the drain: what still runs when `within` has passed is cut off. A second start can only bring the
    /// deadline nearer, for an operator who does not want to wait.
    pub fn start(&self, within: Duration) {
        let new = Instant::now() + within;
        self.deadline.send_if_modified(|deadline| {
            let nearer = deadline.is_none_or(|old| new < old);
            if nearer {
                *deadline = Some(new);
                self.started.store(true, SeqCst);
            }
            nearer
        });
    }

    /// Whether it has started.
    pub fn is_started(&self) -> bool {
        self.started.load(SeqCst)
    }

    /// Waits until it has started.
    pub async fn started(&self) {
        let mut deadline = self.deadline.subscribe();
        // The sender lives in `self`, so the channel cannot close while we wait.
        let _ = deadline.wait_for(Option::is_some).await;
    }

    /// As [`Drain::started`], for a task that is polled for every request.
    pub(super) fn waiter(&self) -> DrainWaiter {
        let drain = self.clone();
        // Unconstrained: if the task's cooperative budget were used up, `started` would return `Pending` without
        // registering the waker.
        let notified = Box::pin(unconstrained(async move { drain.started().await }));
        DrainWaiter { drain: self.clone(), notified, waker: None }
    }

    /// Waits until it has started and its deadline has passed.
    pub async fn expired(&self) {
        let mut changes = self.deadline.subscribe();
        loop {
            let deadline = *changes.borrow_and_update();
            let passed = async {
                match deadline {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = passed => return,
                _ = changes.changed() => {}
            }
        }
    }
}

/// One task's wait for the start of a drain. Each poll of [`Drain::started`] takes a lock that all connections share.
/// So this polls it only once for a waker, and otherwise reads a flag.
pub(super) struct DrainWaiter {
    drain: Drain,
    notified: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// The waker that `notified` has registered.
    waker: Option<Waker>,
}

impl DrainWaiter {
    /// Ready when the drain has started.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.drain.is_started() {
            return Poll::Ready(());
        }
        if self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            return Poll::Pending;
        }
        self.waker = Some(context.waker().clone());
        self.notified.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::task::AtomicWaker;
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;
    use tokio::task::{consume_budget, yield_now};
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_waits_is_woken_even_if_its_budget_was_used_up() {
        let drain = Drain::new();
        let (mut waiter, polls, task) = (drain.waiter(), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicWaker::new()));
        let mut other = drain.waiter();
        let waiting = tokio::spawn({
            let (polls, task) = (polls.clone(), task.clone());
            let mut work = Box::pin(async {
                loop {
                    consume_budget().await;
                }
            });
            poll_fn(move |context| {
                if polls.fetch_add(1, SeqCst) == 0 {
                    // Use up the task's cooperative budget before it waits.
                    assert!(work.as_mut().poll(context).is_pending());
                }
                task.register(context.waker());
                waiter.poll(context)
            })
        });
        // Several polls: the first registers, the others read the flag.
        for poll in 1..=4 {
            for _ in 0..1000 {
                if polls.load(SeqCst) >= poll {
                    break;
                }
                yield_now().await;
            }
            assert!(polls.load(SeqCst) >= poll, "it was not polled {poll} times");
            task.wake();
        }
        // A waiter that moves to another task registers that task's waker.
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(other.poll(&mut nobody).is_pending());
        let other = tokio::spawn(poll_fn(move |context| other.poll(context)));
        yield_now().await;
        drain.start(Duration::ZERO);
        timeout(Duration::from_secs(1), waiting).await.expect("it is woken").expect("no panic");
        timeout(Duration::from_secs(1), other).await.expect("it is woken, too").expect("no panic");
        assert!(
            poll_fn(|context| Poll::Ready(drain.waiter().poll(context))).await.is_ready(),
            "a waiter that is made after the start is ready at once"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_only_comes_nearer() {
        let drain = Drain::new();
        let began = Instant::now();
        let waiter = tokio::spawn({
            let drain = drain.clone();
            async move {
                drain.expired().await;
                began.elapsed()
            }
        });
        assert!(!drain.is_started());
        drain.start(Duration::from_secs(30));
        drain.started().await;
        drain.start(Duration::from_secs(90));
        drain.start(Duration::from_secs(5));
        let waited = waiter.await.expect("the waiter ends");
        assert!((5..6).contains(&waited.as_secs()), "{waited:?}");
    }
}
