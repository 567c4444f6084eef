//! The connections to RabbitMQ.

use super::link::RabbitLink;
use super::stream::RabbitStream;
use crate::broker::broker_log::{Broker, BrokerLog};
use crate::broker::error::BrokerError;
use crate::broker::settings::BrokerSettings;
use crate::events::TopicName;
use std::sync::Arc;

/// A RabbitMQ server, or a cluster of them.
#[derive(Clone)]
pub struct RabbitMq {
    /// A server that is short of memory or disk does not read from connections on which somebody publishes.
    writing: Arc<RabbitLink>,
    reading: Arc<RabbitLink>,
    place: String,
}

impl RabbitMq {
    /// Connects. A server that is away is no error: from then on each operation tries again. Takes some seconds at
    /// most.
    ///
    /// # Errors
    /// [`BrokerError::Login`].
    pub async fn connect(settings: &BrokerSettings) -> Result<Self, BrokerError> {
        let settings = Arc::new(settings.clone());
        let link = |name| Arc::new(RabbitLink::new(&settings, name));
        let broker = Self { place: settings.place(), writing: link("writes events"), reading: link("reads events") };
        match broker.reading.connection().await {
            Err(error) if error.is_lasting() => Err(error),
            _ => Ok(broker),
        }
    }
}

impl Broker for RabbitMq {
    fn log(&self, topic: &TopicName, writer: &str) -> Arc<dyn BrokerLog> {
        Arc::new(RabbitStream::new(topic, writer, &self.writing, &self.reading))
    }

    fn place(&self) -> &str {
        &self.place
    }
}
