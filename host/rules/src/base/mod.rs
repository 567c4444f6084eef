//! Floor 0: the vocabulary that several rooms use.
//!
//! Owns names and ids, times as text, the context that travels with a call, who calls and by which fields a service
//! learns that, who pays for the work of guests, what guests are handed and who watches that, the event that a call
//! handles, the trace of a request (its ids, the fields that carry them, its tree of spans, each a plain record), the
//! body type that every room passes along, the host that a message names, where a gateway is reached, the header fields
//! that end at this host, what may stand in a line of the log and what is masked there, and the kinds of error with
//! their blame. What always holds: a value of these types is valid (each [`ServiceName`] is a legal name). Never: I/O,
//! tokio, policy. Tests stand beside each noun.

mod authority;
mod body;
mod call_inputs;
mod call_report;
mod caller_header;
mod claimed_spans;
mod commit_guard;
mod context;
mod counted;
mod deadline;
mod error;
mod gateway_place;
mod handled_event;
mod header;
mod hex;
mod identity;
mod identity_fields;
mod log_text;
mod masked_text;
mod memory_note;
mod name;
mod read_standing;
mod request_id;
mod saga_call;
mod span;
mod span_attribute;
mod span_extras;
mod trace_context;
mod trace_tree;
mod utc_time;
mod work;

pub use authority::HostAndPort;
pub use body::{
    Body, BodyError, ConnectionNotice, InterimNotice, SecureOrigin, SingleTry, StreamedContent, UnreadContent,
    UpgradeOffer, empty_body, full_body,
};
pub use call_inputs::{Input, InputWatch, NamedTexts, StatePage, StateValue};
pub use call_report::{CallReport, CallReporter};
pub use caller_header::{is_login, remove_claimed_identity};
pub use commit_guard::CommitGuard;
pub use context::{CallContext, StickyFields};
pub use counted::counted;
pub use deadline::DeadlineOwner;
pub use error::{Blame, Cause, ErrorKind};
pub use gateway_place::GatewayPlace;
pub use handled_event::HandledEvent;
pub use header::{header_tokens, is_hop_by_hop, last_word, remove_hop_by_hop};
pub use hex::hex;
pub use identity::{Identity, ProofKind};
pub use identity_fields::IdentityFields;
pub use log_text::log_safe;
pub use masked_text::mask_secrets;
pub use memory_note::MemoryNote;
pub use name::{Digest, InvalidName, ServiceName};
pub use read_standing::ReadStanding;
pub use request_id::RequestId;
pub use saga_call::SagaCall;
pub use span::{SpanKind, SpanOwner, TraceSpan};
pub use span_attribute::{SpanAttribute, SpanText, SpanValue};
pub use span_extras::{SpanEvent, SpanExtras, SpanLink};
pub use trace_context::{SpanId, TraceId, TraceParent, TraceState, bound_baggage, known_method};
pub use trace_tree::{EndedTree, OpenSpan, TraceMark, TraceScope, TraceStart, TraceTree};
pub use utc_time::{civil_date, utc};
pub use work::{TakenWork, WorkPayer};
