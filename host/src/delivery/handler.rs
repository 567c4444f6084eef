//! One try: the call of a subscription's function.

use super::subscription::Subscription;
use crate::base::{CallContext, ErrorKind, HandledEvent, RequestId};
use crate::contract::json::{self, ReadError};
use crate::contract::{UNAVAILABLE, Value as _};
use crate::mesh::{CallError, Mesh, PinnedFunction, Value};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a try may take at most. `limits` of the service bound it before: the default is 15 s.
const LONGEST: Duration = Duration::from_secs(3600);

/// The end of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TryEnd {
    /// The function returned, and no error.
    Handled,
    /// The function failed, for this reason. That is a try of the event.
    Failed(String),
    /// The service could not be reached, or says that it cannot answer now. That is no try of the event.
    NotNow(String),
}

/// Handles events. [`MeshHandler`] calls services; the tests of this room have their own.
pub trait Handle: Send + Sync + 'static {
    /// Handles `event`, whose payload is `payload`.
    fn handle(
        &self,
        subscription: &Subscription,
        event: Arc<HandledEvent>,
        payload: &str,
    ) -> impl Future<Output = TryEnd> + Send;
}

/// Calls the functions of services through the mesh.
pub struct MeshHandler(pub Arc<Mesh>);

impl Handle for MeshHandler {
    async fn handle(&self, subscription: &Subscription, event: Arc<HandledEvent>, payload: &str) -> TryEnd {
        let id = RequestId::from_random(rand::random());
        let mut context = CallContext::new(id, Instant::now(), LONGEST);
        let (number, attempt) = (event.number, event.attempt);
        context.event = Some(event);
        tracing::debug!(
            target: "delivery", service = %subscription.service, topic = %subscription.topic.name, number, attempt,
            request_id = %context.request_id, "an event is delivered"
        );
        // A swap may change the function's type: the payload is read by that of the revision which is called.
        let pinned = match self.0.pin(&subscription.service, subscription.at, &context) {
            Ok(pinned) => pinned,
            Err(error) => return verdict_of(&error),
        };
        let Some(param) = pinned.binding.function.params.first() else {
            return TryEnd::Failed("the function has no parameter for the payload".to_owned());
        };
        let argument = match json::read::<Value>(&param.ty, pinned.binding.names, payload.as_bytes()) {
            Ok(argument) => argument,
            Err(error) => return TryEnd::Failed(misread(&error)),
        };
        match self.0.invoke_pinned(&pinned, vec![argument], &context).await {
            Ok(result) => verdict_on(&pinned, result.as_ref()),
            Err(error) => verdict_of(&error),
        }
    }
}

/// The verdict on a function that returned.
fn verdict_on(function: &PinnedFunction, result: Option<&Value>) -> TryEnd {
    let Some(Err(error)) = result.and_then(|result| result.as_result()) else { return TryEnd::Handled };
    let case = error.and_then(|error| error.as_variant().map(|(case, _)| case).or_else(|| error.as_enumeration()));
    let mut text = Vec::new();
    if let (Some(ty), Some(error)) = (function.binding.error(), error) {
        // What cannot be written is told without its value.
        let _ = json::write(ty, function.binding.names, error, &mut text);
    }
    let reason = format!("the function returned an error: {}", String::from_utf8_lossy(&text));
    if case == Some(UNAVAILABLE) { TryEnd::NotNow(reason) } else { TryEnd::Failed(reason) }
}

/// The verdict on a call without an answer.
fn verdict_of(error: &CallError) -> TryEnd {
    let reason = error.to_string();
    match error.kind {
        ErrorKind::Trap | ErrorKind::Memory | ErrorKind::BadAnswer | ErrorKind::Timeout | ErrorKind::TooDeep => {
            TryEnd::Failed(reason)
        }
        _ => TryEnd::NotNow(reason),
    }
}

fn misread(error: &ReadError) -> String {
    match error {
        ReadError::Violations(violations) => {
            let first = violations.first().map(|first| format!("{} {}", first.pointer, first.detail));
            format!("the function's parameter cannot be read from the payload: {}", first.unwrap_or_default())
        }
        ReadError::Malformed { .. } => format!("the payload is no JSON: {error}"),
    }
}
