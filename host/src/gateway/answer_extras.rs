//! What a route and its limits add to an answer, whoever gives it.

use super::compression::AnswerCoding;
use super::cors::CorsGrant;
use super::header_edits::AnswerEdits;
use super::settings::Target;
use crate::base::Body;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response};

/// What is added to the answer of a request, whether it is the service's or a problem.
#[derive(Default)]
pub(super) struct AnswerExtras<'s> {
    /// What is left of the rate limits of the route.
    pub(super) rates: Option<[(HeaderName, HeaderValue); 2]>,
    /// What the answer says to a page of another origin.
    cors: Option<CorsGrant<'s>>,
    /// What the route changes in its header section.
    edits: Option<&'s AnswerEdits>,
    /// How it is compressed. This comes last: nothing else changes a content that is compressed.
    coding: Option<AnswerCoding>,
}

impl<'s> AnswerExtras<'s> {
    /// What the route adds, whatever becomes of the request with this head.
    pub(super) fn begin(&mut self, target: &'s Target, head: &Parts) {
        self.cors = target.cors.as_ref().map(|policy| policy.grant(&head.headers));
        self.edits = target.transforms.answer_headers.as_deref();
        self.coding = target.transforms.compression.as_ref().map(|compression| compression.negotiate(head));
    }

    /// The answer with all of it.
    pub(super) fn write(self, mut answer: Response<Body>) -> Response<Body> {
        if let Some(edits) = self.edits {
            edits.apply(answer.headers_mut());
        }
        answer.headers_mut().extend(self.rates.into_iter().flatten());
        if let Some(grant) = self.cors {
            grant.write(answer.headers_mut());
        }
        match self.coding {
            Some(coding) => coding.apply(answer),
            None => answer,
        }
    }
}
