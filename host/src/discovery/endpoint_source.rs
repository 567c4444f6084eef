//! What a source of endpoints is, and what it says: always everything that it names at one moment.

use http::Uri;
use http::uri::{Authority, Scheme};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

/// The endpoints of a source by their places.
pub type LocatedEndpoints = BTreeMap<SocketAddr, FoundEndpoint>;

/// What a source says about one endpoint, beside where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundEndpoint {
    /// Scheme, host and port, for the request's head and the certificate.
    pub base: Uri,
    /// The weight beside the other endpoints of the service: 1 to 1,000.
    pub weight: u16,
}

/// Everything that a source names at one moment.
#[derive(Debug, Default)]
pub(super) struct FoundEndpoints {
    pub(super) located: LocatedEndpoints,
    /// The endpoints whose host has no address now, each with its reason. Those of them that are known stay.
    pub(super) unlocated: Vec<(FoundEndpoint, SourceError)>,
}

/// Everything that a source names now, or why that is not known.
pub(super) type FoundFuture<'a> = Pin<Box<dyn Future<Output = Result<FoundEndpoints, SourceError>> + Send + 'a>>;

/// What names the endpoints of an address.
pub(super) trait EndpointSource: Send {
    /// Everything that the source names. The first call asks at once. Each later one waits until it is time to ask
    /// again, or until the source has something to say. A call that is dropped costs one question at most.
    fn next(&mut self) -> FoundFuture<'_>;
}

/// Why it is not known what a source names. Its text continues "… cannot be asked:".
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error("it does not answer in time")]
    Late,
    #[error("{0}")]
    Lookup(String),
}

/// Scheme, host and port of an endpoint; `None` if that is no address for HTTP.
pub(super) fn base_of(scheme: Scheme, host: &str, port: u16) -> Option<Uri> {
    let authority = match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
        _ => format!("{host}:{port}"),
    };
    let authority = Authority::try_from(authority).ok()?;
    Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build().ok()
}
