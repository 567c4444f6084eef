//! A host name as a source of endpoints: its IP addresses, as the system's resolver has them.

use super::endpoint_source::{
    EndpointSource, FoundEndpoint, FoundEndpoints, FoundFuture, LocatedEndpoints, SourceError,
};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::{Instant, sleep_until, timeout};

/// The longest wait for the answer about a name.
pub(super) const LOOKUP: Duration = Duration::from_secs(5);
/// The largest number of addresses of one name that become endpoints.
pub(super) const MOST_ADDRESSES: usize = 64;

/// The addresses of one host name, each at one port.
pub(super) struct HostNameSource {
    /// The endpoint that each address is.
    endpoint: FoundEndpoint,
    port: u16,
    /// How often the name is looked up.
    every: Duration,
    due: Instant,
}

impl HostNameSource {
    /// The addresses of the host of `endpoint`, at `port`.
    pub(super) fn new(endpoint: FoundEndpoint, port: u16, every: Duration) -> Self {
        Self { endpoint, port, every, due: Instant::now() }
    }

    async fn look_up(&self) -> Result<FoundEndpoints, SourceError> {
        let host = self.endpoint.base.host().unwrap_or_default();
        let found = timeout(LOOKUP, lookup_host((host, self.port))).await.map_err(|_| SourceError::Late)?;
        let found = found.map_err(|error| SourceError::Lookup(error.to_string()))?.take(MOST_ADDRESSES);
        let located: LocatedEndpoints =
            found.map(|at| (SocketAddr::new(at.ip(), self.port), self.endpoint.clone())).collect();
        if located.is_empty() {
            return Err(SourceError::Lookup("it has no address".to_owned()));
        }
        Ok(FoundEndpoints { located, unlocated: Vec::new() })
    }
}

impl EndpointSource for HostNameSource {
    fn next(&mut self) -> FoundFuture<'_> {
        Box::pin(async move {
            sleep_until(self.due).await;
            let found = self.look_up().await?;
            self.due = Instant::now() + self.every;
            Ok(found)
        })
    }
}
