//! A policy of signed tokens, with its keys and the tokens that were proved of late.

use super::policy_refusal::PolicyRefusal;
use super::recent_tokens::{self, RecentTokens};
use super::token_keys::TokenKeys;
use crate::base::Identity;
use crate::identity::{LONGEST_TOKEN, TokenPolicy, TokenRefusal};
use std::fmt;
use std::sync::Arc;

/// Proves callers by signed tokens.
///
/// A token that was proved is remembered, by its SHA-256, until it ends or the keys of its issuer change: a signature
/// costs 0.1 ms, and a client sends one token many times.
pub struct TokenProver {
    policy: TokenPolicy,
    keys: Arc<TokenKeys>,
    proved: RecentTokens<ProvedToken>,
}

#[derive(Clone)]
struct ProvedToken {
    identity: Arc<Identity>,
    until: u64,
    /// The number of the keys that proved it.
    keys: u64,
}

impl TokenProver {
    /// A prover that remembers at most `remembered` tokens.
    pub fn new(policy: TokenPolicy, keys: Arc<TokenKeys>, remembered: usize) -> Self {
        Self { policy, keys, proved: RecentTokens::new(remembered) }
    }

    pub(super) async fn identify(&self, token: &[u8], now: u64) -> Result<Arc<Identity>, PolicyRefusal> {
        if token.len() > LONGEST_TOKEN {
            return Err(refused(TokenRefusal::TooLong));
        }
        let hash = recent_tokens::hash(token);
        let number = self.keys.number();
        let is_good = |known: &ProvedToken| known.until > now && Some(known.keys) == number;
        if let Some(known) = self.proved.get(&hash, is_good) {
            return Ok(known.identity);
        }
        // What is wrong in itself is refused before anything is waited for or fetched.
        let opened = self.policy.open(token).map_err(refused)?;
        let unavailable = PolicyRefusal::Unavailable("the keys of its issuer are not known yet");
        let mut keys = self.keys.current().await.ok_or(unavailable)?;
        let mut outcome = self.policy.verify(&opened, &keys.set, now);
        if outcome == Err(TokenRefusal::UnknownKey)
            && let Some(newer) = self.keys.newer_than(keys.number).await
        {
            keys = newer;
            outcome = self.policy.verify(&opened, &keys.set, now);
        }
        let verified = outcome.map_err(refused)?;
        let identity = Arc::new(verified.identity);
        let proved = ProvedToken { identity: Arc::clone(&identity), until: verified.until, keys: keys.number };
        self.proved.insert(hash, proved);
        Ok(identity)
    }
}

fn refused(refusal: TokenRefusal) -> PolicyRefusal {
    if refusal == TokenRefusal::Issuer {
        return PolicyRefusal::Foreign;
    }
    PolicyRefusal::Refused { expired: refusal == TokenRefusal::Expired, reason: refusal.as_str() }
}

impl fmt::Debug for TokenProver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenProver").field(&self.policy).finish_non_exhaustive()
    }
}
