//! What became of a call to another node that has no answer.

use super::answer::PeerFailure;
use crate::base::{BodyError, Cause, ErrorKind};
use h2::Reason;
use std::error::Error as StdError;
use std::sync::Arc;

/// What became of a call without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFate {
    /// The other node has not begun it: it may go to any other node.
    NotSent,
    /// The other node may have carried it out, or not.
    InDoubt,
    /// The other node says why there is no answer.
    Answered,
}

/// A call to another node that has no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct PeerError {
    /// What became of it.
    pub fate: CallFate,
    /// What happened.
    pub kind: ErrorKind,
    /// For the log.
    pub detail: String,
    /// Whether a call of the service's own has failed.
    pub dependency_failed: bool,
    /// The error below. `detail` already tells what it says.
    #[source]
    pub source: Option<Cause>,
}

impl PeerError {
    pub(super) fn new(fate: CallFate, kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { fate, kind, detail: detail.into(), dependency_failed: false, source: None }
    }

    /// A call that no connection took.
    pub(super) fn not_sent(detail: impl Into<String>) -> Self {
        Self::new(CallFate::NotSent, ErrorKind::Connect, detail)
    }

    /// A failure that the other node told.
    pub(super) fn told(failure: PeerFailure, dependency_failed: bool) -> Self {
        let fate = if failure.may_go_elsewhere() { CallFate::NotSent } else { CallFate::Answered };
        Self { dependency_failed, ..Self::new(fate, failure.kind, failure.detail) }
    }

    /// The failure of an exchange before the head of its answer.
    pub(super) fn of_exchange(error: hyper::Error) -> Self {
        let detail = explain(&error);
        let own = find::<BodyError>(&error).map(|own| own.kind);
        let failure = match own {
            // The request's own body failed: nothing that the other node did.
            Some(kind) => Self::new(CallFate::InDoubt, kind, detail),
            None if was_not_begun(&error) => Self::not_sent(detail),
            None => Self::new(CallFate::InDoubt, ErrorKind::Reset, detail),
        };
        Self { source: Some(Arc::new(error)), ..failure }
    }
}

/// Whether the other node cannot have begun the request. hyper calls one "cancelled" that its connection has never
/// taken. Of those that it took, the node has not begun those whose stream it refused, and those above the last stream
/// of its GOAWAY (RFC 9113, sections 6.8 and 8.7): h2 reports that GOAWAY at the streams above it alone, unless the
/// connection itself failed, which has another reason.
fn was_not_begun(error: &hyper::Error) -> bool {
    if error.is_canceled() {
        return true;
    }
    find::<h2::Error>(error).is_some_and(|error| {
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        let gone = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
        error.is_remote() && (refused || gone)
    })
}

/// The failure of an answer's body.
pub(super) fn of_body(error: &hyper::Error) -> BodyError {
    BodyError::new(ErrorKind::Reset, explain(error))
}

/// The whole chain of causes: hyper's own text names only the step that failed.
pub(super) fn explain(error: &(dyn StdError + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}
