//! Endpoints as registries name them, and where they are.

use super::endpoint_source::{FoundEndpoint, FoundEndpoints, base_of};
use super::endpoint_weight::scaled;
use super::host_name::{LOOKUP, MOST_ADDRESSES};
use super::source_error::SourceError;
use super::srv_source::is_host;
use futures_util::{StreamExt, stream};
use http::uri::Scheme;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::net::lookup_host;
use tokio::time::timeout;

/// How many hosts' addresses are looked up at a time.
const AT_ONCE: usize = 16;

/// One endpoint as a registry names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedEndpoint {
    /// Where it is: an IP address or a host name.
    pub(super) host: String,
    /// What a request's head and a certificate call it; `None`: `host`.
    pub(super) called: Option<String>,
    pub(super) port: u16,
    /// Its share beside the others of this answer.
    pub(super) weight: u16,
    /// Where the registry says that it stands.
    pub(super) zone: Option<Arc<str>>,
}

/// How named endpoints become found ones.
pub(super) struct Locating {
    /// The scheme of the endpoints.
    pub(super) scheme: Scheme,
    /// What multiplies their weights.
    pub(super) factor: u16,
    /// The most of them.
    pub(super) most: usize,
}

impl NamedEndpoint {
    /// An endpoint of weight 1, of which nothing else is known.
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), called: None, port, weight: 1, zone: None }
    }
}

impl Locating {
    /// Where `named` are. What is no address is passed over and counted as unusable; so are those beyond the most.
    pub(super) async fn locate(&self, named: Vec<NamedEndpoint>) -> FoundEndpoints {
        let mut found = FoundEndpoints::default();
        found.unusable += named.len().saturating_sub(self.most);
        let weights = scaled(&named.iter().map(|one| one.weight).collect::<Vec<_>>(), self.factor);
        let named = named.into_iter().zip(weights).take(self.most);
        let mut hosts = stream::iter(named).map(async |(one, weight)| (addresses(&one.host).await, one, weight));
        let mut hosts = hosts.by_ref().buffered(AT_ONCE);
        while let Some((addresses, one, weight)) = hosts.next().await {
            let called = one.called.as_ref().unwrap_or(&one.host);
            let base = base_of(self.scheme.clone(), called, one.port).filter(|_| one.port > 0 && is_place(&one.host));
            let Some(base) = base else {
                found.unusable += 1;
                continue;
            };
            let endpoint = FoundEndpoint { base, weight, zone: one.zone };
            match addresses {
                Ok(addresses) => {
                    let room = self.most.saturating_sub(found.located.len());
                    for ip in addresses.into_iter().take(room) {
                        found.located.entry(SocketAddr::new(ip, one.port)).or_insert_with(|| endpoint.clone());
                    }
                }
                Err(error) => found.unlocated.push((endpoint, error)),
            }
        }
        found
    }
}

/// Whether `text` is an IP address or the name of a host. What others write into a registry goes no further otherwise.
fn is_place(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || is_host(text)
}

/// The addresses of a host.
async fn addresses(host: &str) -> Result<Vec<IpAddr>, SourceError> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![ip]);
    }
    if !is_host(host) {
        return Ok(Vec::new());
    }
    let none = || SourceError::Lookup(format!("{host} has no address"));
    let found = timeout(LOOKUP, lookup_host((host, 0))).await.map_err(|_| SourceError::Late)?;
    let found: Vec<_> = found.map_err(|_| none())?.map(|at| at.ip()).take(MOST_ADDRESSES).collect();
    if found.is_empty() { Err(none()) } else { Ok(found) }
}
