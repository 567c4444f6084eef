//! The one-way signal that ends serving in order.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// A handle on the shut-down that everything serving shares. Once started it never stops, and its deadline only comes nearer.
#[derive(Debug, Clone)]
pub struct Drain {
    deadline: Arc<watch::Sender<Option<Instant>>>,
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// A drain that has not started.
    pub fn new() -> Self {
        Self { deadline: Arc::new(watch::Sender::new(None)) }
    }

    /// Starts the drain: what is still running `within` from now is cut off. A second start can bring the deadline nearer, so that an
    /// impatient operator may ask again.
    pub fn start(&self, within: Duration) {
        let new = Instant::now() + within;
        self.deadline.send_if_modified(|deadline| {
            let nearer = deadline.is_none_or(|old| new < old);
            if nearer {
                *deadline = Some(new);
            }
            nearer
        });
    }

    /// Whether it has started.
    pub fn is_started(&self) -> bool {
        self.deadline.borrow().is_some()
    }

    /// Waits until it has started.
    pub async fn started(&self) {
        let mut deadline = self.deadline.subscribe();
        // The sender lives in `self`, so the channel cannot close while we wait.
        let _ = deadline.wait_for(Option::is_some).await;
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

#[cfg(test)]
mod tests {
    use super::*;

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
