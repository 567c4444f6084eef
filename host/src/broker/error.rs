//! What goes wrong with a broker.

use std::io;

/// Why a broker did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// It is not there, or did not answer in time. What was sent may have arrived.
    #[error("the broker cannot be reached: {0}")]
    Away(String),
    /// It does not let this host in.
    #[error("the broker refuses the connection: {0}")]
    Login(String),
    /// It, or a stream of it, cannot keep what Atoll promises.
    #[error("{0}")]
    Unfit(String),
    /// It has refused a request.
    #[error("the broker refuses: {text} (error {code})")]
    Refused {
        /// Its own number of the error.
        code: u64,
        /// Its own words.
        text: String,
    },
    /// It answered something else.
    #[error("the broker's answer cannot be read: {0}")]
    Unread(String),
}

impl BrokerError {
    /// Whether it will be the same until somebody changes the broker or the manifest. The start of a host fails by it.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Login(_) | Self::Unfit(_))
    }
}

/// Whether a connection failed by its TLS: the server does not prove who it is, or speaks no TLS.
pub(super) fn is_of_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}
