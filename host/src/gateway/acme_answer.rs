//! The answer that proves to an ACME authority, by HTTP, that a name leads here (RFC 8555, section 8.3).

use crate::base::{Body, full_body};
use crate::listen::AcmeChallenges;
use crate::route::Path;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Method, Response};

/// Where an authority asks for the proof of a token.
const FOLDER: &str = "/.well-known/acme-challenge/";

/// The proof that `head` asks for; `None` if it asks for none, or for none of this host: a service may obtain
/// certificates of its own.
///
/// It comes before the redirect to `https`, since there may be no certificate yet, and before the routes.
pub(super) fn find(challenges: &AcmeChallenges, head: &Parts, path: Path<'_>) -> Option<Response<Body>> {
    let token = path.as_str().strip_prefix(FOLDER)?;
    if head.method != Method::GET {
        return None;
    }
    let mut answer = Response::new(full_body(challenges.answer(token)?));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Some(answer)
}
