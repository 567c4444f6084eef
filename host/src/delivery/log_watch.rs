//! Looks at a broker's log: what others have published, how large it is, and whether it has lost its end.

use super::broker_health::{BrokerHealth, BrokerTask};
use super::hold::{Hold, Restart, SubscriptionOrder};
use super::notes::Notes;
use crate::broker::{BrokerError, BrokerLog, LogExtent};
use crate::events::Topic;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// The time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// The watch over the log of one topic.
pub(super) struct LogWatch {
    pub(super) topic: Arc<Topic>,
    pub(super) log: Arc<dyn BrokerLog>,
    /// Its subscriptions: their notes, and the way to their tasks.
    pub(super) subscriptions: Vec<(Notes, mpsc::Sender<SubscriptionOrder>)>,
    pub(super) health: Arc<BrokerHealth>,
}

impl LogWatch {
    /// Never returns.
    pub(super) async fn run(self) {
        // Before the first look nobody knows whether the log is still as long as subscriptions have read.
        let mut compared = false;
        loop {
            let before = self.topic.last();
            let extent = self.extent(before).await;
            match &extent {
                Ok(_) => self.health.works(&self.topic, BrokerTask::Watch),
                Err(error) => self.health.failed(&self.topic, BrokerTask::Watch, &error.to_string()),
            }
            if let Ok(LogExtent { last, bytes }) = extent {
                let shorter = last < before;
                if shorter || !compared {
                    compared = self.compare(last).await;
                }
                // What this host has sent meanwhile counts too: a number that is too low would hide a lost end. An end
                // that is lost is looked for again until no subscription counts it.
                let last = if shorter && compared { last } else { self.topic.last().max(last) };
                self.topic.count(last, bytes);
                // Also if it is not longer: whoever has read since the last look may have been answered by a server
                // that did not show its latest event yet (there is no read-after-write).
                self.topic.tell();
            }
            self.wait().await;
        }
    }

    /// What the log has. That it ends before `before`, it must say twice: a server that has
    /// just become the leader, or is none any more, may be behind.
    async fn extent(&self, before: u64) -> Result<LogExtent, BrokerError> {
        let first = self.log.extent().await?;
        if first.last >= before {
            return Ok(first);
        }
        sleep(LOOK).await;
        self.log.extent().await
    }

    /// Waits until the next look, and tells at once what others publish.
    async fn wait(&self) {
        let next = Instant::now() + LOOK;
        loop {
            let left = next.saturating_duration_since(Instant::now());
            match timeout(left, self.log.news()).await {
                Ok(Ok(())) => self.topic.tell(),
                // Without a connection it answers at once.
                Ok(Err(_)) => return sleep(left).await,
                Err(_) => return,
            }
        }
    }

    /// Has no subscription count numbers as settled that a log which ends at `last` gives anew. Returns whether that is
    /// certain.
    async fn compare(&self, last: u64) -> bool {
        for (notes, orders) in &self.subscriptions {
            let ((held, is_held), (go_on, goes_on)) = (oneshot::channel(), oneshot::channel());
            if orders.send(SubscriptionOrder::Hold(Hold { held, go_on: goes_on })).await.is_err() {
                return false;
            }
            let Ok(mut progress) = is_held.await else { return false };
            // If `go_on` is dropped, nothing has changed.
            if progress.highest() <= last {
                continue;
            }
            // It may have got more meanwhile.
            let Ok(LogExtent { last, .. }) = self.extent(progress.highest()).await else { return false };
            if progress.highest() <= last {
                continue;
            }
            tracing::error!(
                target: "delivery", topic = %self.topic.name, last, settled = progress.highest(),
                "the broker has lost the end of its log: it gives these numbers to other events"
            );
            progress.cut(last);
            let Ok(dead) = notes.cut(&progress, last).await else { return false };
            let (begun, has_begun) = oneshot::channel();
            if go_on.send(Restart { progress, dead, begun }).is_ok() {
                let _ = has_begun.await;
            }
        }
        true
    }
}
