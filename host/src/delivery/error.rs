//! Why what is asked of topics is not done.

use super::event_log::LogError;
use crate::broker::BrokerError;
use crate::events::RefusedEvent;
use crate::state::StateError;

/// Why an order of an operator was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The manifest has no such topic, or the service does not subscribe to it.
    #[error("{0}")]
    Unknown(String),
    /// The subscription has no such dead letter.
    #[error("{0}")]
    NoLetter(String),
    /// The event is refused.
    #[error("{0}")]
    Refused(#[from] RefusedEvent),
    /// The order to make data again is refused.
    #[error("{0}")]
    NotRebuilt(String),
    /// The store refused or failed.
    #[error("the store: {0}")]
    State(#[from] StateError),
    /// The broker refused, or is away.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The log of a topic cannot move to a broker, or back.
    #[error("{0}")]
    LogStays(String),
    /// The host is stopping.
    #[error("the host is stopping")]
    Stopping,
}

impl From<LogError> for DeliveryError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::State(error) => Self::State(error),
            LogError::Broker(error) => Self::Broker(error),
        }
    }
}
