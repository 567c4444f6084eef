//! Takes a service back: its data go, and what its subscriptions have on disk begins anew, whole or not at all.
//!
//! A plan is on disk before anything goes. A crash between the steps leaves the plan, and the next start carries it out
//! from the beginning, before any event is handed out. Its last step is one commit: it writes how far each subscription
//! is, and removes the plan.

use super::notes::Notes;
use super::subscription::Subscription;
use crate::base::ServiceName;
use crate::events::{Progress, TopicName};
use crate::state::{Beside, Bucket, Change, Key, StateError, Store, Transaction};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The key of the plan in its bucket. The progress of each subscription stands beside it, under `progress/TOPIC`.
const PLAN: &[u8] = b"plan";

/// What becomes of one subscription.
#[derive(Debug, Clone)]
pub(super) struct SubscriptionReset {
    /// How far it is from then on.
    pub(super) progress: Progress,
    /// Dead letters up to this number stay; `None`: none does.
    pub(super) keep_dead: Option<u64>,
}

/// What is on disk beside the progress of each subscription.
#[derive(Debug, Serialize, Deserialize)]
struct ResetPlan {
    /// Whether the service's data go.
    data: bool,
    /// The dead letters that stay, by topic: see [`SubscriptionReset::keep_dead`].
    keep_dead: BTreeMap<String, Option<u64>>,
}

/// A service that is being taken back.
pub(super) struct ServiceReset {
    service: ServiceName,
    data: bool,
    subscriptions: BTreeMap<String, SubscriptionReset>,
}

/// What a reset has left.
pub(super) struct ResetEnd {
    /// Whether the service had data that have gone.
    pub(super) erased: bool,
    /// The number of dead letters of each subscription that are left, by topic.
    pub(super) dead: BTreeMap<String, usize>,
}

impl ServiceReset {
    /// Writes the plan to disk. `data`: whether the service's data go; `subscriptions` are by topic.
    pub(super) async fn begin(
        store: &Store,
        service: &ServiceName,
        data: bool,
        subscriptions: BTreeMap<String, SubscriptionReset>,
    ) -> Result<Self, StateError> {
        let keep_dead = subscriptions.iter().map(|(topic, one)| (topic.clone(), one.keep_dead)).collect();
        let plan = serde_json::to_vec(&ResetPlan { data, keep_dead }).expect("texts and numbers are JSON");
        let progress =
            |(topic, one): (&String, &SubscriptionReset)| (progress_key(topic), Change::Put(one.progress.encode()));
        let writes = subscriptions.iter().map(progress).chain([(PLAN.to_vec(), Change::Put(plan))]).collect();
        bucket(store, service).commit(Transaction { writes, ..Transaction::default() }).await?;
        Ok(Self { service: service.clone(), data, subscriptions })
    }

    /// The plan that a crash has left, if there is one.
    pub(super) async fn left(store: &Store, service: &ServiceName) -> Result<Option<Self>, StateError> {
        let bucket = bucket(store, service);
        let found = bucket.get(vec![PLAN.to_vec()]).await?.into_iter().flatten().next();
        let plan = found.and_then(|found| serde_json::from_slice::<ResetPlan>(&found.value).ok());
        let Some(ResetPlan { data, keep_dead }) = plan else { return Ok(None) };
        let mut subscriptions = BTreeMap::new();
        for (topic, keep_dead) in keep_dead {
            let found = bucket.get(vec![progress_key(&topic)]).await?.into_iter().flatten().next();
            // Better twice than never.
            let progress = found.and_then(|found| Progress::decode(&found.value)).unwrap_or_default();
            subscriptions.insert(topic, SubscriptionReset { progress, keep_dead });
        }
        Ok(Some(Self { service: service.clone(), data, subscriptions }))
    }

    /// Carries the plan out, while nothing of the service's subscriptions is under way.
    pub(super) async fn finish(self, store: &Store) -> Result<ResetEnd, StateError> {
        let Self { service, data, subscriptions } = self;
        let erased = data && store.erase(&service).await?;
        let (mut dead, mut beside) = (BTreeMap::new(), Vec::new());
        let mut writes = vec![(PLAN.to_vec(), Change::Delete)];
        for (topic, SubscriptionReset { progress, keep_dead }) in subscriptions {
            writes.push((progress_key(&topic), Change::Delete));
            let Ok(name) = TopicName::new(&topic) else { continue };
            let notes = Subscription::notes_of(&service, &name);
            let left = match keep_dead {
                Some(last) => Notes::of(store, &service, &notes).clear(last, !data).await?,
                // With the bucket its key goes, if it is encrypted: the letters are copies of events.
                None => store.erase(&notes).await.map(|_| 0)?,
            };
            dead.insert(topic, left);
            let written = vec![(Notes::PROGRESS.to_vec(), Change::Put(progress.encode()))];
            beside.push(Beside { bucket: notes, checks: Vec::new(), writes: written });
        }
        bucket(store, &service).commit(Transaction { writes, beside, ..Transaction::default() }).await?;
        Ok(ResetEnd { erased, dead })
    }
}

fn bucket(store: &Store, service: &ServiceName) -> Bucket {
    store.bucket(&ServiceName::of_host_part("reset", service.as_str()))
}

fn progress_key(topic: &str) -> Key {
    [b"progress/", topic.as_bytes()].concat()
}
