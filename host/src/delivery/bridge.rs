//! A bridge: one topic of the host's own database and a topic of a broker, one of which gets the events of the other.

use super::bridge_in::BridgeIn;
use super::bridge_notes::BridgeNotes;
use super::bridge_out::BridgeOut;
use super::bridge_status::{BridgeStatus, BridgeStep, set};
use super::event_log::{EventLog, LogError};
use super::status::Settled;
use crate::broker::Broker;
use crate::events::{Backoff, Topic, TopicName};
use crate::state::{StateError, Store};
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// The pauses after errors.
const PAUSES: Backoff = Backoff { first: Duration::from_millis(50), most: Duration::from_secs(5) };

/// Where the events of a bridge go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BridgeDirection {
    /// From the broker to the host's own log.
    In,
    /// From the host's own log to the broker.
    Out,
}

impl BridgeDirection {
    /// The key of the manifest that says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::In => "from",
            Self::Out => "to",
        }
    }
}

/// A bridge of the manifest, with its broker.
#[derive(Clone)]
pub struct Bridge {
    /// Its name in the manifest, by which the host remembers how far it is, between the same places.
    pub name: String,
    /// The topic of the manifest.
    pub topic: TopicName,
    /// Where its events go.
    pub direction: BridgeDirection,
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// The topic's name there.
    pub remote: TopicName,
    /// What names the broker and that topic for this host.
    pub place: String,
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bridge({} {} {})", self.name, self.direction.as_str(), self.place)
    }
}

/// A bridge as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeReport {
    /// Its name.
    pub name: String,
    /// Where its events go.
    pub direction: BridgeDirection,
    /// The broker, and the topic there.
    pub place: String,
    /// How many events it has copied since the start.
    pub copied: u64,
    /// How many events wait; `None`: for the broker's to tell, which was not asked yet.
    pub lag: Option<u64>,
    /// Why it copies nothing now; `None`: it does.
    pub failure: Option<String>,
}

/// A bridge that works.
pub(super) struct Bridged {
    pub(super) bridge: Bridge,
    topic: Arc<Topic>,
    /// Up to which number of its source it has copied all.
    pub(super) settled: Settled,
    /// Wakes one that reads this host's log.
    pub(super) news: Arc<Notify>,
    status: Arc<BridgeStatus>,
}

/// The task of a bridge.
pub(super) enum BridgeTask {
    In(BridgeIn),
    Out(BridgeOut),
}

impl Bridged {
    /// The bridge, and its task.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn new(
        store: &Store,
        bridge: Bridge,
        topic: &Arc<Topic>,
    ) -> Result<(Self, BridgeTask), StateError> {
        let notes = BridgeNotes::new(store, &bridge.name);
        let between = format!("{} {} {}", topic.name, bridge.direction.as_str(), bridge.place);
        if notes.begin(&between).await? {
            tracing::warn!(
                target: "delivery", bridge = bridge.name, topic = %topic.name, place = bridge.place,
                "the bridge was between other places before: it begins anew, with the first event that its source \
                 still has"
            );
        }
        let origin = BridgeNotes::host_origin(store).await?;
        // Two bridges of a host may append to one topic, one of them by the marks of a reader.
        let log = bridge.broker.log(&bridge.remote, &format!("{origin}.{}", bridge.name));
        let (settled, news, status) = (Settled::default(), Arc::<Notify>::default(), Arc::<BridgeStatus>::default());
        // What waits must stay from the beginning on.
        settled.set(notes.position().await?.after);
        let task = match bridge.direction {
            BridgeDirection::In => BridgeTask::In(BridgeIn {
                topic: Arc::clone(topic),
                bucket: store.bucket(&topic.bucket()),
                log,
                notes,
                origin,
                place: bridge.place.clone(),
                settled: settled.clone(),
                status: Arc::clone(&status),
            }),
            BridgeDirection::Out => BridgeTask::Out(BridgeOut {
                topic: Arc::clone(topic),
                local: EventLog::embedded(store, topic),
                log,
                outgoing: notes.outgoing_name().await?,
                notes,
                origin,
                place: bridge.place.clone(),
                settled: settled.clone(),
                news: Arc::clone(&news),
                status: Arc::clone(&status),
            }),
        };
        Ok((Self { bridge, topic: Arc::clone(topic), settled, news, status }, task))
    }

    /// Copies. Never returns.
    pub(super) fn run(&self, task: BridgeTask) -> impl Future<Output = ()> + Send + use<> {
        let (name, status) = (self.bridge.name.clone(), Arc::clone(&self.status));
        async move {
            let (mut certain, mut failures) = (false, 0);
            loop {
                let step = match &task {
                    BridgeTask::In(one) => one.step().await,
                    BridgeTask::Out(one) => one.step(&mut certain).await,
                };
                match step {
                    Ok(step) => {
                        if failures > 0 {
                            tracing::info!(target: "delivery", bridge = name, "events cross the bridge again");
                            set(&status.failure, None);
                            failures = 0;
                        }
                        if step == BridgeStep::Idle {
                            match &task {
                                BridgeTask::In(one) => one.wait().await,
                                BridgeTask::Out(one) => one.wait().await,
                            }
                        }
                    }
                    Err(error) => {
                        (certain, failures) = (false, failures + 1);
                        let error = told(&error);
                        if failures == 1 {
                            tracing::warn!(target: "delivery", bridge = name, error, "events wait at the bridge");
                        }
                        set(&status.failure, Some(error));
                        sleep(PAUSES.pause(failures, rand::random())).await;
                    }
                }
            }
        }
    }

    pub(super) fn report(&self) -> BridgeReport {
        let last = match self.bridge.direction {
            BridgeDirection::In => *self.status.remote_last.lock().unwrap_or_else(PoisonError::into_inner),
            BridgeDirection::Out => Some(self.topic.last()),
        };
        BridgeReport {
            name: self.bridge.name.clone(),
            direction: self.bridge.direction,
            place: self.bridge.place.clone(),
            copied: self.status.copied.load(Relaxed),
            lag: last.map(|last| last.saturating_sub(self.settled.get())),
            failure: self.status.failure.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// The topic of the manifest.
    pub(super) fn is_of(&self, topic: &Topic) -> bool {
        self.bridge.topic == topic.name
    }
}

fn told(error: &LogError) -> String {
    error.with_causes()
}
