//! A service of Consul as a source of endpoints: its healthy instances, by blocking queries.
//!
//! `GET /v1/health/service/NAME?passing=true` (developer.hashicorp.com/consul/api-docs/health). With the index of the
//! answer before, the agent answers as soon as something has changed, or after `wait`
//! (developer.hashicorp.com/consul/api-docs/features/blocking).

use super::endpoint_source::{EndpointSource, FoundEndpoints, FoundFuture};
use super::named_endpoint::{Locating, NamedEndpoint};
use super::registry_address::RegistryAddress;
use super::registry_client::{RegistryClient, RegistryQuestion, WATCH};
use super::source_error::SourceError;
use http::HeaderMap;
use http::header::HeaderName;
use serde::Deserialize;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The agent adds up to a sixteenth of the wait, so that not all come at once.
const JITTER: u32 = 16;
const TOKEN: HeaderName = HeaderName::from_static("x-consul-token");
const INDEX: HeaderName = HeaderName::from_static("x-consul-index");
/// The agent has left instances out that the token may not see.
const FILTERED: HeaderName = HeaderName::from_static("x-consul-results-filtered-by-acls");

/// The healthy instances of one service.
pub(super) struct ConsulService {
    client: RegistryClient,
    /// `/v1/health/service/users?passing=true&dc=west`
    target: String,
    locating: Locating,
    /// The index of the last answer; 0: the next answer comes at once.
    index: u64,
    /// How often it is asked if its answers have no index.
    every: Duration,
    due: Instant,
}

/// One instance in an answer. Members that are not read may be anything.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConsulInstance {
    node: ConsulNode,
    service: ConsulEntry,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConsulNode {
    #[serde(default)]
    address: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConsulEntry {
    #[serde(default)]
    address: String,
    #[serde(default)]
    port: u32,
    weights: Option<ConsulWeights>,
    locality: Option<ConsulLocality>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConsulWeights {
    #[serde(default)]
    passing: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConsulLocality {
    #[serde(default)]
    zone: String,
}

impl ConsulService {
    pub(super) fn new(client: RegistryClient, address: &RegistryAddress, locating: Locating, every: Duration) -> Self {
        let mut target = format!("/v1/health/service/{}?passing=true", address.name);
        for name in ["dc", "near", "tag"] {
            for value in address.all_of(name) {
                target.push_str(&format!("&{name}={value}"));
            }
        }
        Self { client, target, locating, index: 0, every, due: Instant::now() }
    }

    async fn ask(&mut self) -> Result<FoundEndpoints, SourceError> {
        let proof = match self.client.secret().await? {
            Some(token) => Some(self.client.proof(TOKEN, &token)?),
            None => None,
        };
        let (mut target, mut patience) = (self.target.clone(), Duration::ZERO);
        if self.index > 0 {
            target.push_str(&format!("&index={}&wait={}s", self.index, WATCH.as_secs()));
            patience = WATCH + WATCH / JITTER;
        }
        let question = RegistryQuestion { target, proof, patience, ..RegistryQuestion::default() };
        let (headers, instances) = self.client.whole::<Vec<ConsulInstance>>(question).await?;
        self.go_on(&headers);
        let named = instances.into_iter().map(ConsulInstance::named).collect::<Vec<_>>();
        let mut found = self.locating.locate(named).await;
        if headers.get(FILTERED).is_some_and(|value| value == "true") {
            found.hint = ": it hides instances from this token, which needs `service:read` and `node:read`".to_owned();
        }
        Ok(found)
    }

    /// Notes where the next question begins. An index that goes back is that of another server, or of one that was set
    /// back: waiting for more than that could last for ever, so the next answer comes at once.
    fn go_on(&mut self, headers: &HeaderMap) {
        let index = headers.get(INDEX).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        match index {
            Some(index) if index < self.index => self.index = 0,
            // An answer at once to 0 would be asked for again and again.
            Some(index) => self.index = index.max(1),
            None => (self.index, self.due) = (0, Instant::now() + self.every),
        }
    }
}

impl EndpointSource for ConsulService {
    fn next(&mut self) -> FoundFuture<'_> {
        Box::pin(async move {
            sleep_until(self.due).await;
            let found = self.ask().await;
            if found.is_err() {
                // After a failure its first word counts, and not only its next change.
                self.index = 0;
            }
            found
        })
    }
}

impl ConsulInstance {
    /// An instance without an address of its own is at that of its node.
    fn named(self) -> NamedEndpoint {
        let Self { node, service } = self;
        let host = if service.address.is_empty() { node.address } else { service.address };
        let weight = service.weights.map_or(1, |weights| u16::try_from(weights.passing).unwrap_or(u16::MAX));
        let zone = service.locality.map(|locality| locality.zone).filter(|zone| !zone.is_empty());
        NamedEndpoint {
            weight,
            zone: zone.map(Into::into),
            // A port that is none is no endpoint.
            ..NamedEndpoint::new(&host, u16::try_from(service.port).unwrap_or_default())
        }
    }
}
