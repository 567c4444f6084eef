//! The way to registries, which others lend this room.

use super::registry_address::RegistryKind;
use crate::base::Body;
use http::{Request, Response};
use std::pin::Pin;
use std::time::Duration;

/// The answer of a registry, whose body streams.
pub type RegistryFuture<'a> = Pin<Box<dyn Future<Output = Result<Response<Body>, String>> + Send + 'a>>;

/// How registries are reached.
pub trait AskRegistry: Send + Sync {
    /// Sends `request`, whose address has scheme and host, to a registry of this kind. The head of the answer comes
    /// within this time; the body streams for as long as it does.
    fn ask(&self, kind: RegistryKind, request: Request<Body>, within: Duration) -> RegistryFuture<'_>;
}
