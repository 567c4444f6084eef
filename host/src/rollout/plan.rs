//! What the manifest says about one service.

use crate::balance::Policy;
use crate::base::ServiceName;
use crate::breaker;
use crate::runtime::{Isolation, Limits};
use http::Uri;
use std::collections::BTreeMap;

/// A service as it is to be deployed: with a component, with plain HTTP addresses, or with both.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The name that callers use.
    pub name: ServiceName,
    /// Plain HTTP addresses that serve it.
    pub urls: Vec<Uri>,
    /// Endpoints of its component, at least 1.
    pub replicas: usize,
    /// Whether it has a store of its own.
    pub state: bool,
    /// The services that it may call.
    pub calls: Vec<ServiceName>,
    /// The functions of which a second call does what one does, as the manifest names them.
    pub idempotent: Vec<String>,
    /// How long its instances live.
    pub isolation: Isolation,
    /// Its configuration, which it reads through `wasi:config/store`.
    pub config: BTreeMap<String, String>,
    /// The limits of each replica.
    pub limits: Limits,
    /// The breaker of each endpoint.
    pub breaker: breaker::Settings,
    /// How an endpoint is chosen.
    pub balance: Policy,
}
