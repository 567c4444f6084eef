//! Floor 6: events on their way to the services that subscribe.
//!
//! Owns the log of each topic (in a bucket of `state`), the task of each subscription, its notes on disk (progress,
//! failures, dead letters), and retention.
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
//!
//! Never: decides which event is next (`events` does), knows how a call is made (the mesh does).
//!
//! Tests: `tests/`, with a handler of their own over the real store.

mod dead_letter;
mod deliveries;
mod dispatcher;
mod event_log;
mod handler;
mod notes;
mod retention;
mod status;
mod subscription;
#[cfg(test)]
mod tests;

pub use dead_letter::{DeadLetter, FailedTry};
pub use deliveries::{Deliveries, DeliveryError, SubscriptionReport, TopicReport};
pub use event_log::{EventPage, LoggedEvent};
pub use handler::{Handle, MeshHandler, TryEnd};
pub use subscription::{Subscription, SubscriptionSettings};
