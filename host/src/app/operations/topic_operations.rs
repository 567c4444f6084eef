//! What the admin and the metrics ask of topics, from `delivery`.

use crate::admin::{
    BridgeView, DeadLetterView, EventPageView, EventStart, EventView, FailureView, OperationError, OperationErrorKind,
    RebuildRequest, RebuiltView, SubscriptionView, TopicAnswer, TopicOrder, TopicView,
};
use crate::broker::BrokerError;
use crate::delivery::{
    BridgeReport, DeadLetter, Deliveries, DeliveryError, LoggedEvent, RebuildOrder, RebuiltSubscription, ReplayStart,
    SubscriptionReport, TopicReport,
};
use crate::events::{NewEvent, RefusedEvent, TopicName, cloud_event};
use crate::telemetry::{DeliverySample, DeliverySource, OutboxSample};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Carries out an order. `None`: the manifest has no topics.
pub(super) async fn carry_out(
    deliveries: Option<&Arc<Deliveries>>,
    order: TopicOrder,
) -> Result<TopicAnswer, OperationError> {
    let Some(deliveries) = deliveries else {
        return match order {
            TopicOrder::List => Ok(TopicAnswer::Topics(Vec::new())),
            _ => Err(OperationError::new(OperationErrorKind::NoTopic, "the manifest has no topics")),
        };
    };
    answer(deliveries, order).await.map_err(refusal)
}

async fn answer(deliveries: &Deliveries, order: TopicOrder) -> Result<TopicAnswer, DeliveryError> {
    Ok(match order {
        TopicOrder::List => TopicAnswer::Topics(deliveries.report().iter().map(topic).collect()),
        TopicOrder::Events { topic, from, most } => {
            let name = known(deliveries, &topic)?;
            let after = match from {
                EventStart::After(number) => number,
                EventStart::Since(time) => deliveries.before(&topic, time).await?,
                EventStart::Latest(count) => last_of(deliveries, &name).saturating_sub(count),
            };
            let page = deliveries.events(&topic, after, most).await?;
            let event = |LoggedEvent { number, record, .. }| EventView {
                number,
                event: record.ok().map(|record| cloud_event(&name, number, &record)),
            };
            TopicAnswer::Events(EventPageView { events: page.events.into_iter().map(event).collect(), more: page.more })
        }
        TopicOrder::Publish { topic, event } => {
            let event = NewEvent { key: event.key, payload: event.payload.get().to_owned() };
            TopicAnswer::Published { number: deliveries.publish(&topic, event).await? }
        }
        TopicOrder::Dead { topic, service, after, most } => {
            let name = known(deliveries, &topic)?;
            let letters = deliveries.dead_letters(&topic, &service, after, most).await?;
            TopicAnswer::Dead(letters.into_iter().map(|letter| dead_letter(&name, letter)).collect())
        }
        TopicOrder::Rebuild { service, order } => {
            let from = match order {
                RebuildRequest { after: Some(number), .. } => ReplayStart::After(number),
                RebuildRequest { since: Some(time), .. } => ReplayStart::Since(time),
                _ => ReplayStart::Beginning,
            };
            let RebuildRequest { topic, keep_data, .. } = order;
            let rebuilt = deliveries.rebuild(RebuildOrder { service, topic, from, keep_data }).await?;
            let view = |one: RebuiltSubscription| RebuiltView { topic: one.topic.name.to_string(), events: one.events };
            TopicAnswer::Rebuilt(rebuilt.into_iter().map(view).collect())
        }
        TopicOrder::Retry { topic, service, number } => {
            TopicAnswer::Sent { sent: deliveries.resend(&topic, &service, number).await? }
        }
    })
}

fn known(deliveries: &Deliveries, name: &str) -> Result<TopicName, DeliveryError> {
    let found = deliveries.report().into_iter().find(|report| report.topic.name.as_str() == name);
    let unknown = || DeliveryError::Unknown(format!("the manifest has no topic `{name}`"));
    found.map(|report| report.topic.name.clone()).ok_or_else(unknown)
}

fn last_of(deliveries: &Deliveries, name: &TopicName) -> u64 {
    deliveries.report().iter().find(|report| report.topic.name == *name).map_or(0, |report| report.topic.last())
}

fn topic(TopicReport { topic, subscriptions, bridges }: &TopicReport) -> TopicView {
    let outbox = topic.outbox();
    TopicView {
        name: topic.name.to_string(),
        payload: topic.payload.name().map(str::to_owned),
        last: topic.last(),
        bytes: topic.bytes(),
        outbox_bytes: outbox.as_ref().map(|outbox| outbox.bytes),
        outbox_events: outbox.as_ref().map(|outbox| outbox.events),
        outbox_seconds: outbox.as_ref().and_then(|outbox| outbox.oldest).map(seconds_since),
        broker_error: outbox.and_then(|outbox| outbox.failure),
        subscriptions: subscriptions.iter().map(subscription).collect(),
        bridges: bridges.iter().map(bridge).collect(),
    }
}

fn bridge(report: &BridgeReport) -> BridgeView {
    BridgeView {
        name: report.name.clone(),
        direction: report.direction.as_str().to_owned(),
        place: report.place.clone(),
        copied: report.copied,
        lag: report.lag,
        error: report.failure.clone(),
    }
}

/// What does not work between the topics and their brokers, in words for an operator.
pub(super) fn broker_troubles(deliveries: &Deliveries) -> Vec<String> {
    let of = |TopicReport { topic, bridges, .. }: TopicReport| {
        let outbox = topic.outbox().and_then(|outbox| outbox.failure);
        let outbox = outbox.map(|error| format!("events: the broker of topic `{}` fails: {error}", topic.name));
        let bridges = bridges.into_iter().filter_map(|bridge| {
            let error = bridge.failure?;
            Some(format!("events: bridge `{}` fails: {error}", bridge.name))
        });
        outbox.into_iter().chain(bridges).collect::<Vec<_>>()
    };
    deliveries.report().into_iter().flat_map(of).collect()
}

/// The seconds since a time, in milliseconds since 1970.
fn seconds_since(time: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_millis(time)).as_secs()
}

fn subscription(report: &SubscriptionReport) -> SubscriptionView {
    let stuck = report.stuck.clone();
    SubscriptionView {
        service: report.service.to_string(),
        function: report.function.clone(),
        lag: report.lag,
        lag_seconds: report.oldest.map(|oldest| oldest.as_secs()),
        stuck: stuck.as_ref().map(|(number, _)| *number),
        stuck_key: stuck.and_then(|(_, key)| key),
        in_flight: report.under_way,
        dead: report.dead,
        handled: report.handled,
        failures: report.failures,
        cpu_ms: u64::try_from(report.cpu.as_millis()).unwrap_or(u64::MAX),
    }
}

fn dead_letter(topic: &TopicName, DeadLetter { number, tries, latest, record }: DeadLetter) -> DeadLetterView {
    let failures = latest.into_iter().map(|failed| FailureView { at: failed.at, reason: failed.reason }).collect();
    let event = record.ok().map(|record| cloud_event(topic, number, &record));
    DeadLetterView { number, tries, failures, event }
}

/// The error of an order about topics, for the operator.
pub(super) fn refusal(error: DeliveryError) -> OperationError {
    let kind = match &error {
        DeliveryError::Unknown(_) => OperationErrorKind::NoTopic,
        DeliveryError::NoLetter(_) => OperationErrorKind::NoLetter,
        DeliveryError::Refused(RefusedEvent::Full { .. }) => OperationErrorKind::TopicFull,
        DeliveryError::Refused(_) => OperationErrorKind::BadEvent,
        DeliveryError::LogStays(_) => OperationErrorKind::Conflict,
        DeliveryError::NotRebuilt(_) | DeliveryError::Stopping => OperationErrorKind::Conflict,
        DeliveryError::Broker(BrokerError::Away(_)) => OperationErrorKind::BrokerAway,
        DeliveryError::State(_) | DeliveryError::Broker(_) => OperationErrorKind::Internal,
    };
    OperationError::caused_by(kind, error)
}

/// Lends the metrics what the deliveries report.
pub(in crate::app) struct DeliverySamples(pub(in crate::app) Arc<Deliveries>);

impl DeliverySource for DeliverySamples {
    fn subscriptions(&self) -> Vec<DeliverySample> {
        let sample = |topic: &str, report: SubscriptionReport| DeliverySample {
            topic: topic.to_owned(),
            service: report.service.to_string(),
            lag: report.lag,
            lag_seconds: report.oldest.map_or(0, |oldest| oldest.as_secs()),
            stuck: report.stuck.is_some(),
            dead: report.dead,
            handled: report.handled,
            failures: report.failures,
            cpu: report.cpu,
        };
        let of = |TopicReport { topic, subscriptions, .. }: TopicReport| {
            let name = topic.name.to_string();
            subscriptions.into_iter().map(move |report| sample(&name, report)).collect::<Vec<_>>()
        };
        self.0.report().into_iter().flat_map(of).collect()
    }

    fn outboxes(&self) -> Vec<OutboxSample> {
        let sample = |TopicReport { topic, .. }: TopicReport| {
            let outbox = topic.outbox()?;
            Some(OutboxSample {
                topic: topic.name.to_string(),
                events: outbox.events,
                bytes: outbox.bytes,
                seconds: outbox.oldest.map_or(0, seconds_since),
                failing: outbox.failure.is_some(),
            })
        };
        self.0.report().into_iter().filter_map(sample).collect()
    }

    fn topics(&self) -> Vec<(String, u64, u64)> {
        let sizes = |report: TopicReport| (report.topic.name.to_string(), report.topic.last(), report.topic.bytes());
        self.0.report().into_iter().map(sizes).collect()
    }
}
