//! Floor 3: what an event is, and which event a subscriber gets next.
//!
//! Owns the names and settings of topics, the record of an event as it is stored, its envelope (CloudEvents 1.0), the
//! check of a payload against its type, and the decisions of delivery: the progress of a subscription, its lanes, the
//! pauses between tries, and the due times of schedules.
//!
//! What always holds:
//! - A record that was altered is found by its digest and never read as an event.
//! - Of one key, one event at a time is under way, and the next one only after it is settled. A key whose event fails
//!   holds up no other key.
//! - A settled event is never handed out again; an event that is not settled is never forgotten.
//!
//! Never: reads a clock, waits, touches the disk, knows who is called. The log itself is in buckets of `state`, and
//! `delivery` moves the events.
//!
//! Tests stand beside the files; `lanes` and `progress` are held against naive models.

mod backoff;
mod cloud_event;
mod event_record;
mod lanes;
mod payload_type;
mod progress;
mod topic;
mod topic_name;
mod unread_value;

pub use backoff::Backoff;
pub use cloud_event::cloud_event;
pub(crate) use cloud_event::rfc3339;
pub use event_record::{DamagedRecord, EventRecord};
pub use lanes::Lanes;
pub use payload_type::{PayloadMisfit, PayloadType};
pub use progress::Progress;
pub use topic::{NewEvent, OutboxReport, RefusedEvent, Retention, Topic, longest};
pub use topic_name::{InvalidTopicName, TopicName};
