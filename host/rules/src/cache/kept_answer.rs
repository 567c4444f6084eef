//! An answer that is kept.

use super::cache_control::CacheControl;
use super::cache_policy::CachePolicy;
use super::cache_tags::CacheTags;
use super::freshness::{AnswerMoment, Freshness};
use super::kept_content::KeptContent;
use super::selection::Selection;
use super::state_basis::StateBasis;
use super::unkept::Unkept;
use http::header::{AGE, DATE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::fmt;

/// What an entry costs beside its bytes: the maps and queues in which it stands.
const OVERHEAD: usize = 512;
/// What one header field costs beside its bytes.
const FIELD: usize = 96;

/// Fields of a 304 that do not replace those of the kept answer: they tell of its content, which stays (RFC 9111,
/// section 3.2). `ETag` neither: a 304 to a request with one tag says that this very tag still holds, and servers that
/// compress send another one with it.
const OF_CONTENT: [HeaderName; 6] = [
    http::header::CONTENT_LENGTH,
    http::header::CONTENT_ENCODING,
    http::header::CONTENT_RANGE,
    HeaderName::from_static("content-md5"),
    ETAG,
    AGE,
];

/// An answer as its service gave it, without hop-by-hop fields. `Debug` shows neither its headers nor its content.
#[derive(Clone)]
pub struct KeptAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, with a `Date` and without `Age`.
    pub headers: HeaderMap,
    /// All of its content.
    pub content: KeptContent,
    /// What it says of its keeping.
    pub(super) control: CacheControl,
    /// Whether it says itself how long it lives, or that it is for all.
    pub(super) is_stated: bool,
    /// How long it lives.
    pub freshness: Freshness,
    /// Which requests get it.
    pub selection: Selection,
    /// The words by which it can be purged.
    pub tags: CacheTags,
    /// What it rests on, if it is kept without a time.
    pub basis: Option<StateBasis>,
}

impl KeptAnswer {
    /// The bytes that it holds in memory, about.
    pub fn weight(&self) -> usize {
        let fields: usize = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD).sum();
        let basis = self.basis.as_ref().map_or(0, StateBasis::weight);
        OVERHEAD + fields + self.content.weight() + self.tags.weight() + basis
    }

    /// Whether its service can be asked whether it still holds.
    pub fn has_validator(&self) -> bool {
        self.headers.contains_key(ETAG) || self.headers.contains_key(LAST_MODIFIED)
    }

    /// The answer after a 304 with the headers `update`, to a request that this answer's validators were in. The fields
    /// of the 304 replace those of the same name.
    ///
    /// # Errors
    /// Why it may not be kept any longer, beside the answer as it is now, which may still be given to the request.
    pub fn freshened(
        &self,
        update: &HeaderMap,
        request: &HeaderMap,
        policy: &CachePolicy,
        moment: AnswerMoment,
    ) -> (Self, Result<(), Unkept>) {
        let mut headers = self.headers.clone();
        for name in update.keys().filter(|name| !OF_CONTENT.contains(name)) {
            headers.remove(name);
            for value in update.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        // The age is that of the 304: its service has just said that the answer holds.
        if let Some(age) = update.get(AGE) {
            headers.insert(AGE, age.clone());
        }
        let control = CacheControl::of(&headers);
        let freshness = Freshness::of(self.status, &headers, &control, policy, moment);
        headers.remove(AGE);
        let selection = Selection::of(&headers, request);
        let outcome = match &selection {
            None => Err(Unkept::Varies),
            Some(_) if control.no_store => Err(Unkept::NoStore),
            Some(_) if control.private => Err(Unkept::Private),
            Some(_) => Ok(()),
        };
        let tags = CacheTags::of(&headers).unwrap_or_default();
        let selection = selection.unwrap_or_else(|| self.selection.clone());
        let (status, content) = (self.status, self.content.clone());
        let is_stated = self.is_stated;
        let basis = None;
        (Self { status, headers, content, control, is_stated, freshness, selection, tags, basis }, outcome)
    }
}

/// Gives an answer without `Date` the one of its coming (RFC 9110, section 6.6.1), and takes `Age` away, which is
/// counted from now on.
pub(super) fn dated(mut headers: HeaderMap, moment: AnswerMoment) -> HeaderMap {
    headers.remove(AGE);
    if !headers.contains_key(DATE) {
        let date = HeaderValue::try_from(httpdate::fmt_http_date(moment.received_at));
        headers.insert(DATE, date.expect("a date is visible ASCII"));
    }
    headers
}

impl fmt::Debug for KeptAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeptAnswer({}, {} bytes)", self.status.as_u16(), self.content.len())
    }
}
