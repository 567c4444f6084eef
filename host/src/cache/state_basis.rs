//! What an answer rests on that is kept without a time (`cache = "state"`).

use super::cache_control::CacheControl;
use super::cache_tags::CacheTags;
use super::freshness::{AnswerMoment, Freshness};
use super::kept_answer::KeptAnswer;
use super::selection::Selection;
use super::unkept::Unkept;
use crate::base::ReadStanding;
use bytes::Bytes;
use http::header::{DATE, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

/// What an answer rests on: all that its call has read of the stores, and the revisions that have read it.
#[derive(Debug, Clone)]
pub struct StateBasis {
    /// What was read, through all services.
    pub reads: Arc<ReadStanding>,
    /// The number of the discovery table, from before the call on. Another table may have another revision of a service
    /// that has read.
    pub table: u64,
}

impl StateBasis {
    /// Whether a call that began now would read the same, and by the same revisions. `table`: the number that the
    /// discovery table has now.
    pub fn stands(&self, table: u64) -> bool {
        self.table == table && self.reads.stands()
    }

    /// The bytes that it holds, about.
    pub(super) fn weight(&self) -> usize {
        self.reads.weight()
    }
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
        body: Bytes::new(),
        control: CacheControl::default(),
        is_stated: true,
        freshness: Freshness::without_end(moment),
        selection,
        tags,
        basis: Some(basis),
    })
}
