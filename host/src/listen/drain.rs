//! The one-way signal that ends serving in order.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep_until};

/// A handle on the shut-down that everything serving shares. Once started it never stops, and its deadline only comes nearer.
#[derive(Debug, Clone)]
pub struct Drain {
    deadline: Arc<watch::Sender<Option<Instant>>>,
    /// Set before anybody is told.
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

    /// Starts the drain: what is still running `within` from now is cut off. A second start can bring the deadline nearer, so that an
    /// impatient operator may ask again.
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
    pub(super) fn waiter(&self) -> Waiter {
        let drain = self.clone();
        // Unconstrained: a task whose turn is used up would be told so, and not be registered.
        let notified = Box::pin(unconstrained(async move { drain.started().await }));
        Waiter { drain: self.clone(), notified, waker: None }
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

/// The start of a drain, as one task waits for it. To wait anew at each of the task's turns would take a lock that all connections share; it
/// waits once, and looks at a flag otherwise.
pub(super) struct Waiter {
    drain: Drain,
    notified: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Who is woken.
    waker: Option<Waker>,
}

impl Waiter {
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
    async fn a_task_that_has_waited_is_woken() {
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
                    // Its first turn is used up before it waits.
                    assert!(work.as_mut().poll(context).is_pending());
                }
                task.register(context.waker());
                waiter.poll(context)
            })
        });
        // Several turns: it waits once, and looks at the flag afterwards.
        for turn in 1..=4 {
            for _ in 0..1000 {
                if polls.load(SeqCst) >= turn {
                    break;
                }
                yield_now().await;
            }
            assert!(polls.load(SeqCst) >= turn, "it had no turn {turn}");
            task.wake();
        }
        // Another waker is registered anew.
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(other.poll(&mut nobody).is_pending());
        let other = tokio::spawn(poll_fn(move |context| other.poll(context)));
        yield_now().await;
        drain.start(Duration::ZERO);
        timeout(Duration::from_secs(1), waiting).await.expect("it is woken").expect("no panic");
        timeout(Duration::from_secs(1), other).await.expect("it is woken, too").expect("no panic");
        assert!(
            poll_fn(|context| Poll::Ready(drain.waiter().poll(context))).await.is_ready(),
            "who comes late finds it"
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
