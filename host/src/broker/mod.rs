//! Floor 4: a broker in place of the embedded log of events.
//!
//! Owns the connection to the broker, the stream of each topic there, and how an event is written as a message of it.
//!
//! What always holds:
//! - Events of one append are in the log in their order, or a beginning of them is, or none: an event never stands
//!   before one that was appended earlier. Where the server can, an append is there whole or not at all.
//! - After an error of an append nobody knows whether it is there. Whoever repeats it looks first
//!   (`delivery/relay.rs`).
//! - A number that was read names the same event for as long as the stream is there.
//! - A server that is too old, or a stream with other settings, is refused by name and never used with less.
//! - No credential is in an error, a log line or a `Debug` text.
//!
//! Never: knows who is called, keeps anything on this disk, waits without a bound.
//!
//! Within the room: [`BrokerLog`] is what a broker must do for a topic; another broker is another implementation of it
//! and of [`Broker`]. [`JetStream`] does it with NATS.
//!
//! Tests: of the messages beside them, and with real servers in `tests/it/brokers`.

mod broker_log;
mod error;
mod jet_stream;
mod message;
mod settings;
mod stream_config;
mod topic_stream;

pub use broker_log::{Broker, BrokerFuture, BrokerLog, LogExtent, OutgoingEvent, StoredEvent, StoredPage};
pub use error::BrokerError;
pub use jet_stream::{JetStream, LinkPace};
pub use settings::{BrokerLogin, BrokerSettings, LoginSecret, NatsServers};
