//! The one-way signal that ends serving in order.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::watch;
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
    pub(super) fn start_of(&self) -> Start {
        let drain = self.clone();
        Start { drain: self.clone(), told: Box::pin(async move { drain.started().await }), waker: None }
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
pub(super) struct Start {
    drain: Drain,
    told: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Who is woken.
    waker: Option<Waker>,
}

impl Start {
    /// Ready when the drain has started.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.drain.is_started() {
            return Poll::Ready(());
        }
        if self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            return Poll::Pending;
        }
        self.waker = Some(context.waker().clone());
        self.told.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test]
    async fn a_task_that_has_waited_is_woken() {
        let drain = Drain::new();
        let mut start = drain.start_of();
        let polls = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let waiter = tokio::spawn({
            let polls = polls.clone();
            async move {
                poll_fn(|context| {
                    polls.fetch_add(1, SeqCst);
                    start.poll(context)
                })
                .await;
            }
        });
        while polls.load(SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        drain.start(Duration::ZERO);
        waiter.await.expect("it is woken, or this test never ends");
        assert_eq!(polls.load(SeqCst), 2);
        assert!(
            poll_fn(|context| Poll::Ready(drain.start_of().poll(context))).await.is_ready(),
            "who comes later finds it"
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
