//! The policies of the manifest, with their keys and issuers.

use super::edge_files;
use super::issuer::{IssuerClient, IssuerQuestions, KeySetFile};
use super::key_file::KeyFile;
use crate::config::{AuthConfig, AuthProof, Manifest, ManifestErrors, RouteAuth, TokenKeyPlace};
use crate::gateway::{
    AuthPolicy, Introspector, KeyPace, PolicyProof, RouteAccess, SharedKeyRing, TokenKeys, TokenProver,
};
use crate::identity::{Demand, KeySet};
use crate::telemetry::KeyFetchMetrics;
use anyhow::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How often a file of keys is read: a change counts within a second.
const FILE: KeyPace = KeyPace { refresh: Duration::from_secs(1), least: Duration::from_secs(1) };
/// The least time between two fetches from an address, whatever clients send.
const LEAST: Duration = Duration::from_secs(30);

/// All policies, ready to be used.
pub(in crate::app) struct AuthPolicies {
    /// In the order of the manifest's.
    policies: Vec<Arc<AuthPolicy>>,
    /// The keys that have to be kept fresh.
    fetched: Vec<Arc<TokenKeys>>,
    /// The file of the API keys, if a policy needs it.
    pub(in crate::app) key_file: Option<Arc<KeyFile>>,
}

impl AuthPolicies {
    /// The policies of `manifest`, which takes the place of a manifest with the policies `before`. Nothing is fetched
    /// yet.
    ///
    /// # Errors
    /// The file of API keys, or root certificates, cannot be read.
    pub(in crate::app) fn of(manifest: &Manifest, before: Option<&Self>) -> anyhow::Result<Self> {
        let of_keys = manifest.auth.iter().filter(|policy| matches!(policy.proof, AuthProof::ApiKey));
        let names: Vec<String> = of_keys.map(|policy| policy.name.clone()).collect();
        let wrong = |error: anyhow::Error| ManifestErrors::from(edge_files::api_keys(manifest, &error));
        let key_file = if names.is_empty() { None } else { Some(key_file(manifest, names, before).map_err(wrong)?) };
        let ring = key_file.as_ref().map_or_else(Arc::default, |file| Arc::clone(file.ring()));
        let mut all = Self { policies: Vec::new(), fetched: Vec::new(), key_file };
        for config in &manifest.auth {
            let proof = all.proof(config, &ring).with_context(|| format!("policy `{}`", config.name))?;
            let AuthConfig { name, header, forward, .. } = config.clone();
            all.policies.push(Arc::new(AuthPolicy { name, header, forward, proof }));
        }
        Ok(all)
    }

    fn proof(&mut self, config: &AuthConfig, ring: &Arc<SharedKeyRing>) -> anyhow::Result<PolicyProof> {
        Ok(match &config.proof {
            AuthProof::ApiKey => PolicyProof::ApiKey(Arc::clone(ring)),
            AuthProof::Token { policy, keys, remembered } => {
                let name = &config.name;
                let keys = Arc::new(match keys {
                    TokenKeyPlace::Secret(secret) => TokenKeys::fixed(KeySet::of_secret(secret.clone())),
                    TokenKeyPlace::File(path) => TokenKeys::fetched(name, KeySetFile(path.clone()), FILE),
                    TokenKeyPlace::Address(address, refresh) => {
                        let pace = KeyPace { refresh: *refresh, least: LEAST };
                        TokenKeys::fetched(name, IssuerClient::new(address)?, pace)
                    }
                });
                self.fetched.push(Arc::clone(&keys));
                PolicyProof::Token(TokenProver::new(policy.clone(), keys, *remembered))
            }
            AuthProof::Introspection { policy, endpoint, client, timeout, remembered } => {
                let questions = IssuerQuestions::new(IssuerClient::new(endpoint)?, client)?;
                PolicyProof::Introspection(Introspector::new(policy.clone(), questions, *timeout, *remembered))
            }
            AuthProof::Certificate(policy) => PolicyProof::Certificate(policy.clone()),
        })
    }

    /// Whom a route lets in.
    pub(in crate::app) fn access(&self, route: &RouteAuth) -> Arc<RouteAccess> {
        let policies = route.policies.iter().filter_map(|at| self.policies.get(*at)).map(Arc::clone);
        Arc::new(RouteAccess::new(policies.collect(), route.demand.clone()))
    }

    /// How the fetches of keys do, for each policy that has some.
    pub(in crate::app) fn fetches(&self) -> Vec<Arc<KeyFetchMetrics>> {
        self.fetched.iter().filter_map(|keys| keys.metrics()).map(Arc::clone).collect()
    }

    /// Begins to fetch the keys, and to keep them fresh, until what is returned is dropped.
    pub(in crate::app) fn kept_fresh(&self) -> JoinSet<()> {
        let mut upkeep = JoinSet::new();
        for keys in self.fetched.iter().map(Arc::clone) {
            upkeep.spawn(async move { keys.keep_fresh().await });
        }
        upkeep
    }
}

/// The file of the API keys: the one that is open, if there is one.
fn key_file(manifest: &Manifest, policies: Vec<String>, before: Option<&AuthPolicies>) -> anyhow::Result<Arc<KeyFile>> {
    let file = match before.and_then(|before| before.key_file.as_ref()) {
        Some(open) => open.succeeded(policies)?,
        None => KeyFile::open(manifest.gateway.keys.clone(), policies)?,
    };
    Ok(Arc::new(file))
}

/// The names of the claims that a route demands.
pub(in crate::app) fn claim_names(demand: &Demand) -> Vec<String> {
    demand.claims.iter().map(|claim| claim.name.clone()).collect()
}
