//! Floor 2: which answers may be kept, for whom, and how long (RFC 9111, as a shared cache).
//!
//! Owns the directives of `Cache-Control`, the lifetime and the age of an answer, what a request may be given from the
//! store, what `Vary` and the route's own key select, validation in both directions, ranges of a kept answer,
//! `Cache-Status` (RFC 9211); and the [`AnswerStore`]: kept answers within a bound of bytes, with an
//! admission policy. Content of large answers may be elsewhere, which the store counts by a bound of its own.
//!
//! What always holds:
//! - scheme and host are part of every key, and so is all that `Vary` names; an answer whose `Vary` names what the
//!   gateway sets by itself is not kept;
//! - an answer to a request with credentials is kept only where RFC 9111, section 3.5, allows it, or where the route's
//!   key tells the callers apart; an answer with `Set-Cookie` only if it says `public`;
//! - an answer that is kept by state is given for exactly as long as all stands that its call has read, by the
//!   revisions that have read it ([`StateBasis`]), and to none but callers of the same identity;
//! - what cannot be understood makes an answer older or less cacheable, never the other way round;
//! - a value of a request's field, which may be a secret, is kept as a digest alone.
//!
//! Never: reads a clock, waits, knows a route or a service. Tests: `tests/`, with properties against naive models.

mod answer_store;
mod byte_range;
mod cache_control;
mod cache_decision;
mod cache_key;
mod cache_policy;
mod cache_status;
mod cache_tags;
mod condition;
mod eviction_queue;
mod freshness;
mod kept_answer;
mod kept_content;
mod purge;
mod selection;
mod state_basis;
mod storability;
#[cfg(test)]
mod tests;
mod unkept;

pub use answer_store::{AnswerStore, StoreLookup, StoreUse};
pub use byte_range::{ByteRange, RangeChoice, asks_for_part};
pub use cache_control::CacheControl;
pub use cache_decision::{CacheDecision, decide, may_stand_in};
pub use cache_key::CacheKey;
pub use cache_policy::{CachePolicy, KeyPart};
pub use cache_status::{CacheStatus, ForwardReason};
pub use condition::{is_conditional, is_not_modified, set_validators};
pub use freshness::{AnswerMoment, Freshness};
pub use kept_answer::KeptAnswer;
pub use kept_content::{KeptContent, StoredContent};
pub use purge::Purge;
pub use selection::{KeyDigest, Selection};
pub use state_basis::StateBasis;
pub use storability::{keep, keep_by_state};
pub use unkept::Unkept;
