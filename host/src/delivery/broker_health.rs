//! Whether the broker does what it is asked, over all topics: that it does not is told once, and that it does again,
//! too.

use crate::events::{Topic, TopicName};
use crate::telemetry::{ChangeKind, note_change};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What fails now.
#[derive(Debug)]
pub(super) struct BrokerHealth {
    /// Where the broker is.
    place: String,
    failing: Mutex<BTreeMap<(TopicName, BrokerTask), String>>,
}

/// Who asks the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BrokerTask {
    /// Who moves the events there.
    Relay,
    /// Who looks at the log.
    Watch,
}

impl BrokerHealth {
    /// The health of the broker at this place.
    pub(super) fn of(place: &str) -> Self {
        Self { place: place.to_owned(), failing: Mutex::default() }
    }

    /// The broker did not do it.
    pub(super) fn failed(&self, topic: &Topic, task: BrokerTask, error: &str) {
        let mut failing = self.failing();
        topic.broker_fails(Some(error.to_owned()));
        if failing.insert((topic.name.clone(), task), error.to_owned()).is_none() && failing.len() == 1 {
            let broker = &self.place;
            tracing::warn!(target: "delivery", broker, topic = %topic.name, error, "the broker fails");
            note_change(ChangeKind::BrokerLost, "", None, &format!("{broker}, topic `{}`: {error}", topic.name));
        }
    }

    /// The broker did it.
    pub(super) fn works(&self, topic: &Topic, task: BrokerTask) {
        let mut failing = self.failing();
        if failing.remove(&(topic.name.clone(), task)).is_none() {
            return;
        }
        let tasks = [BrokerTask::Relay, BrokerTask::Watch];
        topic.broker_fails(tasks.iter().find_map(|task| failing.get(&(topic.name.clone(), *task)).cloned()));
        if failing.is_empty() {
            tracing::info!(target: "delivery", broker = self.place, "the broker does all that it is asked again");
            note_change(ChangeKind::BrokerBack, "", None, "it does all that it is asked again");
        }
    }

    fn failing(&self) -> MutexGuard<'_, BTreeMap<(TopicName, BrokerTask), String>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{PayloadType, Retention};
    use crate::telemetry::changes;
    use std::time::Duration;

    #[test]
    fn a_broker_is_lost_once_and_back_once_however_many_topics_it_has() {
        let topic = |name: &str| {
            let retention = Retention { age: Duration::from_secs(1), size: 1000 };
            Topic::new(TopicName::new(name).unwrap(), PayloadType::Any, retention).with_outbox(10)
        };
        let (one, two, health) = (topic("health-one"), topic("health-two"), BrokerHealth::of("nats://a:4222"));
        let failure = |topic: &Topic| topic.outbox().unwrap().failure;
        health.works(&one, BrokerTask::Watch);
        health.failed(&one, BrokerTask::Watch, "away");
        health.failed(&one, BrokerTask::Watch, "still away");
        health.failed(&one, BrokerTask::Relay, "away for the relay");
        health.failed(&two, BrokerTask::Watch, "away");
        assert_eq!(failure(&one).as_deref(), Some("away for the relay"));
        health.works(&one, BrokerTask::Relay);
        assert_eq!((failure(&one).as_deref(), failure(&two).as_deref()), (Some("still away"), Some("away")));
        health.works(&one, BrokerTask::Watch);
        health.works(&two, BrokerTask::Watch);
        assert_eq!((failure(&one), failure(&two)), (None, None));
        let lost = changes().newest(100, |change| change.reason == "nats://a:4222, topic `health-one`: away");
        assert_eq!(lost.entries.len(), 1);
        let second = changes().newest(100, |change| change.reason.contains("health-two"));
        assert!(second.entries.is_empty(), "{:?}", second.entries);
    }
}
