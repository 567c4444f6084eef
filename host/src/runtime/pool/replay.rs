//! Recording the calls of a pool, and replaying them there.

use super::instance_pool::InstancePool;
use crate::base::{Blame, Body, CallContext, ErrorKind};
use crate::contract::FunctionName;
use crate::recording::{MaskRules, Playback, PlaybackReport, RecordedCall, RecordedOutcome, Recording};
use crate::runtime::code::linked::Export;
use crate::runtime::error::InvokeError;
use crate::runtime::tape::call_tape::{CallTape, recorded_headers};
use crate::runtime::tape::recorded_body::{BodyMoment, RecordedBody};
use crate::runtime::tape::recording_head::{
    RecordedInstance, played_context, played_request, recorded_failure, recorded_request,
};
use crate::runtime::tape::taped_values::{played_arguments, recorded_arguments, recorded_result};
use crate::runtime::values::detached::DetachedValues;
use bytes::Bytes;
use http_body_util::BodyExt;
use std::sync::Arc;

impl InstancePool {
    /// Replays a recorded call on an instance of its own, which reaches nothing outside: what it asks for is answered
    /// from the recording. Whatever it prints goes nowhere, and nobody counts it.
    ///
    /// # Errors
    /// [`ErrorKind::NoEndpoint`] when the component has no such function, or one of other types;
    /// [`ErrorKind::Overloaded`] when no instance is free. A guest that fails is an outcome, and no error.
    pub async fn replay(&self, recording: &Arc<Recording>, rules: &MaskRules) -> Result<PlaybackReport, InvokeError> {
        let tape = CallTape::played(Playback::new(Arc::clone(recording), rules));
        let context = played_context(recording, self.limits.timeout);
        let outcome = tokio::select! {
            biased;
            // The guest waits for an answer that will never come.
            () = tape.stopped() => RecordedOutcome::Function(None),
            outcome = Box::pin(self.replayed(recording, &context, &tape)) => outcome?,
        };
        Ok(tape.report(outcome).expect("the tape plays"))
    }

    async fn replayed(
        &self,
        recording: &Recording,
        context: &CallContext,
        tape: &CallTape,
    ) -> Result<RecordedOutcome, InvokeError> {
        let misfit = |what: &str| InvokeError::new(ErrorKind::NoEndpoint, what.to_owned());
        let outcome = match &recording.call {
            RecordedCall::Http { .. } => {
                let request =
                    played_request(&recording.call).ok_or_else(|| misfit("the recorded request is not valid"))?;
                match self.invoke_on(request, context, tape.clone()).await {
                    Ok(answer) => answer_outcome(answer).await,
                    Err(error) => Err(error),
                }
            }
            RecordedCall::Function { name, arguments } => {
                self.revision.ready(&self.runtime, context.deadline).await?;
                let absent = || misfit("the component has no such function");
                let function = self.revision.contract().lookup(name).map(|(name, _)| name).map_err(|_| absent())?;
                let export = self.revision.export(&function).ok_or_else(absent)?;
                let arguments = played_arguments(&export.function, arguments);
                let arguments =
                    arguments.ok_or_else(|| misfit("the recorded arguments are not of the function's types"))?;
                let called = self.call_on(&function, DetachedValues::new(arguments), context, tape.clone()).await;
                called.and_then(|values| {
                    let result = recorded_result(&export.function, values.values());
                    result.map(RecordedOutcome::Function).ok_or_else(|| misfit("the result has no form in JSON"))
                })
            }
        };
        outcome.or_else(|error| recorded_failure(&error).ok_or(error))
    }

    /// The tape of a call that begins now; most have none.
    fn tape(&self, context: &CallContext, call: impl FnOnce() -> Option<RecordedCall>) -> CallTape {
        let Some(recorder) = &self.recorder else { return CallTape::default() };
        let Some(reason) = recorder.reason() else { return CallTape::default() };
        let Some(call) = call() else { return CallTape::default() };
        let instance = RecordedInstance {
            grants: Arc::clone(&self.revision.grants),
            revision: self.revision.digest().to_string(),
            deterministic: self.runtime.is_deterministic,
            memory: self.limits.memory,
        };
        CallTape::recorded((Arc::clone(recorder), reason), call, Box::new(instance.begin(context)))
    }

    /// [`InstancePool::invoke`] of a request that is recorded.
    pub(super) async fn invoke_recorded(
        &self,
        request: http::Request<Body>,
        context: &CallContext,
        tape: CallTape,
    ) -> Result<http::Response<Body>, InvokeError> {
        match self.invoke_on(taped_request(request, &tape), context, tape.clone()).await {
            Ok(answer) => Ok(taped_answer(answer, tape)),
            Err(error) => {
                end_by_failure(&tape, &error);
                Err(error)
            }
        }
    }

    /// [`InstancePool::call`] while the recorder is on.
    pub(super) async fn call_recorded(
        &self,
        function: &FunctionName,
        arguments: DetachedValues,
        context: &CallContext,
    ) -> Result<DetachedValues, InvokeError> {
        self.revision.ready(&self.runtime, context.deadline).await?;
        let export = self.export(function)?;
        let tape = self.tape_of_call((function, &export), &arguments, context);
        let outcome = self.call_on(function, arguments, context, tape.clone()).await;
        match &outcome {
            Ok(values) => match recorded_result(&export.function, values.values()) {
                Some(result) => tape.end(|| RecordedOutcome::Function(result)),
                None => tape.abandon(),
            },
            Err(error) => end_by_failure(&tape, error),
        }
        outcome
    }

    pub(super) fn tape_of_request(&self, request: &http::Request<Body>, context: &CallContext) -> CallTape {
        self.tape(context, || Some(recorded_request(request)))
    }

    fn tape_of_call(
        &self,
        (name, export): (&FunctionName, &Export),
        arguments: &DetachedValues,
        context: &CallContext,
    ) -> CallTape {
        self.tape(context, || {
            let arguments = recorded_arguments(&export.function, arguments.values())?;
            Some(RecordedCall::Function { name: name.to_string(), arguments })
        })
    }
}

/// A recorded call has failed.
fn end_by_failure(tape: &CallTape, error: &InvokeError) {
    if let Some(failure) = recorded_failure(error) {
        tape.end(|| failure);
    }
}

/// A request whose body is put on the tape while the guest reads it.
fn taped_request(request: http::Request<Body>, tape: &CallTape) -> http::Request<Body> {
    request.map(|body| {
        let tell = |tape: &CallTape, moment: BodyMoment<'_>| match moment {
            BodyMoment::Piece(piece) => tape.add(piece.len(), |_, call| add_to_body(call, piece)),
            // What the guest read of it says too little.
            BodyMoment::Broken => tape.abandon(),
            BodyMoment::End => {}
        };
        RecordedBody::new(body, tape.clone(), tell).boxed_unsync()
    })
}

fn add_to_body(call: &mut RecordedCall, piece: &Bytes) {
    if let RecordedCall::Http { body, .. } = call {
        body.push(crate::recording::Blob(piece.clone()));
    }
}

/// An answer whose body is put on the tape while it is read.
fn taped_answer(answer: http::Response<Body>, tape: CallTape) -> http::Response<Body> {
    tape.end(|| RecordedOutcome::Http {
        status: answer.status().as_u16(),
        headers: recorded_headers(answer.headers()),
        body: crate::recording::Blob::default(),
    });
    let tell = |tape: &CallTape, moment: BodyMoment<'_>| match moment {
        BodyMoment::Piece(piece) => tape.add_to_answer(piece),
        BodyMoment::End => tape.end_answer(),
        BodyMoment::Broken => tape.end(|| RecordedOutcome::Failed {
            kind: ErrorKind::Reset.to_string(),
            cause: BROKEN.into(),
            frames: Vec::new(),
            stack: None,
        }),
    };
    answer.map(|body| RecordedBody::new(body, tape, tell).boxed_unsync())
}

/// What a recording says of an answer that broke off in its body.
const BROKEN: &str = "the answer broke off in its body";

/// The whole answer of a replay.
async fn answer_outcome(answer: http::Response<Body>) -> Result<RecordedOutcome, InvokeError> {
    let (parts, body) = answer.into_parts();
    match body.collect().await {
        Ok(body) => Ok(RecordedOutcome::Http {
            status: parts.status.as_u16(),
            headers: recorded_headers(&parts.headers),
            body: crate::recording::Blob(body.to_bytes()),
        }),
        Err(error) if error.kind.blame() == Blame::Refusal => Err(InvokeError::new(error.kind, error.detail)),
        Err(_) => Err(InvokeError::new(ErrorKind::Reset, BROKEN)),
    }
}
