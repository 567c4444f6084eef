//! The connections to registries, as `discovery` asks them.

use crate::base::{Body, CallContext, RequestId};
use crate::discovery::{AskRegistry, RegistryFuture, RegistryKind};
use crate::egress::EgressRule;
use crate::mesh::{Dial, HttpClient, Tls};
use http::Request;
use http::uri::Scheme;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The clients of all registries of a manifest.
pub(super) struct Registries {
    /// How registries prove who they are, by kind.
    tls: [Option<Tls>; 4],
    /// By kind, scheme and authority: as many as the manifest has addresses.
    clients: Mutex<HashMap<(RegistryKind, String), HttpClient>>,
}

impl Registries {
    pub(super) fn new(tls: [Option<Tls>; 4]) -> Self {
        Self { tls, clients: Mutex::default() }
    }

    /// The client of a registry. Whoever wrote the manifest may name one that is not public, and most are not.
    fn client(&self, kind: RegistryKind, base: String) -> Result<HttpClient, String> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (kind, base);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let rule = EgressRule::parse(&key.1, true).map_err(|error| error.to_string())?;
        let uri = key.1.parse().map_err(|_| "its address is none".to_owned())?;
        let client = HttpClient::checked(uri, rule, &Dial { tls: self.tls[kind as usize].clone(), ..Dial::default() });
        clients.insert(key, client.clone());
        Ok(client)
    }
}

impl AskRegistry for Registries {
    fn ask(&self, kind: RegistryKind, mut request: Request<Body>, within: Duration) -> RegistryFuture<'_> {
        Box::pin(async move {
            let uri = request.uri();
            let authority = uri.authority().ok_or("its address has no host")?;
            let base = format!("{}://{authority}", uri.scheme().unwrap_or(&Scheme::HTTP));
            let client = self.client(kind, base)?;
            let target = uri.path_and_query().map_or("/", |target| target.as_str());
            *request.uri_mut() = target.parse().map_err(|_| "its address is none")?;
            let context = CallContext::new(RequestId::from_random(rand::random()), Instant::now(), within);
            client.send(request, &context).await.map_err(|error| error.detail)
        })
    }
}
