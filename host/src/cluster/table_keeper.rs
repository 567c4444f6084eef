//! The task that watches the registry and tells the table.

use super::bucket::NodeBucket;
use super::bucket_watch::{BucketNews, BucketWatch};
use super::error::ClusterError;
use super::key;
use super::record;
use super::shared_table::SharedTable;
use super::swap_table::SwapTable;
use crate::membership::{MemberTable, NodeName};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// The longest pause between two watches that fail. A fleet whose watches all ended begins them anew one after the
/// other.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Keeps the table, for as long as the host runs.
pub(super) struct TableKeeper {
    pub(super) bucket: NodeBucket,
    pub(super) table: Arc<SharedTable>,
    pub(super) swaps: Arc<SwapTable>,
    pub(super) lease: Duration,
}

impl TableKeeper {
    /// Watches, and begins another watch where one ends. It never returns.
    pub(super) async fn run(self) {
        let (mut failures, mut unlisted) = (0_u32, 0_u32);
        loop {
            let error = self.watch(&mut failures, &mut unlisted).await;
            self.table.change(MemberTable::away);
            if failures == 0 {
                tracing::warn!(%error, "the registry of the cluster does not tell: the last table is used");
            } else {
                tracing::debug!(%error, failures, "the registry of the cluster does not tell");
            }
            self.pause(unlisted).await;
            failures = failures.saturating_add(1);
        }
    }

    /// Waits a random time, which grows with the watches that did not come to the end of their list.
    async fn pause(&self, unlisted: u32) {
        // Whoever was away comes back within a quarter of a lease, however long that was, and wherever many have lost
        // the same server.
        let longest = (self.lease / 4).saturating_mul(1 << unlisted.min(8)).min(LONGEST_PAUSE);
        sleep(longest.mul_f64(rand::random::<f64>())).await;
    }

    /// One watch, until it ends.
    async fn watch(&self, failures: &mut u32, unlisted: &mut u32) -> ClusterError {
        // A look costs the registry one answer, as a renewal does. A watch costs it the whole list, so those that fail
        // become rarer.
        // An answer that takes half a lease is none: what asks anew may get one that is not lost.
        let silence = self.lease / 2;
        let late = |_| Err(ClusterError::Silent("no answer from the registry in time"));
        if let Err(error) = timeout(silence, self.bucket.prepare()).await.unwrap_or_else(late) {
            *unlisted = 0;
            return error;
        }
        *unlisted = unlisted.saturating_add(1);
        // Twice as long as the signs of life are apart, and shorter than the table's own patience.
        let begun = timeout(silence, BucketWatch::begin(&self.bucket, silence)).await;
        let mut watch = match begun.unwrap_or(Err(ClusterError::Silent("no watch from the registry in time"))) {
            Ok(watch) => watch,
            Err(error) => return error,
        };
        self.table.change(MemberTable::listing);
        self.swaps.listing();
        let mut reviews = interval(self.lease / 8);
        reviews.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let news = tokio::select! {
                news = watch.next() => news,
                _ = reviews.tick() => {
                    if self.review() {
                        watch.end().await;
                        return ClusterError::Silent("this process has slept, and lists anew");
                    }
                    continue;
                }
            };
            match news {
                Ok(BucketNews::Listed) => {
                    if *failures > 0 {
                        tracing::info!("the registry of the cluster tells again");
                    }
                    (*failures, *unlisted) = (0, 0);
                    self.table.change(MemberTable::listed);
                    self.swaps.listed();
                }
                Ok(news) => self.tell(news),
                Err(error) => {
                    watch.end().await;
                    return error;
                }
            }
        }
    }

    /// Returns whether the table must be told all anew.
    fn review(&self) -> bool {
        let (gone, is_away) = self.table.change(|table, now| (table.review(now), table.is_away()));
        for (node, incarnation) in gone {
            tracing::warn!(%node, %incarnation, "a node has lost its lease, and is gone");
        }
        is_away
    }

    fn tell(&self, news: BucketNews) {
        let key = match &news {
            BucketNews::Written { key, .. } | BucketNews::Removed(key) | BucketNews::RanOut(key) => key.clone(),
            BucketNews::Listed => return,
        };
        let Some((kind, name)) = key.split_once('.') else { return };
        self.swaps.tell(kind, name, &news);
        let Ok(node) = NodeName::new(name) else { return };
        self.table.change(|table, now| tell(table, now, (kind, &node), news));
    }
}

fn tell(table: &mut MemberTable, now: Instant, (kind, node): (&str, &NodeName), news: BucketNews) {
    match (kind, news) {
        (key::LEASE, BucketNews::Written { text, .. }) => match record::read_lease(&text) {
            Some(incarnation) => table.lease(node, incarnation),
            None => tracing::warn!(%node, "a lease in the registry cannot be read"),
        },
        (key::LEASE, BucketNews::Removed(_)) => table.left(node),
        (key::LEASE, BucketNews::RanOut(_)) => table.lease_ended(node, now),
        (key::ROW, BucketNews::Written { text, .. }) => match record::read_row(node.clone(), &text) {
            Some(row) => table.row(Arc::new(row)),
            None => tracing::warn!(%node, "a row in the registry cannot be read"),
        },
        (key::ROW, _) => table.row_gone(node),
        (key::ORDER, BucketNews::Written { text, .. }) => table.order(node, record::read_order(&text)),
        (key::ORDER, _) => table.order(node, None),
        _ => {}
    }
}
