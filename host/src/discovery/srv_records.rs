//! The SRV records of a DNS name as a source of endpoints.

use super::endpoint_source::{EndpointSource, FoundEndpoint, FoundEndpoints, FoundFuture, SourceError, base_of};
use super::host_name::LOOKUP;
use super::srv_choice::MOST as MOST_RECORDS;
use super::srv_lookup::{LocatedRecord, look_up};
use super::srv_source::SrvSource;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// The endpoints that records name.
pub(super) struct SrvRecords {
    source: SrvSource,
    /// What multiplies the records' weights.
    factor: u16,
    /// How often the records are looked up.
    every: Duration,
    due: Instant,
}

impl SrvRecords {
    pub(super) fn new(source: SrvSource, factor: u16, every: Duration) -> Self {
        Self { source, factor, every, due: Instant::now() }
    }

    async fn find(&self) -> Result<FoundEndpoints, SourceError> {
        let records = timeout(LOOKUP, look_up(&self.source, self.factor)).await.map_err(|_| SourceError::Late)?;
        let mut found = FoundEndpoints::default();
        for LocatedRecord { record, addresses } in records.map_err(|error| SourceError::Lookup(error.to_string()))? {
            let Some(base) = base_of(self.source.scheme(), &record.target, record.port) else { continue };
            let endpoint = FoundEndpoint { base, weight: record.weight };
            match addresses {
                Ok(addresses) => {
                    let room = MOST_RECORDS.saturating_sub(found.located.len());
                    let places = addresses.into_iter().map(|ip| SocketAddr::new(ip, record.port));
                    found.located.extend(places.take(room).map(|at| (at, endpoint.clone())));
                }
                Err(error) => found.unlocated.push((endpoint, SourceError::Lookup(error.to_string()))),
            }
        }
        Ok(found)
    }
}

impl EndpointSource for SrvRecords {
    fn next(&mut self) -> FoundFuture<'_> {
        Box::pin(async move {
            sleep_until(self.due).await;
            let found = self.find().await?;
            self.due = Instant::now() + self.every;
            Ok(found)
        })
    }
}
