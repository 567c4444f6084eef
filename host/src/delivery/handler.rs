//! One try: the call of a subscription's function.

use super::event_trace::EventTrace;
use super::subscription::Subscription;
use crate::base::{CallContext, ErrorKind, HandledEvent, RequestId, ServiceName, WorkPayer};
use crate::contract::json::{self, ReadError};
use crate::contract::{UNAVAILABLE, Value as _};
use crate::events::EventRecord;
use crate::mesh::{CallError, Mesh, PinnedFunction, Value};
use crate::telemetry::Tracer;
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
    /// Handles `event`, which was published as `record`.
    fn handle(
        &self,
        subscription: &Subscription,
        event: Arc<HandledEvent>,
        record: &EventRecord,
    ) -> impl Future<Output = TryEnd> + Send;
}

/// Makes the calls of schedules. [`MeshHandler`] calls services; the tests of this room have their own.
pub trait Fire: Send + Sync + 'static {
    /// Calls the function at the position `at` of `service`, with `payload` as its one argument if there is one.
    fn fire(&self, service: &ServiceName, at: usize, payload: Option<&str>) -> impl Future<Output = TryEnd> + Send;
}

/// Calls the functions of services through the mesh.
pub struct MeshHandler {
    /// The mesh.
    pub mesh: Arc<Mesh>,
    /// Who traces each try; `None`: nobody.
    pub tracer: Option<Arc<Tracer>>,
}

impl Handle for MeshHandler {
    async fn handle(&self, subscription: &Subscription, event: Arc<HandledEvent>, record: &EventRecord) -> TryEnd {
        let (id, now) = (RequestId::from_random(rand::random()), Instant::now());
        let mut context = CallContext::new(id.clone(), now, LONGEST);
        let HandledEvent { number, attempt, .. } = *event;
        let trace = self.tracer.as_ref().map(|tracer| EventTrace::begin(tracer, record.trace, &id, now));
        context.event = Some(Arc::clone(&event));
        context.trace = trace.as_ref().map(EventTrace::scope);
        let work: Arc<dyn WorkPayer> = subscription.work.clone();
        context.payer = Some(work);
        tracing::debug!(
            target: "delivery", service = %subscription.service, topic = %subscription.topic.name, number, attempt,
            request_id = %id, "an event is delivered"
        );
        let Subscription { service, at, .. } = subscription;
        let end = self.call((service, *at), &context, Some(&record.payload)).await;
        if let Some(trace) = trace {
            trace.end(subscription, &event, &id, &end);
        }
        end
    }
}

impl Fire for MeshHandler {
    async fn fire(&self, service: &ServiceName, at: usize, payload: Option<&str>) -> TryEnd {
        let context = CallContext::new(RequestId::from_random(rand::random()), Instant::now(), LONGEST);
        tracing::debug!(target: "delivery", %service, request_id = %context.request_id, "a schedule makes its call");
        self.call((service, at), &context, payload).await
    }
}

impl MeshHandler {
    async fn call(&self, (service, at): (&ServiceName, usize), context: &CallContext, payload: Option<&str>) -> TryEnd {
        // A swap may change the function's type: the payload is read by that of the revision which is called.
        let pinned = match self.mesh.pin(service, at, context) {
            Ok(pinned) => pinned,
            Err(error) => return verdict_of(&error),
        };
        let mut arguments = Vec::new();
        match (pinned.binding.function.params.first(), payload) {
            (None, None) => {}
            (Some(param), Some(payload)) => {
                match json::read::<Value>(&param.ty, pinned.binding.names, payload.as_bytes()) {
                    Ok(argument) => arguments.push(argument),
                    Err(error) => return TryEnd::Failed(misread(&error)),
                }
            }
            (None, Some(_)) => return TryEnd::Failed("the function has no parameter for the payload".to_owned()),
            (Some(_), None) => {
                return TryEnd::Failed("the function has a parameter, and there is no payload".to_owned());
            }
        }
        match self.mesh.invoke_pinned(&pinned, arguments, context).await {
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
