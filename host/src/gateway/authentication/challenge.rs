//! The answers to callers that are not let in.

use super::super::problem::Problem;
use super::policy::AuthPolicy;
use super::policy_refusal::PolicyRefusal;
use crate::base::{Identity, ProofKind};
use crate::identity::Lack;
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

/// The kinds of these answers.
pub(super) const UNAUTHENTICATED: &str = "unauthenticated";
pub(super) const FORBIDDEN: &str = "forbidden";
pub(super) const UNAVAILABLE: &str = "auth-unavailable";

/// When a client may come back if an issuer is away, in seconds.
const RETRY: u64 = 5;

/// The answer if none of `policies` proves who calls.
pub(super) fn refused(policies: &[impl AsRef<AuthPolicy>], refusal: PolicyRefusal) -> Problem {
    let detail = match refusal {
        PolicyRefusal::Unavailable(_) => {
            let detail = "the credential cannot be checked at this time: its issuer does not answer";
            let title = "Authentication is not available";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, title, detail);
            return problem.with_header(RETRY_AFTER, HeaderValue::from(RETRY));
        }
        PolicyRefusal::Absent => "this path demands a credential: `WWW-Authenticate` says which",
        PolicyRefusal::Refused { expired: true, .. } => "the credential has expired",
        PolicyRefusal::Refused { .. } | PolicyRefusal::Foreign => "the credential is not accepted",
    };
    let error = match refusal {
        PolicyRefusal::Absent => "",
        _ => r#", error="invalid_token""#,
    };
    let title = "The caller is not known";
    let problem = Problem::new(StatusCode::UNAUTHORIZED, UNAUTHENTICATED, title, detail);
    challenges(policies, error).into_iter().fold(problem, |problem, challenge| {
        let value = HeaderValue::from_str(&challenge).expect("names of headers are visible ASCII");
        problem.with_header(WWW_AUTHENTICATE, value)
    })
}

/// One challenge for each way to prove oneself (RFC 9110, section 11.6.1). Those of tokens are by RFC 6750, section 3;
/// API keys have no registered scheme. The names of policies are nobody's business outside.
fn challenges(policies: &[impl AsRef<AuthPolicy>], error: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for policy in policies {
        let AuthPolicy { header, proof, .. } = policy.as_ref();
        let Some(header) = header else {
            // There is no scheme for it: the connection itself has to show one.
            all.push(r#"Certificate realm="api""#.to_owned());
            continue;
        };
        let challenge = match (proof.is_key(), *header == AUTHORIZATION) {
            (_, true) => format!(r#"Bearer realm="api"{error}"#),
            (true, false) => format!(r#"ApiKey realm="api", header="{header}""#),
            (false, false) => format!(r#"Bearer realm="api", header="{header}"{error}"#),
        };
        if !all.contains(&challenge) {
            all.push(challenge);
        }
    }
    all
}

/// The answer to a caller who lacks what the route demands.
pub(super) fn forbidden(identity: &Identity, lack: Lack) -> Problem {
    let title = "The caller may not do this";
    let new = |detail| Problem::new(StatusCode::FORBIDDEN, FORBIDDEN, title, detail);
    match lack {
        Lack::Scopes(missing) => {
            let noun = if missing.len() == 1 { "scope" } else { "scopes" };
            let problem = new(format!("the credential lacks the {noun} `{}`", missing.join("`, `")));
            let json = serde_json::to_vec(&missing).expect("texts are always JSON");
            let problem = problem.with_member("missing_scopes", &json);
            if !matches!(identity.proof, ProofKind::Token | ProofKind::Introspection) {
                return problem;
            }
            // RFC 6750, section 3.1. A scope of the manifest has no quote and no backslash.
            let challenge = format!(r#"Bearer realm="api", error="insufficient_scope", scope="{}""#, missing.join(" "));
            match HeaderValue::from_str(&challenge) {
                Ok(challenge) => problem.with_header(WWW_AUTHENTICATE, challenge),
                Err(_) => problem,
            }
        }
        Lack::Claim(name) => new(format!("the credential lacks the claim `{name}`, or has another value of it")),
    }
}
