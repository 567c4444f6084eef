//! Floor 6: events on their way to the services that subscribe, and what services do by themselves at their times.
//!
//! Owns the log of each topic (in a bucket of `state`, or through `broker` with an outbox in that bucket), the task of
//! each subscription, its notes on disk (progress, failures, dead letters), retention, data that are made again from
//! their events, the bridges between topics and brokers, and the task of each schedule.
//!
//! What always holds:
//! - A published event is handled by each subscription at least once, or is a dead letter of it: whatever is swapped,
//!   killed or slow. Progress is on disk before the next event of a key begins.
//! - Once in effect, where the effect is a commit of the handler through `atoll:state/transactions`: the commit and the
//!   note of it are one (`runtime/imports/outbox.rs`). The notes of an event go with the progress that settles it, by
//!   the same lane of the store, so that no commit of an earlier try comes after them.
//! - One event of a key at a time. A key that fails holds up no other, until as many events wait as the manifest
//!   allows.
//! - Only a failure of the function itself counts as a try. A service that cannot be reached costs none, and its events
//!   wait.
//! - No event goes before every subscription has settled it. A dead letter has a copy of its event.
//! - Data and the progress of the subscriptions that made them begin anew together: a plan on disk binds the steps.
//! - With a broker, an acknowledged event is in the outbox or in the broker's log, and it is there once: whoever sends
//!   again looks first. The order of the outbox is that of the log.
//! - What a bridge copies is copied at least once to a broker, and once from it; no event goes in a circle.
//! - A due time of a schedule is settled on disk once, and no two of one schedule are under way.
//!
//! Never: decides which event is next (`events` does) or when something is due (`schedule` does), knows how a call is
//! made (the mesh does).
//!
//! Tests: `tests/`, with a handler of their own over the real store.

mod bridge;
mod bridge_in;
mod bridge_notes;
mod bridge_out;
mod bridge_status;
mod bridge_way;
mod broker_health;
mod dead_letter;
mod deliveries;
mod dispatcher;
mod error;
mod event_log;
mod event_trace;
mod handler;
mod handler_work;
mod hold;
mod log_change;
mod log_watch;
mod notes;
mod outbox;
mod rebuild;
mod relay;
mod reset;
mod retention;
mod schedule;
mod schedules;
mod status;
mod subscription;
#[cfg(test)]
mod tests;
mod timekeeper;
mod topic_reader;

pub use bridge::{Bridge, BridgeDirection, BridgeReport};
pub use dead_letter::{DeadLetter, FailedTry};
pub use deliveries::{Deliveries, SubscriptionReport, TopicReport};
pub use error::DeliveryError;
pub use event_log::{EventPage, LogError, LoggedEvent};
pub use handler::{Fire, Handle, MeshHandler, TryEnd};
pub use handler_work::HandlerWork;
pub use rebuild::{RebuildOrder, RebuiltSubscription, ReplayStart};
pub use schedule::{FiringEnd, NamedSchedule, ScheduledWork};
pub use schedules::{ScheduleReport, Schedules, WallClock, wall_clock};
pub use subscription::{Subscription, SubscriptionSettings};
pub use topic_reader::TopicReader;
