//! Data that were made of events are made again: the service's data go, and its subscriptions begin anew, while all
//! other services serve.

use super::deliveries::{Delivered, Deliveries};
use super::error::DeliveryError;
use super::hold::{Hold, Restart, SubscriptionOrder};
use super::notes::Notes;
use super::reset::{ResetEnd, ServiceReset, SubscriptionReset};
use super::subscription::Subscription;
use crate::base::ServiceName;
use crate::events::{Progress, Topic};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Where a subscription begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayStart {
    /// With the first event that was ever published. It is refused if retention has taken some of them.
    Beginning,
    /// After the event of this number.
    After(u64),
    /// With the first event that was published at this time or later, in milliseconds since 1970.
    Since(u64),
}

/// What is made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuildOrder {
    /// The service.
    pub service: String,
    /// The topic of the subscription; `None`: all of the service's.
    pub topic: Option<String>,
    /// Where they begin.
    pub from: ReplayStart,
    /// Whether the service's data stay: then its events are only delivered again.
    pub keep_data: bool,
}

/// A subscription that has begun anew.
#[derive(Debug, Clone)]
pub struct RebuiltSubscription {
    /// The topic.
    pub topic: Arc<Topic>,
    /// How many events are delivered to it again.
    pub events: u64,
}

/// A subscription that is held.
struct Held<'a> {
    one: &'a Delivered,
    progress: Progress,
    go_on: oneshot::Sender<Restart>,
}

impl Deliveries {
    /// Erases the data of a service, lets its subscriptions begin anew, and returns when they do. Events under way end
    /// before. After an error nothing has changed, except if the store failed: then the next start does the rest.
    ///
    /// # Errors
    /// The service does not subscribe, the order would lose data that no event can bring back, the store fails, or the
    /// host is stopping.
    pub async fn rebuild(&self, order: RebuildOrder) -> Result<Vec<RebuiltSubscription>, DeliveryError> {
        let _one_at_a_time = self.resetting.lock().await;
        let chosen = self.chosen(&order)?;
        let mut plan = BTreeMap::new();
        let mut rebuilt = Vec::new();
        let held = self.hold(chosen).await?;
        // What is there now is there until the subscriptions hold it back again: without that, an event could go
        // between the look at the first one and the new beginning.
        let mut no_retention = Vec::new();
        for Held { one, .. } in &held {
            let topic = &one.subscription.topic;
            if let Some(turn) = self.turns.get(&topic.name) {
                no_retention.push(turn.lock().await);
            }
            let first = self.first_of(topic).await?;
            let floor = match order.from {
                ReplayStart::Beginning if !self.topic(topic.name.as_str())?.1.begins_with(first).await? => {
                    return Err(DeliveryError::NotRebuilt(gone(topic, first)));
                }
                ReplayStart::Beginning => 0,
                ReplayStart::After(number) if number > topic.last() => {
                    return Err(DeliveryError::NotRebuilt(beyond(topic, number)));
                }
                ReplayStart::After(number) => number,
                ReplayStart::Since(time) => self.before(topic.name.as_str(), time).await?,
            };
            // The letters of events that do not come again are all that is left of these.
            let reset = SubscriptionReset {
                progress: Progress::up_to(floor),
                keep_dead: Some(floor.max(first.saturating_sub(1))),
            };
            plan.insert(topic.name.to_string(), reset);
            let events = topic.last().saturating_sub(floor.max(first.saturating_sub(1)));
            rebuilt.push(RebuiltSubscription { topic: Arc::clone(topic), events });
        }
        let service = held.first().map(|held| held.one.subscription.service.clone());
        let Some(service) = service else { return Ok(rebuilt) };
        self.reset(&service, !order.keep_data, plan, held).await?;
        Ok(rebuilt)
    }

    /// Erases the data of a service, and what its subscriptions keep of events: dead letters and histories. How far
    /// they are stays. Returns whether the service had data.
    ///
    /// # Errors
    /// The store fails, or the host is stopping.
    pub async fn erase(&self, service: &ServiceName) -> Result<bool, DeliveryError> {
        let _one_at_a_time = self.resetting.lock().await;
        let ours = self.delivered.iter().filter(|one| one.subscription.service == *service).collect();
        let held = self.hold(ours).await?;
        let mut plan = BTreeMap::new();
        for (topic, _) in &self.topics {
            let held = held.iter().find(|held| held.one.subscription.topic.name == topic.name);
            // A subscription that the manifest has no more, or that is left out, has notes too.
            let progress = match held {
                Some(held) => Some(held.progress.clone()),
                None => {
                    let notes = Subscription::notes_of(service, &topic.name);
                    Notes::of(&self.store, service, &notes).progress().await?
                }
            };
            if let Some(progress) = progress {
                plan.insert(topic.name.to_string(), SubscriptionReset { progress, keep_dead: None });
            }
        }
        Ok(self.reset(service, true, plan, held).await?.erased)
    }

    /// The subscriptions that the order means.
    fn chosen(&self, order: &RebuildOrder) -> Result<Vec<&Delivered>, DeliveryError> {
        let RebuildOrder { service, topic, from, keep_data } = order;
        let all: Vec<_> = self.delivered.iter().filter(|one| one.subscription.service.as_str() == service).collect();
        let count = all.len();
        let named = |one: &&Delivered| topic.as_ref().is_none_or(|topic| one.subscription.topic.name.as_str() == topic);
        let chosen: Vec<_> = all.into_iter().filter(named).collect();
        let refuse = |text: String| Err(DeliveryError::NotRebuilt(text));
        match (chosen.len(), topic) {
            (0, None) => Err(DeliveryError::Unknown(format!("`{service}` subscribes to no topic"))),
            (0, Some(topic)) => Err(DeliveryError::Unknown(format!("`{service}` does not subscribe to `{topic}`"))),
            (chosen, Some(_)) if chosen < count && !keep_data => refuse(format!(
                "`{service}` subscribes to {count} topics, and its data are of all of them: rebuild all, or keep the \
                 data and have the events of this topic delivered again"
            )),
            (2.., None) if matches!(from, ReplayStart::After(_)) => {
                refuse(format!("`{service}` subscribes to {count} topics: a number is that of one of them"))
            }
            _ => Ok(chosen),
        }
    }

    /// The number of the first event that the topic still has; the next one, if it has none.
    async fn first_of(&self, topic: &Arc<Topic>) -> Result<u64, DeliveryError> {
        let page = self.topic(topic.name.as_str())?.1.after(0, 1).await?;
        Ok(page.events.first().map_or_else(|| topic.last() + 1, |event| event.number))
    }

    /// Pauses subscriptions, and waits until nothing of them is under way.
    async fn hold<'a>(&'a self, subscriptions: Vec<&'a Delivered>) -> Result<Vec<Held<'a>>, DeliveryError> {
        let mut asked = Vec::new();
        for one in subscriptions {
            let ((held, is_held), (go_on, goes_on)) = (oneshot::channel(), oneshot::channel());
            let order = SubscriptionOrder::Hold(Hold { held, go_on: goes_on });
            one.orders.send(order).await.map_err(|_| DeliveryError::Stopping)?;
            asked.push((one, is_held, go_on));
        }
        let mut all = Vec::new();
        for (one, is_held, go_on) in asked {
            let progress = is_held.await.map_err(|_| DeliveryError::Stopping)?;
            all.push(Held { one, progress, go_on });
        }
        Ok(all)
    }

    /// Carries a plan out, and lets the subscriptions go on.
    async fn reset(
        &self,
        service: &ServiceName,
        data: bool,
        plan: BTreeMap<String, SubscriptionReset>,
        held: Vec<Held<'_>>,
    ) -> Result<ResetEnd, DeliveryError> {
        let end = ServiceReset::begin(&self.store, service, data, plan.clone()).await?.finish(&self.store).await?;
        for Held { one, go_on, .. } in held {
            let topic = one.subscription.topic.name.as_str();
            let Some(reset) = plan.get(topic) else { continue };
            let dead = end.dead.get(topic).copied().unwrap_or_default();
            let (begun, has_begun) = oneshot::channel();
            // A task that has ended reads the disk at the next start.
            if go_on.send(Restart { progress: reset.progress.clone(), dead, begun }).is_ok() {
                let _ = has_begun.await;
            }
        }
        Ok(end)
    }
}

/// Why a rebuild from the beginning is refused.
fn beyond(topic: &Topic, number: u64) -> String {
    let (name, last) = (&topic.name, topic.last());
    format!("`{name}` has no event {number}; its last one is {last}: begin after that one if no event shall come again")
}

fn gone(topic: &Topic, first: u64) -> String {
    let (name, last) = (&topic.name, first - 1);
    format!(
        "the events 1 to {last} of `{name}` have gone with its retention: data that are made again would lack them; \
         if that is meant, begin after {last}"
    )
}
