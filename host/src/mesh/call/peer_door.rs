//! The calls of other nodes: where they come in.
//!
//! The calling node has admitted the call, picked this node and will decide about further tries. So a call is made once
//! here, at an endpoint of this node. Scopes, depth, bulkhead and breakers are looked at here too.

use super::call_in_progress::CallInProgress;
use super::engine;
use super::http_call;
use super::mesh::Mesh;
use super::typed_call::TypedCall;
use crate::base::{
    Body, BodyError, CallContext, CallReport, CallReporter, ErrorKind, OpenSpan, RequestId, ServiceName, SingleTry,
    SpanKind, TraceTree, full_body,
};
use crate::contract::{CrossingFunction, CrossingFunctions, read_compact, write_compact};
use crate::mesh::clock;
use crate::mesh::error::{CallBeginning, CallError, TryError};
use crate::mesh::table::canary_watch::TossedCall;
use crate::mesh::table::endpoint_group::EndpointGroup;
use crate::mesh::table::service::Service;
use crate::peer::{CallHead, CalledFunction, PeerAnswer, PeerFailure, PeerProtocol};
use crate::runtime::{DetachedValues, InstancePool, Value};
use crate::telemetry::{TraceEnd, Tracer};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::time::timeout_at;

/// Answers the calls of other nodes.
pub struct PeerDoor {
    mesh: Arc<Mesh>,
    /// Where their part of a trace is kept; `None`: nothing is traced.
    tracer: Option<Arc<Tracer>>,
    /// The most bytes of a call's arguments, and of its result.
    longest: usize,
    /// The newest version of the wire that is understood here.
    newest: PeerProtocol,
}

/// What a typed call needs of its service.
struct FoundService {
    group: Arc<EndpointGroup>,
    tossed: Option<Box<TossedCall>>,
    /// The functions of the revision that it goes to; `None`: no instance of the service is on this node.
    functions: Option<Arc<CrossingFunctions>>,
}

impl PeerDoor {
    /// The door to the services of `mesh`.
    pub fn new(mesh: Arc<Mesh>, tracer: Option<Arc<Tracer>>, longest: usize) -> Self {
        Self { mesh, tracer, longest, newest: PeerProtocol::NEWEST }
    }

    /// The same, for this version of the wire and older ones.
    pub fn speaking(self, newest: PeerProtocol) -> Self {
        Self { newest, ..self }
    }

    /// Answers a call of another node. Dropping the future, or the answer's body, ends the call.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let mut answer = self.answer_call(request).await;
        self.newest.tell(answer.headers_mut());
        answer
    }

    async fn answer_call(&self, mut request: Request<Body>) -> Response<Body> {
        let now = clock::now();
        let CallHead { service, function, mut context, parent } = match CallHead::take(&mut request, (now, self.newest))
        {
            Ok(head) => head,
            Err(error) => return Self::refuse(error.to_string()),
        };
        let report = CallReporter::default();
        context.report = Some(report.clone());
        let mut trace = self.tracer.as_ref().map(|tracer| {
            let tree = tracer.begin((parent, None), true, (rand::random(), rand::random()), now);
            let mut root = tree.root_of(SpanKind::Server, "call of another node");
            root.attribute("atoll.service", service.shared());
            let (tracer, request) = (Arc::clone(tracer), context.request_id.clone());
            PeerTrace { tracer, tree, root: Some(root), request, began: now, failed: true }
        });
        context.trace = trace.as_ref().and_then(|trace| Some(trace.root.as_ref()?.scope()));
        let outcome = match &function {
            Some(function) => self.call(&service, function, request, &context).await,
            None => self.send(&service, request, &context).await,
        };
        let CallReport { dependency_failed, tries, .. } = report.read();
        match outcome {
            Ok(mut answer) => {
                PeerAnswer { failure: None, dependency_failed }.write(answer.headers_mut());
                if let Some(trace) = &mut trace {
                    trace.failed = answer.status().is_server_error();
                }
                answer.map(|body| TracedBody { body, _trace: trace }.boxed_unsync())
            }
            // Of what comes before the first try, no endpoint has got anything.
            Err(error) => failed(error, tries > 0, dependency_failed),
        }
    }

    /// The answer to what is no call, or comes from no node.
    pub fn refuse(detail: String) -> Response<Body> {
        let failure = PeerFailure { kind: ErrorKind::NoEndpoint, detail, retry_after: None, is_begun: false };
        answer_failed(failure, false)
    }

    /// Makes a typed call.
    async fn call(
        &self,
        service: &ServiceName,
        called: &CalledFunction,
        request: Request<Body>,
        context: &CallContext,
    ) -> Result<Response<Body>, CallError> {
        let of_service = |error: TryError| CallError::of_try(service, error);
        let FoundService { group, tossed, functions } = self.mesh.admit(service, context, FoundService::of)?;
        let function = functions.as_deref().map(|functions| find(functions, called));
        let absent = || TryError::new(ErrorKind::NoEndpoint, "no instance of it is on this node");
        let function = function.ok_or_else(absent).flatten().map_err(of_service)?;
        let arguments = self.arguments(function, request, context).await.map_err(of_service)?;
        let mut call = CallInProgress::begin(group, None, &self.mesh.rng, context).await?;
        call.stay_here();
        call.tossed = tossed;
        let mut policy = TypedCall::new(&called.name, false, DetachedValues::new(arguments));
        let results = engine::run(&mut call, &mut policy).await?;
        let mut bytes = Vec::new();
        for (ty, value) in function.result.iter().zip(results.values()) {
            let written = write_compact(ty, value, &mut bytes);
            written.map_err(|error| of_service(TryError::new(ErrorKind::Host, error.to_string()).caused_by(error)))?;
        }
        if bytes.len() > self.longest {
            let (length, longest, name) = (bytes.len(), self.longest, &called.name);
            let detail = format!("the result of {name} has {length} bytes; `message` allows {longest}");
            return Err(of_service(TryError::new(ErrorKind::BadAnswer, detail)));
        }
        Ok(Response::new(full_body(bytes)))
    }

    /// Reads the arguments of a typed call.
    async fn arguments(
        &self,
        function: &CrossingFunction,
        request: Request<Body>,
        context: &CallContext,
    ) -> Result<Vec<Value>, TryError> {
        let body = Limited::new(request.into_body(), self.longest).collect();
        let body = timeout_at(context.deadline.into(), body).await;
        let body = body.map_err(|_| TryError::new(ErrorKind::Timeout, "the arguments did not come in time"))?;
        let body = body.map_err(|error| match error.downcast::<BodyError>() {
            Ok(broken) => TryError::new(broken.kind, broken.detail),
            Err(_) => TryError::new(ErrorKind::BodyTooLarge, "the arguments are longer than `message` allows"),
        })?;
        let values = read_compact(function.params.iter(), &body.to_bytes());
        values.map_err(|error| TryError::new(ErrorKind::Host, format!("the arguments: {error}")).caused_by(error))
    }

    /// Sends an HTTP request to the service.
    async fn send(
        &self,
        service: &ServiceName,
        mut request: Request<Body>,
        context: &CallContext,
    ) -> Result<Response<Body>, CallError> {
        let FoundService { group, tossed, .. } = self.mesh.admit(service, context, FoundService::of)?;
        request.extensions_mut().insert(SingleTry);
        let mut call = CallInProgress::begin(group, None, &self.mesh.rng, context).await?;
        call.stay_here();
        call.tossed = tossed;
        http_call::send(call, request).await
    }
}

impl FoundService {
    fn of(entry: &Arc<Service>, tossed: Option<Box<TossedCall>>) -> Self {
        let functions = entry.pool().map(InstancePool::crossing).cloned();
        Self { group: Arc::clone(&entry.group), tossed, functions }
    }
}

/// The function that is called, if it has the types by which the arguments were written.
fn find<'f>(functions: &'f CrossingFunctions, called: &CalledFunction) -> Result<&'f CrossingFunction, TryError> {
    let CalledFunction { name, signature } = called;
    let refused = |why: String| Err(TryError::new(ErrorKind::NoEndpoint, why));
    match functions.find(name) {
        None => refused(format!("its component on this node exports no {name}")),
        Some(function) if function.signature != *signature => refused(format!(
            "{name} has other types on the calling node ({}) than here ({}): give both nodes components that were \
             built against one version of the contract",
            signature.short(),
            function.signature.short()
        )),
        Some(function) => match function.uncrossable {
            Some(what) => refused(format!("{name} carries {what}, which does not cross to another node")),
            None => Ok(function),
        },
    }
}

/// The answer to a call that failed; `tried`: whether an endpoint has got it.
fn failed(error: CallError, tried: bool, dependency_failed: bool) -> Response<Body> {
    let CallError { kind, detail, retry_after, beginning, .. } = error;
    let is_begun = tried && beginning == CallBeginning::Perhaps;
    answer_failed(PeerFailure { kind, detail, retry_after, is_begun }, dependency_failed)
}

fn answer_failed(failure: PeerFailure, dependency_failed: bool) -> Response<Body> {
    let mut answer = Response::new(crate::base::empty_body());
    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    PeerAnswer { failure: Some(failure), dependency_failed }.write(answer.headers_mut());
    answer
}

/// This node's part of a request's trace. It ends when it is dropped.
struct PeerTrace {
    tracer: Arc<Tracer>,
    tree: Arc<TraceTree>,
    /// `None` once it has ended.
    root: Option<OpenSpan>,
    request: RequestId,
    began: Instant,
    /// Whether the call got no answer.
    failed: bool,
}

impl Drop for PeerTrace {
    fn drop(&mut self) {
        let took = clock::now().saturating_duration_since(self.began);
        let Some(rule) = self.tracer.decide(&self.tree, None, self.failed, took) else { return };
        drop(self.root.take());
        let end = TraceEnd { route: "(another node)", request_id: &self.request, status: TraceEnd::NO_STATUS, took };
        self.tracer.keep(&self.tree, rule, &end);
    }
}

/// The body of an answer, at whose end this node's part of the trace ends. The trace is dropped last.
struct TracedBody {
    body: Body,
    _trace: Option<PeerTrace>,
}

impl http_body::Body for TracedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::InvokeError;

    #[test]
    fn the_answer_says_that_the_call_was_not_begun_only_where_that_is_known() {
        let service = ServiceName::new("users").unwrap();
        let told = |beginning, tried| {
            let error = TryError { beginning, ..TryError::new(ErrorKind::Overloaded, "full") };
            let mut answer = failed(CallError::of_try(&service, error), tried, false);
            !PeerAnswer::take(answer.headers_mut()).unwrap().failure.unwrap().is_begun
        };
        assert!(!told(CallBeginning::Perhaps, true), "its instance had it");
        assert!(told(CallBeginning::NotHere, true), "no instance was free");
        assert!(told(CallBeginning::Perhaps, false), "no endpoint was picked");
    }

    #[test]
    fn what_the_pool_knows_is_told() {
        let of = |not_begun| {
            let mut error = InvokeError::of_host(&"full");
            error.not_begun = not_begun;
            TryError::from(error).beginning
        };
        assert_eq!([of(true), of(false)], [CallBeginning::NotHere, CallBeginning::Perhaps]);
    }
}
