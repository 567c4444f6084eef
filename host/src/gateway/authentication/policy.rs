//! One policy: how a caller proves who they are.

use super::credential::{self, Credential};
use super::introspector::Introspector;
use super::policy_refusal::PolicyRefusal;
use super::shared_key_ring::SharedKeyRing;
use super::token_prover::TokenProver;
use crate::base::Identity;
use crate::identity::{CertificatePolicy, KeyRefusal, ShownCertificate};
use http::{HeaderMap, HeaderName};
use std::sync::Arc;

/// A policy, for all routes that name it.
#[derive(Debug)]
pub struct AuthPolicy {
    /// The `NAME` of `[auth.NAME]`.
    pub name: String,
    /// The header that has the credential; `None`: the connection has it.
    pub header: Option<HeaderName>,
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
    /// A certificate that the connection has shown.
    Certificate(CertificatePolicy),
}

/// Reads the certificate of a connection. Few policies ask for it.
pub(in crate::gateway) type ShowCertificate<'a> = &'a (dyn Fn() -> Option<ShownCertificate> + Sync);

impl PolicyProof {
    pub(super) fn is_key(&self) -> bool {
        matches!(self, Self::ApiKey(_))
    }
}

impl AuthPolicy {
    /// Who sends these headers over a connection with this certificate, at `now` in seconds since 1970.
    ///
    /// # Errors
    /// Why that is not known.
    pub(super) async fn identify(
        &self,
        headers: &HeaderMap,
        certificate: ShowCertificate<'_>,
        now: u64,
    ) -> Result<Arc<Identity>, PolicyRefusal> {
        if let PolicyProof::Certificate(policy) = &self.proof {
            let shown = certificate().ok_or(PolicyRefusal::Absent)?;
            let reason = "its certificate has no name of the policy";
            return policy.identify(&shown).map(Arc::new).ok_or(PolicyRefusal::Refused { expired: false, reason });
        }
        let Some(header) = &self.header else { return Err(PolicyRefusal::Absent) };
        let credential = match credential::find(headers, header) {
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
            // A certificate is in no header.
            PolicyProof::Certificate(_) => Err(PolicyRefusal::Absent),
        }
    }
}
