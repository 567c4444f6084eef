//! What a token must be to prove a caller.

use super::algorithm::TokenAlgorithm;
use super::compact_token::{CompactToken, LONGEST_TOKEN};
use super::key_set::{KeyMiss, KeySet};
use crate::base::{Identity, IdentityFields, ProofKind};
use serde_json::Value;

/// The policy of the tokens (JWT, RFC 7519) of one issuer.
#[derive(Debug, Clone)]
pub struct TokenPolicy {
    /// The `NAME` of `[auth.NAME]`.
    pub name: String,
    /// The one value of `iss`.
    pub issuer: String,
    /// `aud` names at least one of them.
    pub audience: Vec<String>,
    /// The algorithms that are accepted.
    pub algorithms: Vec<TokenAlgorithm>,
    /// The one value of `typ`, without `application/`; `None`: any.
    pub typ: Option<String>,
    /// How far the issuer's clock may be off, in seconds.
    pub leeway: u64,
}

/// A token of this policy's form, of which nothing is proved.
pub struct OpenedToken<'a> {
    token: CompactToken<'a>,
    algorithm: TokenAlgorithm,
}

/// What a token has proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedToken {
    /// Who calls.
    pub identity: Identity,
    /// When it ends, in seconds since 1970, with the leeway.
    pub until: u64,
}

/// Why a token proves nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefusal {
    /// It has more than [`LONGEST_TOKEN`] bytes.
    TooLong,
    /// It is no signed token in compact form, or a member of its header or its claims stands twice.
    Malformed,
    /// Its algorithm is none, or none of the policy's, or not that of its key.
    Algorithm,
    /// Its header demands (`crit`) that more is understood.
    Critical,
    /// Its `typ` is another one.
    Type,
    /// It is of another issuer.
    Issuer,
    /// No key of the issuer has its `kid`. A newer set may have it.
    UnknownKey,
    /// It names no key, and several fit.
    AmbiguousKey,
    /// The signature is not that of the key.
    Signature,
    /// It is for somebody else.
    Audience,
    /// It has no end, or one that is no time.
    NoEnd,
    /// Its time is over.
    Expired,
    /// Its time has not begun, or it was issued in the future.
    NotYet,
    /// Whoever sends it has to prove that a key is theirs (`cnf`, RFC 7800), and a bearer does not.
    Bound,
    /// It names nobody.
    NoSubject,
}

impl TokenPolicy {
    /// Reads `token` as far as that needs no key: its form, its algorithm, and which issuer it says that it has.
    ///
    /// # Errors
    /// Why it is refused, whatever the keys are.
    pub fn open<'a>(&self, token: &'a [u8]) -> Result<OpenedToken<'a>, TokenRefusal> {
        if token.len() > LONGEST_TOKEN {
            return Err(TokenRefusal::TooLong);
        }
        let token = CompactToken::parse(token).ok_or(TokenRefusal::Malformed)?;
        let algorithm = token.header.text("alg").and_then(TokenAlgorithm::of_name);
        let algorithm =
            algorithm.filter(|algorithm| self.algorithms.contains(algorithm)).ok_or(TokenRefusal::Algorithm)?;
        // RFC 7515, section 4.1.11: what is not understood is refused, and nothing here is an extension.
        if token.header.has("crit") {
            return Err(TokenRefusal::Critical);
        }
        if let Some(wanted) = &self.typ {
            let typ = token.header.text("typ").unwrap_or_default();
            // RFC 7515, section 4.1.9: `application/` may be left out, and media types have no case.
            let prefix = typ.get(..12).filter(|prefix| prefix.eq_ignore_ascii_case("application/"));
            if !typ[prefix.map_or(0, str::len)..].eq_ignore_ascii_case(wanted) {
                return Err(TokenRefusal::Type);
            }
        }
        if token.claims.text("iss") != Some(&self.issuer) {
            return Err(TokenRefusal::Issuer);
        }
        Ok(OpenedToken { token, algorithm })
    }

    /// Proves `opened` by `keys` at `now`.
    ///
    /// # Errors
    /// Why it proves nobody.
    pub fn verify(&self, opened: &OpenedToken<'_>, keys: &KeySet, now: u64) -> Result<VerifiedToken, TokenRefusal> {
        let OpenedToken { token, algorithm } = opened;
        let id = match token.header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.as_str()),
            Some(_) => return Err(TokenRefusal::Malformed),
        };
        let key = keys.find(id, *algorithm).map_err(|miss| match miss {
            KeyMiss::Unknown => TokenRefusal::UnknownKey,
            KeyMiss::OtherAlgorithm => TokenRefusal::Algorithm,
            KeyMiss::Ambiguous => TokenRefusal::AmbiguousKey,
        })?;
        if !key.proves(*algorithm, token.signed, &token.signature) {
            return Err(TokenRefusal::Signature);
        }
        let until = self.check(token, now)?;
        let subject = token.claims.subject().ok_or(TokenRefusal::NoSubject)?;
        let claims = String::from_utf8(token.payload.clone()).map_err(|_| TokenRefusal::Malformed)?;
        let (policy, scopes) = (self.name.clone(), token.claims.scopes());
        Ok(VerifiedToken {
            identity: Identity {
                subject,
                policy,
                proof: ProofKind::Token,
                scopes,
                claims,
                told: IdentityFields::default(),
            },
            until,
        })
    }

    /// Checks the claims of a token that its key has proved. Returns when it ends.
    fn check(&self, token: &CompactToken<'_>, now: u64) -> Result<u64, TokenRefusal> {
        let claims = &token.claims;
        if !claims.is_for(&self.audience) {
            return Err(TokenRefusal::Audience);
        }
        let until = claims.time("exp").ok_or(TokenRefusal::NoEnd)?.saturating_add(self.leeway);
        if now >= until {
            return Err(TokenRefusal::Expired);
        }
        for begin in ["nbf", "iat"] {
            // A time that is no number is no time to wait for.
            let begun = claims.time(begin).is_some_and(|begin| begin <= now.saturating_add(self.leeway));
            if claims.has(begin) && !begun {
                return Err(TokenRefusal::NotYet);
            }
        }
        if claims.has("cnf") { Err(TokenRefusal::Bound) } else { Ok(until) }
    }
}

impl TokenRefusal {
    /// A stable text for the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "the token is too long",
            Self::Malformed => "it is no signed token",
            Self::Algorithm => "the algorithm is not one of the policy, or not that of the key",
            Self::Critical => "its header has `crit`",
            Self::Type => "its `typ` is another one",
            Self::Issuer => "it is of another issuer",
            Self::UnknownKey => "no key has its `kid`",
            Self::AmbiguousKey => "it names no key, and several fit",
            Self::Signature => "the signature is wrong",
            Self::Audience => "it is for another audience",
            Self::NoEnd => "it has no `exp`",
            Self::Expired => "it has expired",
            Self::NotYet => "it is not valid yet",
            Self::Bound => "it is bound to a key (`cnf`), and was sent as a bearer's",
            Self::NoSubject => "it has no `sub`",
        }
    }
}
