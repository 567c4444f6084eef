//! One call of a step.

use crate::base::{CallContext, CommitGuard, ErrorKind, RequestId, SagaCall, ServiceName};
use crate::contract::json::{self, ReadError};
use crate::contract::{Names, UNAVAILABLE, Value as _};
use crate::mesh::{CallError, Mesh, PinnedFunction, Value};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a call may take at most. `limits` of the service bound it before: the default is 15 s.
const LONGEST: Duration = Duration::from_secs(3600);

/// A call of a step that is to be made.
#[derive(Debug, Clone)]
pub struct PlannedCall {
    /// The service.
    pub service: ServiceName,
    /// The position of the function (`Service::routed`).
    pub at: usize,
    /// The arguments, by the names of the parameters, each as JSON with the names of the contract.
    pub arguments: Vec<(String, String)>,
    /// How long it may take; `None`: as long as the service allows.
    pub timeout: Option<Duration>,
    /// What refuses its commits once the saga has turned; `None` for a compensation.
    pub guard: Option<Arc<CommitGuard>>,
    /// The key of the saga.
    pub key: String,
    /// The step.
    pub step: Arc<str>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallEnd {
    /// The function returned this, as JSON with the names of the contract; `null` if it returns nothing.
    Done(String),
    /// The function returned an error of its own: it has done nothing, and would refuse again.
    Refused(String),
    /// The call failed, and may have had an effect.
    Failed(String),
    /// The service could not be reached, or says that it cannot answer now. That is no try.
    NotNow(String),
}

/// Calls the functions of steps. [`MeshPerformer`] calls services; the tests of this room have their own.
pub trait Perform: Send + Sync + 'static {
    /// Makes the call.
    fn perform(&self, call: &PlannedCall) -> impl Future<Output = CallEnd> + Send;
}

/// Calls them through the mesh.
pub struct MeshPerformer(pub Arc<Mesh>);

impl Perform for MeshPerformer {
    async fn perform(&self, call: &PlannedCall) -> CallEnd {
        let id = RequestId::from_random(rand::random());
        let mut context = CallContext::new(id, Instant::now(), call.timeout.unwrap_or(LONGEST));
        context.guard = call.guard.clone();
        let (saga, step, undo) = (call.key.clone(), Arc::clone(&call.step), call.guard.is_none());
        context.saga = Some(Arc::new(SagaCall { saga, step, undo }));
        tracing::debug!(
            target: "saga", saga = %call.key, step = %call.step, service = %call.service,
            request_id = %context.request_id, "a step is called"
        );
        // A swap may change the function's type: the arguments are read by that of the revision which is called.
        let pinned = match self.0.pin(&call.service, call.at, &context) {
            Ok(pinned) => pinned,
            Err(error) => return end_of(&error),
        };
        let mut arguments = Vec::new();
        for param in &pinned.binding.function.params {
            let found = call.arguments.iter().find(|(name, _)| *name == param.name);
            let text = found.map_or("null", |(_, json)| json.as_str());
            match json::read::<Value>(&param.ty, Names::Kebab, text.as_bytes()) {
                Ok(value) => arguments.push(value),
                Err(error) => return CallEnd::Failed(misread(&param.name, &error)),
            }
        }
        match self.0.invoke_pinned(&pinned, arguments, &context).await {
            Ok(result) => end_with(&pinned, result.as_ref()),
            Err(error) => end_of(&error),
        }
    }
}

/// The end of a call whose function returned.
fn end_with(function: &PinnedFunction, result: Option<&Value>) -> CallEnd {
    let value = match result.and_then(|result| result.as_result()) {
        Some(Err(error)) => return error_of(function, error),
        Some(Ok(value)) => value,
        None => result,
    };
    let (Some(ty), Some(value)) = (function.binding.success(), value) else {
        return CallEnd::Done("null".to_owned());
    };
    let mut text = Vec::new();
    match json::write(ty, Names::Kebab, value, &mut text) {
        Ok(()) => CallEnd::Done(String::from_utf8_lossy(&text).into_owned()),
        Err(_) => CallEnd::Failed("the function's result has no JSON".to_owned()),
    }
}

fn error_of(function: &PinnedFunction, error: Option<&Value>) -> CallEnd {
    let case = error.and_then(|error| error.as_variant().map(|(case, _)| case).or_else(|| error.as_enumeration()));
    let mut text = Vec::new();
    if let (Some(ty), Some(error)) = (function.binding.error(), error) {
        // What cannot be written is told without its value.
        let _ = json::write(ty, Names::Kebab, error, &mut text);
    }
    let reason = format!("the function returned an error: {}", String::from_utf8_lossy(&text));
    match case {
        Some(UNAVAILABLE) => CallEnd::NotNow(reason),
        // By convention a fault of the callee itself, after which nothing is certain.
        Some("internal") => CallEnd::Failed(reason),
        _ => CallEnd::Refused(reason),
    }
}

/// The end of a call without an answer.
fn end_of(error: &CallError) -> CallEnd {
    let reason = error.to_string();
    match error.kind {
        ErrorKind::Trap | ErrorKind::Memory | ErrorKind::BadAnswer | ErrorKind::Timeout | ErrorKind::TooDeep => {
            CallEnd::Failed(reason)
        }
        _ => CallEnd::NotNow(reason),
    }
}

fn misread(param: &str, error: &ReadError) -> String {
    match error {
        ReadError::Violations(violations) => {
            let first = violations.first().map(|first| format!("{} {}", first.pointer, first.detail));
            format!("parameter `{param}` cannot be read from what is bound to it: {}", first.unwrap_or_default())
        }
        ReadError::Malformed { .. } => format!("parameter `{param}`: {error}"),
    }
}
