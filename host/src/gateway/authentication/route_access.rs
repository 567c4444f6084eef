//! Whom a route lets in.

use super::super::problem::Problem;
use super::admitted::Admitted;
use super::challenge;
use super::policy::{AuthPolicy, ShowCertificate};
use super::policy_refusal::PolicyRefusal;
use crate::base::{RequestId, ServiceName};
use crate::identity::Demand;
use http::{HeaderMap, HeaderName};
use std::sync::Arc;
use std::time::SystemTime;

/// Whom a route lets in: whoever one of its policies proves, and who has all that it demands.
#[derive(Debug)]
pub struct RouteAccess {
    policies: Vec<Arc<AuthPolicy>>,
    demand: Demand,
    /// The headers of its policies, each once.
    headers: Vec<HeaderName>,
}

/// The request: for the log, and what its connection has shown.
#[derive(Clone, Copy)]
pub(in crate::gateway) struct RouteCaller<'a> {
    pub(in crate::gateway) id: &'a RequestId,
    pub(in crate::gateway) service: Option<&'a ServiceName>,
    pub(in crate::gateway) certificate: ShowCertificate<'a>,
}

impl RouteAccess {
    /// The access of a route with at least one policy.
    pub fn new(policies: Vec<Arc<AuthPolicy>>, demand: Demand) -> Self {
        let mut headers: Vec<HeaderName> = Vec::new();
        for policy in &policies {
            if let Some(header) = policy.header.as_ref().filter(|header| !headers.contains(header)) {
                headers.push(header.clone());
            }
        }
        Self { policies, demand, headers }
    }

    /// The names of its policies.
    pub fn policies(&self) -> impl Iterator<Item = &str> {
        self.policies.iter().map(|policy| policy.name.as_str())
    }

    /// What it demands of whom they prove.
    pub fn demand(&self) -> &Demand {
        &self.demand
    }

    /// Lets the sender of `headers` in, by the first policy that proves somebody who may.
    ///
    /// # Errors
    /// 401, 403 or 503. What is said is the most that any policy can say: what the caller lacks, rather than that an
    /// issuer is away, rather than that a credential is bad, rather than that there is none.
    pub(in crate::gateway) async fn admit(
        &self,
        headers: &HeaderMap,
        caller: RouteCaller<'_>,
    ) -> Result<Admitted<'_>, Problem> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (mut worst, mut forbidden) = ((PolicyRefusal::Absent, ""), None);
        for policy in &self.policies {
            match policy.identify(headers, caller.certificate, now).await {
                Ok(identity) => match self.demand.check(&identity) {
                    Ok(()) => {
                        let kept = policy.header.as_ref().filter(|_| policy.forward);
                        return Ok(Admitted { identity, headers: &self.headers, kept });
                    }
                    Err(lack) => {
                        let problem = || (policy.name.as_str(), challenge::forbidden(&identity, lack));
                        forbidden = forbidden.or_else(|| Some(problem()));
                    }
                },
                Err(refusal) => worst = worst.max((refusal, &policy.name)),
            }
        }
        if let Some((policy, problem)) = forbidden {
            tell(caller, policy, "it lacks a scope or a claim");
            return Err(problem);
        }
        let (refusal, policy) = worst;
        if let Some(reason) = refusal.reason() {
            tell(caller, policy, reason);
        }
        Err(challenge::refused(&self.policies, refusal))
    }
}

/// A line about a credential that lets nobody in. It never holds the credential. A flood of them is one line in 10 s,
/// with their number (see `[log]`).
fn tell(RouteCaller { id, service, .. }: RouteCaller<'_>, policy: &str, reason: &'static str) {
    let (request_id, service) = (id.as_str(), service.map(ServiceName::as_str));
    tracing::warn!(request_id, service, policy, reason, "a credential was refused");
}
