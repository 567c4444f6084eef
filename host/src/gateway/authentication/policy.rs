//! One policy: how a caller proves who they are.

use super::credential::{self, Credential};
use super::introspector::Introspector;
use super::policy_refusal::PolicyRefusal;
use super::shared_key_ring::SharedKeyRing;
use super::token_prover::TokenProver;
use crate::base::Identity;
use crate::identity::KeyRefusal;
use http::{HeaderMap, HeaderName};
use std::sync::Arc;

/// A policy, for all routes that name it.
#[derive(Debug)]
pub struct AuthPolicy {
    /// The `NAME` of `[auth.NAME]`.
    pub name: String,
    /// The header that has the credential.
    pub header: HeaderName,
    /// Whether the service gets the credential.
    pub forward: bool,
    /// What proves a caller.
    pub proof: PolicyProof,
}

/// What proves a caller.
#[derive(Debug)]
pub enum PolicyProof {
    /// An API key of this host.
    ApiKey(Arc<SharedKeyRing>),
    /// A signed token.
    Token(TokenProver),
    /// A token that its issuer is asked about.
    Introspection(Introspector),
}

impl PolicyProof {
    pub(super) fn is_key(&self) -> bool {
        matches!(self, Self::ApiKey(_))
    }
}

impl AuthPolicy {
    /// Who sends these headers, at `now` in seconds since 1970.
    ///
    /// # Errors
    /// Why that is not known.
    pub(super) async fn identify(&self, headers: &HeaderMap, now: u64) -> Result<Arc<Identity>, PolicyRefusal> {
        let credential = match credential::find(headers, &self.header) {
            Credential::Absent => return Err(PolicyRefusal::Absent),
            Credential::Twice => {
                return Err(PolicyRefusal::Refused { expired: false, reason: "its header stands twice" });
            }
            Credential::One(credential) => credential,
        };
        match &self.proof {
            PolicyProof::ApiKey(ring) => ring.load().find(&self.name, credential, now).cloned().map_err(|refusal| {
                PolicyRefusal::Refused { expired: refusal == KeyRefusal::Expired, reason: refusal.as_str() }
            }),
            PolicyProof::Token(prover) => prover.identify(credential, now).await,
            PolicyProof::Introspection(introspector) => introspector.identify(credential, now).await,
        }
    }
}
