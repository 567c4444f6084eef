//! Who sends a request, and whether the route lets them in: policies, what they know, and the refusals.

mod admitted;
mod challenge;
mod credential;
mod introspector;
mod policy;
mod policy_refusal;
mod recent_tokens;
mod route_access;
mod shared_key_ring;
mod shown_certificate;
#[cfg(test)]
mod tests;
mod token_keys;
mod token_prover;

pub(super) use admitted::Admitted;
pub use introspector::{AskIssuer, Introspector};
pub use policy::{AuthPolicy, PolicyProof};
pub use route_access::RouteAccess;
pub(super) use route_access::RouteCaller;
pub use shared_key_ring::SharedKeyRing;
pub(super) use shown_certificate::shown_certificate;
pub use token_keys::{IssuerFuture, KeyPace, KeySource, TokenKeys};
pub use token_prover::TokenProver;

/// The statuses and kinds of the answers that refuse a caller.
pub(super) const REFUSED: [(u16, &str); 2] = [(401, challenge::UNAUTHENTICATED), (503, challenge::UNAVAILABLE)];
