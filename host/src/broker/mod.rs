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
//! and of [`Broker`], in a wing of its own: `nats` has [`JetStream`], `rabbit` has [`RabbitMq`], `kafka` has
//! [`KafkaCluster`]. `envelope` says which headers an event has, in all of them.
//!
//! Tests: of the messages beside them, of Kafka's logs with a server in memory (`kafka/fake`), and with real servers in
//! `tests/it/topics`.

mod broker_log;
mod envelope;
mod error;
mod kafka;
mod nats;
mod rabbit;
mod request_time;
mod secure_socket;
mod settings;

pub use broker_log::{Broker, BrokerFuture, BrokerLog, LogExtent, OutgoingEvent, StoredEvent, StoredPage};
pub use error::BrokerError;
pub use kafka::KafkaCluster;
pub use nats::{JetStream, LinkPace};
pub use rabbit::RabbitMq;
pub use settings::{BrokerKind, BrokerLogin, BrokerSettings, LoginSecret, NatsServers};

/// Connects to the broker of these settings. One that is away is no error: it is tried again and again. Takes some
/// seconds at most.
///
/// # Errors
/// [`BrokerError::Login`] and [`BrokerError::Unfit`].
pub async fn connect(settings: &BrokerSettings) -> Result<std::sync::Arc<dyn Broker>, BrokerError> {
    Ok(match settings.kind {
        BrokerKind::JetStream => std::sync::Arc::new(JetStream::connect(settings).await?),
        BrokerKind::RabbitMq => std::sync::Arc::new(RabbitMq::connect(settings).await?),
        BrokerKind::Kafka => std::sync::Arc::new(KafkaCluster::connect(settings).await?),
    })
}
