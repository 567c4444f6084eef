//! What happened when an exchange with a server failed: hyper has one error for many causes.

use super::connector::DialError;
use super::stream::{NotHttpError, StreamNotes};
use crate::base::{BodyError, ErrorKind};
use crate::mesh::error::TryError;
use hyper::Error;
use std::error::Error as StdError;
use std::io;

/// Why there is no connection.
pub(super) fn of_dial(error: DialError) -> TryError {
    let kind = match error {
        DialError::Forbidden { .. } => ErrorKind::Denied,
        _ => ErrorKind::Connect,
    };
    TryError::new(kind, explain(&error)).caused_by(error)
}

/// The failure of an exchange before the head of its answer. `notes` are those of its connection. `has_body`: its
/// request has a body.
pub(super) fn of_try(error: Error, notes: &StreamNotes, has_body: bool) -> TryError {
    let kind = kind(&error, notes);
    TryError { cut_off: kind == ErrorKind::Reset && has_body, ..TryError::new(kind, explain(&error)).caused_by(error) }
}

/// The failure of an answer's body.
pub(super) fn of_body(error: &Error) -> BodyError {
    let kind = if any(error, is_bad_framing) { ErrorKind::BadAnswer } else { ErrorKind::Reset };
    BodyError::new(kind, explain(error))
}

fn kind(error: &Error, notes: &StreamNotes) -> ErrorKind {
    // The request's own body failed: nothing that the server did.
    if let Some(own) = find::<BodyError>(error) {
        return own.kind;
    }
    let hyper = |is: fn(&Error) -> bool| any(error, is);
    if hyper(Error::is_body_write_aborted) {
        // The body is shorter than its `Content-Length`.
        ErrorKind::ClientGone
    } else if notes.is_not_http() || any(error, is_not_http) {
        ErrorKind::BadAnswer
    } else if hyper(Error::is_canceled) {
        // hyper calls a request "cancelled" whose connection closed before a byte of the request was written.
        ErrorKind::Connect
    } else if hyper(Error::is_parse) {
        ErrorKind::BadAnswer
    } else {
        ErrorKind::Reset
    }
}

pub(super) fn is_not_http(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<NotHttpError>())
}

/// Whether the chunks of a body cannot be read. An error of TLS has the same kind; that is a broken connection.
fn is_bad_framing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
        && !error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

/// The whole chain of causes: hyper's own text names only the step that failed, and the end of the chain says why.
pub(super) fn explain(error: &(dyn StdError + 'static)) -> String {
    let texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    texts.join(": ")
}

pub(super) fn any<E: StdError + 'static>(error: &(dyn StdError + 'static), is: impl Fn(&E) -> bool) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref()).any(is)
}

pub(super) fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}
