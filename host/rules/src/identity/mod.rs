//! Floor 2: who calls, and whether they may.
//!
//! Owns the form of API keys and the ring that knows them ([`ApiKey`], [`KeyRing`]), signed tokens and the keys that
//! prove them ([`TokenPolicy`], [`KeySet`]), what an issuer answers about a token ([`IntrospectionPolicy`]), what a
//! client certificate proves ([`CertificatePolicy`]), and what a route demands of a caller ([`Demand`]).
//!
//! What always holds:
//! - The algorithm of a token is one that its policy names and that its key is for: a token chooses neither (RFC 8725,
//!   section 3.1). `none` is no algorithm.
//! - A token has an issuer, an audience and an end, and all three are checked; one that says that its holder must prove
//!   more (`cnf`) or that its reader must understand more (`crit`) is refused.
//! - Where two keys could prove a token, it is refused.
//! - A key of an API is kept as its SHA-256; nothing here prints a key, a secret or a token.
//! - What outsiders send is bounded before it is read: tokens by [`LONGEST_TOKEN`].
//!
//! Never: it waits, reads a clock, draws at random or logs. `now` is an argument, in seconds since 1970.
//!
//! From the top: `token_policy` → `compact_token`, `key_set` → `algorithm`; `introspection` and `token_policy` →
//! `claims`; `key_ring` → `api_key`; `certificate`, `demand` stand alone.
//! Tests: `tests/`; the attacks of RFC 8725 through the real binary in `tests/it/auth`.

mod algorithm;
mod api_key;
mod certificate;
mod claims;
mod compact_token;
mod demand;
mod introspection;
mod key_ring;
mod key_set;
#[cfg(test)]
mod tests;
mod token_policy;

pub use algorithm::TokenAlgorithm;
pub use api_key::{ApiKey, KeyHash};
pub use certificate::{CertificatePolicy, NamePattern, ShownCertificate};
pub use compact_token::LONGEST_TOKEN;
pub use demand::{Demand, DemandedClaim, Lack};
pub use introspection::{Introspected, IntrospectionPolicy};
pub use key_ring::{KeyRecord, KeyRefusal, KeyRing};
pub use key_set::{KeySet, KeySetError, TokenSecret};
pub use token_policy::{OpenedToken, TokenPolicy, TokenRefusal, VerifiedToken};
