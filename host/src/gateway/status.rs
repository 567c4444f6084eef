//! The one table from the kind of a failed call to the status and the text that the client gets.

use super::call::CallFailure;
use super::problem::Problem;
use crate::base::{ErrorKind, ServiceName};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use std::time::Duration;

/// How the client learns of one kind of failure.
struct StatusEntry {
    status: StatusCode,
    title: &'static str,
    /// The rest of a sentence about the service.
    predicate: &'static str,
}

fn entry(kind: ErrorKind) -> StatusEntry {
    use ErrorKind as K;
    use StatusCode as S;
    let (status, title, predicate) = match kind {
        K::Trap => (S::BAD_GATEWAY, "The service crashed", "crashed while it worked on this request"),
        K::Memory => (S::BAD_GATEWAY, "The service ran out of memory", "needed more memory than it is allowed"),
        K::Instantiation => (S::BAD_GATEWAY, "The service did not start", "could not be started for this request"),
        K::BadAnswer => (S::BAD_GATEWAY, "The service gave no valid answer", "ended without a valid answer"),
        K::Connect => (S::BAD_GATEWAY, "The service cannot be reached", "did not accept a connection"),
        K::Reset => (S::BAD_GATEWAY, "The service broke off", "closed the connection before it answered"),
        K::Timeout => (S::GATEWAY_TIMEOUT, "The service took too long", "did not answer within its time limit"),
        K::CircuitOpen => {
            (S::SERVICE_UNAVAILABLE, "The service is unavailable", "has failed too often and is not called for a while")
        }
        K::OutOfService => {
            (S::SERVICE_UNAVAILABLE, "The service is out of service", "was taken out of service by an operator")
        }
        K::Starting => (S::SERVICE_UNAVAILABLE, "The service is starting", "is not ready yet on this host"),
        K::Overloaded => (S::SERVICE_UNAVAILABLE, "The service is overloaded", "has no capacity left for this request"),
        K::Draining => (S::SERVICE_UNAVAILABLE, "The host is going down", "takes no more requests on this host"),
        K::NoEndpoint => (S::SERVICE_UNAVAILABLE, "The service is unavailable", "has no endpoint at this time"),
        K::Denied => (S::SERVICE_UNAVAILABLE, "The address is closed", "is at an address that may not be called"),
        K::TooDeep => {
            (S::LOOP_DETECTED, "The calls go too deep", "is part of a chain of calls that is too long, or a circle")
        }
        K::BodyTooLarge => {
            (S::PAYLOAD_TOO_LARGE, "The body is too large", "does not accept a request body of this size")
        }
        K::SlowBody => (S::REQUEST_TIMEOUT, "The body is too slow", "did not get the body of this request in time"),
        K::Forbidden => (S::FORBIDDEN, "The caller may not do this", "demands more than the caller may do"),
        K::ClientGone => (S::BAD_REQUEST, "The request is incomplete", "did not get the whole body of this request"),
        K::Host => (S::INTERNAL_SERVER_ERROR, "The host failed", "could not be called because the host itself failed"),
    };
    StatusEntry { status, title, predicate }
}

/// The problem for a failure of this kind.
pub(super) fn problem(kind: ErrorKind, service: &ServiceName) -> Problem {
    let StatusEntry { status, title, predicate } = entry(kind);
    Problem::new(status, kind.as_str(), title, format!("service `{service}` {predicate}")).about(service)
}

/// The problem for a failed call of `service`.
pub(super) fn failed(failure: &CallFailure, service: &ServiceName) -> Problem {
    if let Some(scope) = &failure.lacks {
        return lacking(scope, service);
    }
    let problem = problem(failure.kind, service);
    match failure.retry_after {
        Some(wait) if problem.status == StatusCode::SERVICE_UNAVAILABLE => {
            problem.with_header(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)))
        }
        _ => problem,
    }
}

/// The problem for a call of `service` whose caller lacks `scope`. The scope is in the manifest and no secret; whoever
/// is refused has to ask for it (RFC 6750, section 3.1).
fn lacking(scope: &str, service: &ServiceName) -> Problem {
    let StatusEntry { status, title, .. } = entry(ErrorKind::Forbidden);
    let detail = format!("service `{service}` demands the scope `{scope}`");
    let json = serde_json::to_vec(scope).expect("a text is always JSON");
    Problem::new(status, ErrorKind::Forbidden.as_str(), title, detail).about(service).with_member("scope", &json)
}

/// A wait in whole seconds, at least one. It is rounded up, because a client that comes back too early is refused
/// again.
fn whole_seconds(wait: Duration) -> u64 {
    let up = u64::from(wait.subsec_nanos() > 0);
    wait.as_secs().saturating_add(up).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::count_scopes::CALLED;
    use super::*;
    use crate::base::Blame;

    const ALL: [ErrorKind; 20] = [
        ErrorKind::Trap,
        ErrorKind::Memory,
        ErrorKind::Instantiation,
        ErrorKind::BadAnswer,
        ErrorKind::Connect,
        ErrorKind::Reset,
        ErrorKind::Timeout,
        ErrorKind::CircuitOpen,
        ErrorKind::OutOfService,
        ErrorKind::Starting,
        ErrorKind::Overloaded,
        ErrorKind::Draining,
        ErrorKind::NoEndpoint,
        ErrorKind::Denied,
        ErrorKind::TooDeep,
        ErrorKind::BodyTooLarge,
        ErrorKind::SlowBody,
        ErrorKind::Forbidden,
        ErrorKind::ClientGone,
        ErrorKind::Host,
    ];

    #[test]
    fn the_status_class_agrees_with_the_blame() {
        for kind in ALL {
            let status = entry(kind).status.as_u16();
            let fits = match kind.blame() {
                Blame::Client => (400..500).contains(&status),
                Blame::Service => matches!(status, 502 | 504),
                Blame::Refusal => matches!(status, 503 | 508),
                Blame::Host => status == 500,
            };
            assert!(fits, "{kind}: {status}");
        }
    }

    #[test]
    fn each_kind_has_its_series_on_every_route_from_the_start() {
        for kind in ALL.into_iter().filter(|kind| *kind != ErrorKind::ClientGone) {
            let counted = (entry(kind).status.as_u16(), kind.as_str());
            assert!(CALLED.contains(&counted), "{counted:?}");
        }
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        let cases = [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (4500, 5)];
        for (millis, seconds) in cases {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }
}
