//! How a call begins on a tape and how it ends there, in the words of a recording; and the way back, for a replay.

use super::call_tape::recorded_headers;
use crate::base::{
    Blame, Body, BodyError, CallContext, HandledEvent, Identity, IdentityFields, ProofKind, RequestId, SecureOrigin,
    ServiceName,
};
use crate::recording::{Blob, RecordedCall, RecordedCaller, RecordedEvent, RecordedInputs, RecordedOutcome, Recording};
use crate::runtime::error::InvokeError;
use crate::runtime::grants::Grants;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What a recording says of the instance that serves its call.
pub(crate) struct RecordedInstance {
    pub(crate) grants: Arc<Grants>,
    pub(crate) revision: String,
    pub(crate) deterministic: bool,
    /// The bytes of memory that it may have.
    pub(crate) memory: usize,
}

impl RecordedInstance {
    /// The recording of a call that begins now, without what comes of it.
    pub(crate) fn begin(self, context: &CallContext) -> impl FnOnce(RecordedCall) -> Recording + Send + use<> {
        let Self { grants, revision, deterministic, memory } = self;
        let (request, depth) = (context.request_id.to_string(), context.depth);
        let (identity, event) = (context.identity.clone(), context.event.clone());
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        move |call| {
            let values = |is_wanted: &dyn Fn(&str) -> bool| -> BTreeMap<String, Blob> {
                let wanted = grants.config_values().variables().filter(|(name, _)| is_wanted(name));
                wanted.map(|(name, value)| (name.to_owned(), value.to_owned().into())).collect()
            };
            let env = grants.env().variables();
            Recording {
                number: 0,
                request,
                service: grants.service.to_string(),
                revision,
                began: u64::try_from(began.as_millis()).unwrap_or(u64::MAX),
                deterministic,
                memory: memory as u64,
                depth,
                call,
                caller: identity.as_deref().map(caller),
                event: event.as_deref().map(handled),
                config: values(&|name| !grants.is_secret(name)),
                env: env.map(|(name, value)| (name.to_owned(), value.to_owned().into())).collect(),
                secrets: values(&|name| grants.is_secret(name)),
                inputs: RecordedInputs::default(),
                exchanges: Vec::new(),
                outcome: RecordedOutcome::Function(None),
                masked: 0,
            }
        }
    }
}

fn caller(Identity { subject, policy, proof, scopes, claims, .. }: &Identity) -> RecordedCaller {
    RecordedCaller {
        subject: subject.clone(),
        policy: policy.clone(),
        proof: proof.as_str().to_owned(),
        scopes: scopes.iter().cloned().collect(),
        claims: claims.clone().into(),
    }
}

fn handled(event: &HandledEvent) -> RecordedEvent {
    let HandledEvent { topic, number, key, time, attempt, .. } = event;
    let (topic, key) = (topic.clone(), key.clone());
    RecordedEvent { topic, number: *number, key, time: *time, attempt: *attempt }
}

/// A request without its body, which is recorded while it streams.
pub(crate) fn recorded_request(request: &http::Request<Body>) -> RecordedCall {
    RecordedCall::Http {
        method: request.method().to_string(),
        target: request.uri().to_string().into(),
        headers: recorded_headers(request.headers()),
        body: Vec::new(),
        secure: request.extensions().get::<SecureOrigin>().is_some(),
    }
}

/// The failure of a call. `None`: the call was refused, so the guest has done nothing.
pub(crate) fn recorded_failure(error: &InvokeError) -> Option<RecordedOutcome> {
    if matches!(error.kind.blame(), Blame::Refusal | Blame::Client) {
        return None;
    }
    let place = error.place.as_deref();
    Some(RecordedOutcome::Failed {
        kind: error.kind.to_string(),
        cause: place.map_or_else(|| error.detail.clone(), |place| place.cause.clone()),
        frames: place.map(|place| place.functions.clone()).unwrap_or_default(),
        stack: place.map(|place| format!("{:016x}", place.stack)),
    })
}

/// The context of a replay, which may take as long as `timeout`.
pub(crate) fn played_context(recording: &Recording, timeout: Duration) -> CallContext {
    let id = RequestId::accept(&recording.request).unwrap_or_else(|| RequestId::from_random(0));
    let mut context = CallContext::new(id, Instant::now(), timeout);
    context.depth = recording.depth;
    context.identity = recording.caller.as_ref().map(|caller| Arc::new(identity(caller)));
    context.event = recording.event.as_ref().map(|event| {
        let RecordedEvent { topic, number, key, time, attempt } = event.clone();
        let notes = ServiceName::of_host_part("subscription", "replay");
        Arc::new(HandledEvent::new(topic, number, key, time, attempt, notes))
    });
    context
}

fn identity(caller: &RecordedCaller) -> Identity {
    Identity {
        subject: caller.subject.clone(),
        policy: caller.policy.clone(),
        proof: ProofKind::named(&caller.proof).unwrap_or(ProofKind::ApiKey),
        scopes: caller.scopes.iter().cloned().collect::<BTreeSet<_>>(),
        claims: caller.claims.text().unwrap_or("{}").to_owned(),
        told: IdentityFields::default(),
    }
}

/// The request of a recording; `None`: it has none, or none that is valid.
pub(crate) fn played_request(call: &RecordedCall) -> Option<http::Request<Body>> {
    let RecordedCall::Http { method, target, headers, body, secure } = call else { return None };
    let mut request = http::Request::builder().method(method.as_str()).uri(target.text()?);
    for (name, value) in headers {
        request = request.header(name, value.bytes());
    }
    let pieces: Vec<Result<_, BodyError>> = body.iter().map(|piece| Ok(Frame::data(piece.0.clone()))).collect();
    let body = match pieces.is_empty() {
        true => crate::base::empty_body(),
        false => StreamBody::new(futures_util::stream::iter(pieces)).boxed_unsync(),
    };
    let mut request = request.body(body).ok()?;
    if *secure {
        request.extensions_mut().insert(SecureOrigin);
    }
    Some(request)
}
