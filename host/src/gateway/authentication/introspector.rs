//! A policy of tokens that their issuer is asked about, with the answers of late.

use super::policy_refusal::PolicyRefusal;
use super::recent_tokens::{self, RecentTokens};
use super::token_keys::IssuerFuture;
use crate::base::Identity;
use crate::identity::{Introspected, IntrospectionPolicy, LONGEST_TOKEN};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;

/// Asks an issuer about a token.
pub trait AskIssuer: Send + Sync + 'static {
    /// The body of its answer, if its status is 200.
    fn ask<'a>(&'a self, token: &'a str) -> IssuerFuture<'a>;
}

/// How long an answer counts at most, in seconds: a token that was revoked is good for so long.
const LONGEST: u64 = 60;
/// How long a refusal counts, in seconds. A client that tries again does not ask the issuer again.
const REFUSED: u64 = 10;
/// The most questions at a time. Anybody can send tokens that nobody has seen.
const QUESTIONS: usize = 64;

/// Proves callers by asking their issuer (RFC 7662). The answers are remembered, by the SHA-256 of the token, for 60 s
/// at most. Of all requests with one token, one asks.
pub struct Introspector {
    policy: IntrospectionPolicy,
    issuer: Box<dyn AskIssuer>,
    within: Duration,
    answers: RecentTokens<Arc<OnceCell<IssuerAnswer>>>,
    questions: Semaphore,
}

/// What the issuer has said.
struct IssuerAnswer {
    outcome: Result<Arc<Identity>, PolicyRefusal>,
    /// Until when it counts.
    until: u64,
}

impl Introspector {
    /// An introspector that waits for an answer for `within`, and remembers at most `remembered` answers.
    pub fn new(policy: IntrospectionPolicy, issuer: impl AskIssuer, within: Duration, remembered: usize) -> Self {
        let (answers, questions) = (RecentTokens::new(remembered), Semaphore::new(QUESTIONS));
        Self { policy, issuer: Box::new(issuer), within, answers, questions }
    }

    pub(super) async fn identify(&self, token: &[u8], now: u64) -> Result<Arc<Identity>, PolicyRefusal> {
        let refused = |reason| Err(PolicyRefusal::Refused { expired: false, reason });
        if token.len() > LONGEST_TOKEN {
            return refused("the token is too long");
        }
        // RFC 6750, section 2.1: what is no such text can be no token, and is not worth a question.
        let is_legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
        let Some(token) = std::str::from_utf8(token).ok().filter(|_| !token.is_empty() && token.iter().all(is_legal))
        else {
            return refused("it is no token");
        };
        // An answer that is awaited counts too: whoever finds its cell empty waits for the one who asks. If the one who
        // asks goes away, the next asks.
        let is_good = |cell: &Arc<OnceCell<IssuerAnswer>>| cell.get().is_none_or(|answer| answer.until > now);
        let cell = self.answers.get_or_insert(&recent_tokens::hash(token.as_bytes()), is_good, Arc::default());
        cell.get_or_init(|| self.ask(token, now)).await.outcome.clone()
    }

    async fn ask(&self, token: &str, now: u64) -> IssuerAnswer {
        let question = async {
            let _one = self.questions.acquire().await.map_err(|error| error.to_string())?;
            self.issuer.ask(token).await
        };
        let unavailable = |reason| IssuerAnswer { outcome: Err(PolicyRefusal::Unavailable(reason)), until: now };
        let answer = match timeout(self.within, question).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(reason)) => {
                tracing::debug!(policy = self.policy.name, reason, "an issuer was asked about a token in vain");
                return unavailable("its issuer cannot be asked");
            }
            Err(_) => return unavailable("its issuer does not answer in time"),
        };
        match self.policy.read(&answer, now) {
            Introspected::Active { identity, until } => {
                let until = until.map_or(now + LONGEST, |until| until.min(now + LONGEST));
                IssuerAnswer { outcome: Ok(Arc::new(identity)), until }
            }
            Introspected::Refused(reason) => {
                IssuerAnswer { outcome: Err(PolicyRefusal::Refused { expired: false, reason }), until: now + REFUSED }
            }
            Introspected::Unreadable => unavailable("the answer of its issuer cannot be read"),
        }
    }
}

impl fmt::Debug for Introspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Introspector").field(&self.policy).finish_non_exhaustive()
    }
}
