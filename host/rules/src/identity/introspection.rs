//! What an issuer answers when it is asked about a token (OAuth 2.0 Token Introspection, RFC 7662).

use super::claims::Claims;
use crate::base::{Identity, IdentityFields, ProofKind};
use serde_json::Value;

/// The policy of tokens that their issuer is asked about.
#[derive(Debug, Clone)]
pub struct IntrospectionPolicy {
    /// The `NAME` of `[auth.NAME]`.
    pub name: String,
    /// The one value of `iss`; `None`: whatever the endpoint says of itself.
    pub issuer: Option<String>,
    /// `aud` names at least one of them; empty: any. The endpoint may say no audience at all.
    pub audience: Vec<String>,
}

/// What the issuer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Introspected {
    /// The token is good.
    Active {
        /// Who calls.
        identity: Identity,
        /// When it ends, in seconds since 1970; `None`: the issuer does not say.
        until: Option<u64>,
    },
    /// The token is not, or not for this host.
    Refused(&'static str),
    /// It is no answer of such an endpoint.
    Unreadable,
}

impl IntrospectionPolicy {
    /// Reads the body of an answer with status 200, of a request that was made at `now`.
    pub fn read(&self, answer: &[u8], now: u64) -> Introspected {
        let Some(claims) = Claims::parse(answer) else { return Introspected::Unreadable };
        match claims.get("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Introspected::Refused("its issuer calls it inactive"),
            _ => return Introspected::Unreadable,
        }
        let until = claims.time("exp");
        if until.is_some_and(|until| until <= now) {
            return Introspected::Refused("it has expired");
        }
        if claims.time("nbf").is_some_and(|begin| begin > now) {
            return Introspected::Refused("it is not valid yet");
        }
        if self.issuer.as_deref().is_some_and(|issuer| claims.text("iss") != Some(issuer)) {
            return Introspected::Refused("it is of another issuer");
        }
        if !self.audience.is_empty() && !claims.is_for(&self.audience) {
            return Introspected::Refused("it is for another audience");
        }
        if claims.has("cnf") {
            return Introspected::Refused("it is bound to a key (`cnf`), and was sent as a bearer's");
        }
        let Some(subject) = claims.subject().or_else(|| claims.text("username").map(str::to_owned)) else {
            return Introspected::Refused("it has no `sub`");
        };
        let Ok(text) = String::from_utf8(answer.to_vec()) else { return Introspected::Unreadable };
        let (policy, scopes) = (self.name.clone(), claims.scopes());
        let identity = Identity {
            subject,
            policy,
            proof: ProofKind::Introspection,
            scopes,
            claims: text,
            told: IdentityFields::default(),
        };
        Introspected::Active { identity, until }
    }
}
