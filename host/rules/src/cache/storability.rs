//! Whether an answer may be kept (RFC 9111, section 3).

use super::cache_control::CacheControl;
use super::cache_policy::CachePolicy;
use super::cache_tags::CacheTags;
use super::freshness::{AnswerMoment, Freshness, is_heuristic, stated_lifetime};
use super::kept_answer::{KeptAnswer, dated};
use super::kept_content::KeptContent;
use super::selection::Selection;
use super::state_basis::StateBasis;
use super::unkept::Unkept;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, DATE, SET_COOKIE};
use http::{HeaderMap, StatusCode};

/// The answer to a GET with the headers `request`, as it is kept; its content is added when it is whole.
/// `authenticated`: the gateway has found out who calls, in whichever way.
///
/// # Errors
/// Why it may not be kept.
pub fn keep(
    status: StatusCode,
    answer: &HeaderMap,
    (request, authenticated): (&HeaderMap, bool),
    policy: &CachePolicy,
    moment: AnswerMoment,
) -> Result<KeptAnswer, Unkept> {
    let (control, asked) = (CacheControl::of(answer), CacheControl::of(request));
    let understood = !control.must_understand || status.canonical_reason().is_some();
    // Whoever understands the status may ignore `no-store` beside `must-understand` (section 5.2.2.3).
    let no_store = control.no_store && !control.must_understand;
    if no_store || asked.no_store {
        return Err(Unkept::NoStore);
    }
    let is_final = status.as_u16() >= 200 && !matches!(status.as_u16(), 206 | 304 | 416);
    if !is_final || !understood {
        return Err(Unkept::Status);
    }
    if control.private {
        return Err(Unkept::Private);
    }
    let shared = control.public || control.must_revalidate || control.s_maxage.is_some();
    let credentials = authenticated || request.contains_key(AUTHORIZATION);
    if credentials && !shared && !(authenticated && policy.keeps_by_subject()) {
        return Err(Unkept::Credentials);
    }
    if answer.contains_key(SET_COOKIE) && !control.public {
        return Err(Unkept::SetCookie);
    }
    let media = answer.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    if media.get(..17).is_some_and(|media| media.eq_ignore_ascii_case(b"text/event-stream")) {
        return Err(Unkept::Stream);
    }
    let freshness = Freshness::of(status, answer, &control, policy, moment);
    let is_stated = control.public || stated_lifetime(answer, &control, moment.received_at).is_some();
    if request.contains_key(COOKIE) && !is_stated && !policy.keeps_by_cookie() {
        return Err(Unkept::Cookie);
    }
    let selection = Selection::of(answer, request).ok_or(Unkept::Varies)?;
    let tags = CacheTags::of(answer).ok_or(Unkept::Tags)?;
    let headers = dated(answer.clone(), moment);
    let allowed = freshness.is_explicit() || control.public || is_heuristic(status);
    let content = KeptContent::Memory(Bytes::new());
    let kept = KeptAnswer { status, headers, content, control, is_stated, freshness, selection, tags, basis: None };
    if !allowed || !(kept.freshness.is_of_use() || kept.has_validator()) {
        return Err(Unkept::Lifetime);
    }
    Ok(kept)
}

/// The answer of a function, as it is kept for as long as `basis` stands; its content is added when it is whole.
///
/// It gets no `Date`, which tells of whole seconds only: a client that asks for a newer one (`If-Modified-Since`) would
/// be told within the second of a change that there is none.
///
/// # Errors
/// Why it may not be kept.
pub fn keep_by_state(
    status: StatusCode,
    answer: &HeaderMap,
    moment: AnswerMoment,
    basis: StateBasis,
) -> Result<KeptAnswer, Unkept> {
    if !status.is_success() || status == StatusCode::PARTIAL_CONTENT {
        return Err(Unkept::Status);
    }
    if answer.contains_key(SET_COOKIE) {
        return Err(Unkept::SetCookie);
    }
    let selection = Selection::of(answer, &HeaderMap::new()).ok_or(Unkept::Varies)?;
    let tags = CacheTags::of(answer).ok_or(Unkept::Tags)?;
    let mut headers = answer.clone();
    headers.remove(DATE);
    Ok(KeptAnswer {
        status,
        headers,
        content: KeptContent::Memory(Bytes::new()),
        control: CacheControl::default(),
        is_stated: true,
        freshness: Freshness::without_end(moment),
        selection,
        tags,
        basis: Some(basis),
    })
}
