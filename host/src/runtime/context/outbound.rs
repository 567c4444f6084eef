//! A guest's outbound HTTP: to the services and to the hosts outside that its grants name, and nowhere else.
//!
//! A request to `http://NAME.internal/…` goes to the service NAME, without leaving the host; the bodies stream. Every
//! other request goes to a host outside, if the service's allow-list permits it. Every guest can import an HTTP client,
//! and components of other toolchains usually do. So each request that is not permitted is denied here: the guest gets
//! an error, and the log says which line of the manifest is missing. The name of a host says nothing about its address;
//! the address is checked when the connection is made.

use super::call_notes::CallNotes;
use super::calls::Calls;
use super::identity::InstanceIdentity;
use super::open_bodies::OpenBodies;
use crate::base::{
    Body, BodyError, CallContext, CommitGuard, ConnectionNotice, DeadlineOwner, ErrorKind, Identity, ServiceName,
    TraceScope,
};
use crate::egress::{Allow, EgressRule};
use crate::runtime::outcall::{OutcallError, OutcallHandle};
use crate::runtime::tape::call_tape::CallTape;
use crate::runtime::tape::taped_exchange::{self, TapedExchange};
use crate::runtime::values::body::{for_host, for_outside};
use crate::runtime::values::timed_body::TimedBody;
use http::uri::Scheme;
use http::{HeaderName, Method};
use http_body_util::BodyExt;
use std::future::pending;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::timeout;
use wasmtime_wasi_http::p3::DEFAULT_OUTGOING_BODY_CHUNK_SIZE;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

/// The top-level domain of the services. It is reserved for private use, so no name below it belongs to anybody on the
/// internet (ICANN, 2024).
const DOMAIN: &str = ".internal";

/// How a recording names the failure of a guest that did not wait longer for its connection.
const CONNECTION_TIMEOUT: &str = "connection-timeout";

/// Of the call that sends a request, what no other call's request may have.
#[derive(Default)]
pub(super) struct AttributedCall {
    pub(super) identity: Option<Arc<Identity>>,
    pub(super) trace: Option<TraceScope>,
    pub(super) guard: Option<Arc<CommitGuard>>,
}

/// The outbound HTTP of one instance.
pub(super) struct Outbound {
    identity: InstanceIdentity,
    outcall: OutcallHandle,
    /// The calls that the instance serves: the guest's requests are made on behalf of them.
    pub(super) calls: Calls,
    /// Who the next request is made for, and its place in a trace.
    attributed: AttributedCall,
    pub(super) open_bodies: OpenBodies,
}

/// Where a request goes.
enum Destination {
    Service(ServiceName),
    Outside {
        rule: EgressRule,
        /// Scheme and authority, for the log.
        origin: String,
    },
}

impl Destination {
    fn note(&self, notes: &CallNotes) {
        match self {
            Self::Service(service) => notes.service_call(service),
            Self::Outside { origin, .. } => notes.outside_call(origin),
        }
    }
}

/// The scheme of a request, its host in lower case, and its port.
fn address(request: &http::Request<WasiBody>) -> Option<(&str, String, u16)> {
    let uri = request.uri();
    let scheme = uri.scheme()?;
    let default_port = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    Some((scheme.as_str(), uri.host()?.to_ascii_lowercase(), uri.port_u16().unwrap_or(default_port)))
}

impl Outbound {
    /// `first`: the call that the instance is made for.
    pub(super) fn new(identity: InstanceIdentity, outcall: OutcallHandle, first: CallContext) -> Self {
        let calls = Calls::new(first);
        Self { identity, outcall, calls, attributed: AttributedCall::default(), open_bodies: OpenBodies::default() }
    }

    /// The next request, and no other one, is made by `call`.
    pub(super) fn attribute(&mut self, call: AttributedCall) {
        self.attributed = call;
    }

    /// Where a request goes; `None` if this guest may not send it there.
    fn destination(&self, request: &http::Request<WasiBody>) -> Option<Destination> {
        let grants = &self.identity.grants;
        let (scheme, host, port) = address(request)?;
        let service = host.strip_suffix(DOMAIN).and_then(|name| grants.calls.iter().find(|call| call.as_str() == name));
        if let Some(service) = service {
            return Some(Destination::Service(service.clone()));
        }
        let rule = grants.egress.permits(scheme, &host, port)?.clone();
        Some(Destination::Outside { rule, origin: format!("{scheme}://{host}:{port}") })
    }

    /// Logs which line the manifest lacks for this request. The log writes one such line for each authority, and counts
    /// the others.
    fn log_denied(&self, request: &http::Request<WasiBody>) {
        let InstanceIdentity { grants, instance, request: id, .. } = &self.identity;
        let authority = request.uri().authority().map(|authority| without_user(authority.as_str()));
        let lack = missing_grant(&grants.service, request);
        tracing::warn!(
            service = %grants.service, instance, request_id = %id, authority, "outbound HTTP is denied: {lack}"
        );
    }
}

/// Host and port alone: what stands before an `@` may be a password, which the log must not have.
fn without_user(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// What the manifest lacks for this request of the service `caller`.
fn missing_grant(caller: &ServiceName, request: &http::Request<WasiBody>) -> String {
    let Some((scheme, host, port)) = address(request) else { return "it names no host".into() };
    let line = match host.strip_suffix(DOMAIN).and_then(|name| ServiceName::new(name).ok()) {
        Some(service) => format!("calls = [\"{service}\"]"),
        None => Allow::line_for(scheme, &host, port),
    };
    match line.strip_prefix("# ") {
        Some(reason) => reason.to_owned(),
        None => format!("it needs `{line}` in [service.{caller}]"),
    }
}

/// The future of [`WasiHttpHooks`] that sends a request's body.
type Transmission = Box<dyn Future<Output = Result<(), Error>> + Send>;
type OutboundAnswer = Result<(http::Response<WasiBody>, Transmission), Error>;

/// Which headers a guest may not set. All guests share one filter, since it is the same for
/// all of them.
static FORBIDDEN: LazyLock<ForbiddenHeaderFilter> = LazyLock::new(|| Arc::new(|name| FORBIDDEN_NAMES.contains(name)));

/// Wasmtime's list is a constant: each use of it would make nine names and drop them again.
static FORBIDDEN_NAMES: [HeaderName; 9] = DEFAULT_FORBIDDEN_HEADERS;

impl WasiHttpHooks for Outbound {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        FORBIDDEN_NAMES.contains(name)
    }

    /// Wasmtime asks for it only when it converts a body that a guest of WASI 0.3 passes on.
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        self.open_bodies.converts(false);
        Arc::clone(&FORBIDDEN)
    }

    /// Wasmtime asks for it only when it converts a body that a guest of WASI 0.3 writes.
    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        self.open_bodies.converts(true);
        DEFAULT_OUTGOING_BODY_CHUNK_SIZE
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        transmission: Transmission,
    ) -> Box<dyn Future<Output = OutboundAnswer> + Send> {
        // Taken in any case: it is for this request alone.
        let attributed = std::mem::take(&mut self.attributed);
        let tape = self.identity.tape.clone();
        if tape.is_played() {
            return Box::new(played_answer(tape, request, transmission));
        }
        let (taped, request) = TapedExchange::begin(tape, request);
        let Some(destination) = self.destination(&request) else {
            self.log_denied(&request);
            taped.failed(ErrorKind::Forbidden.as_str());
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        };
        if matches!(destination, Destination::Outside { .. }) && request.method() == Method::CONNECT {
            // A tunnel would lead past the allow-list.
            taped.failed(ErrorKind::Forbidden.as_str());
            return Box::new(std::future::ready(Err(Error::HttpRequestMethodInvalid)));
        }
        let mut request = self.open_bodies.request(request);
        let now = Instant::now();
        let options = options.unwrap_or_default();
        let head_timeout = head_timeout(&destination, options);
        // A request does not show which of the instance's calls it belongs to. So it is made on behalf of the one with
        // the latest deadline: then no call's deadline cuts another call's request short. Only its identity and its
        // trace are those of the right call: see `Outbound::attribute`.
        let mut context = self.calls.latest_deadline().deeper(now).within(now, head_timeout, DeadlineOwner::Caller);
        (context.identity, context.trace) = (attributed.identity, attributed.trace);
        context.guard = attributed.guard;
        // The guest's time for the first byte is one for the body, and the head comes before.
        let first_byte = options.first_byte_timeout.and_then(|_| now.checked_add(head_timeout));
        let notes = CallNotes::of(&context, &self.identity.grants);
        if let Some(notes) = &notes {
            destination.note(notes);
        }
        let connection = ConnectWait::bound(&mut request, &destination, options);
        let (outcall, caller) = (self.outcall.clone(), self.identity.clone());
        Box::new(async move {
            let answer = tokio::select! {
                biased;
                answer = call(&outcall, &caller, &destination, request, context) => answer,
                () = connection.until_late() => {
                    notes.iter().for_each(|notes| notes.failed_call(ErrorKind::Timeout));
                    taped.failed(CONNECTION_TIMEOUT);
                    return Err(Error::ConnectionTimeout);
                }
            };
            // If the guest fails to send its body, the body itself shows that, so this future has nothing to add.
            drop(transmission);
            match answer {
                Ok(answer) => {
                    let answer = answer.map(|body| {
                        let body = body.map_err(|error| guest_body_error(&error)).boxed_unsync();
                        TimedBody::wrap(body, first_byte, options.between_bytes_timeout)
                    });
                    let answer = taped.answered(answer);
                    Ok((answer, Box::new(std::future::ready(Ok(()))) as Transmission))
                }
                Err(error) => {
                    taped.failed(error.kind.as_str());
                    log_failure(&caller, &destination, &error);
                    notes.iter().for_each(|notes| notes.failed_call(error.kind));
                    Err(guest_error(error.kind))
                }
            }
        })
    }
}

/// The answer that a recording has. The request goes nowhere.
async fn played_answer(tape: CallTape, request: http::Request<WasiBody>, transmission: Transmission) -> OutboundAnswer {
    let answer = taped_exchange::played(&tape, request).await.map_err(|kind| match &*kind {
        CONNECTION_TIMEOUT => Error::ConnectionTimeout,
        kind => guest_error(ErrorKind::named(kind).unwrap_or(ErrorKind::Host)),
    })?;
    drop(transmission);
    Ok((answer, Box::new(std::future::ready(Ok(()))) as Transmission))
}

/// The wait for a request's connection, as long as the guest permits. Dropping the call at its end is nobody's fault,
/// so an impatient guest opens no circuit.
struct ConnectWait(Option<(Duration, Arc<Notify>)>);

impl ConnectWait {
    /// Bounds the wait of a request to a host outside. A guest's connection to a service is this host, which it has.
    fn bound(request: &mut http::Request<WasiBody>, destination: &Destination, options: RequestOptions) -> Self {
        let (Some(most), Destination::Outside { .. }) = (options.connect_timeout, destination) else {
            return Self(None);
        };
        let connected = Arc::new(Notify::new());
        let told = Arc::clone(&connected);
        request.extensions_mut().insert(ConnectionNotice::new(move || told.notify_one()));
        Self(Some((most, connected)))
    }

    /// Ends if there is no connection in time.
    async fn until_late(self) {
        match self.0 {
            Some((most, connected)) if timeout(most, connected.notified()).await.is_err() => {}
            _ => pending().await,
        }
    }
}

/// How long the guest waits for the head of the answer. For a host outside its timeout for the connection is added to
/// the time for the head, since a guest that sets both expects a connection for each request.
fn head_timeout(destination: &Destination, options: RequestOptions) -> Duration {
    let first_byte = options.first_byte_timeout.unwrap_or(Duration::MAX);
    match destination {
        Destination::Service(_) => first_byte,
        Destination::Outside { .. } => first_byte.saturating_add(options.connect_timeout.unwrap_or_default()),
    }
}

/// Sends the request to its destination.
async fn call(
    outcall: &OutcallHandle,
    caller: &InstanceIdentity,
    destination: &Destination,
    request: http::Request<WasiBody>,
    context: CallContext,
) -> Result<http::Response<Body>, OutcallError> {
    let outcall = outcall.open()?;
    match destination {
        Destination::Service(service) => {
            let callee = (&caller.grants.service, service);
            let id = (!context.hides_ids()).then_some(&context.request_id);
            outcall.send(callee, for_host(request, id), context).await
        }
        Destination::Outside { rule, .. } => {
            outcall.fetch(&caller.grants.service, rule, for_outside(request), context).await
        }
    }
}

/// Logs a request that got no answer. The log counts repeated lines by `callee`, so that each denied address is said.
fn log_failure(caller: &InstanceIdentity, destination: &Destination, error: &OutcallError) {
    match destination {
        // The guest gets `destination-not-found`, which does not say what the manifest or the callee lacks.
        Destination::Service(service) if error.kind == ErrorKind::NoEndpoint => {
            let InstanceIdentity { grants, instance, request, .. } = caller;
            tracing::warn!(
                service = %grants.service, instance, request_id = %request, kind = %error.kind, callee = %service,
                "outbound HTTP to `{service}` found nobody (destination-not-found): {error}"
            );
        }
        Destination::Service(service) => caller.log_failed_call(service, "by HTTP", error),
        // The allow-list permits the name, but no guest may reach its address: this is an attack, or a line of the
        // manifest lacks `private`.
        Destination::Outside { origin, .. } if error.kind == ErrorKind::Denied => {
            let InstanceIdentity { grants, instance, request, .. } = caller;
            tracing::warn!(
                service = %grants.service, instance, request_id = %request, kind = %error.kind, callee = %origin,
                "outbound HTTP to `{origin}` of [service.{}] is denied: {error}", grants.service
            );
        }
        Destination::Outside { origin, .. } => caller.log_failed_call(origin, "by HTTP", error),
    }
}

/// A failed call, as the guest reads it.
fn guest_error(kind: ErrorKind) -> Error {
    match kind {
        ErrorKind::NoEndpoint => Error::DestinationNotFound,
        ErrorKind::Denied => Error::DestinationIpProhibited,
        ErrorKind::Forbidden => Error::HttpRequestDenied,
        ErrorKind::Timeout | ErrorKind::SlowBody => Error::HttpResponseTimeout,
        ErrorKind::TooDeep => Error::LoopDetected,
        // The body is larger than the service takes, or it is not as its guest has announced it.
        ErrorKind::BodyTooLarge | ErrorKind::ClientGone => Error::HttpRequestBodySize(None),
        // The call was not sent.
        ErrorKind::CircuitOpen
        | ErrorKind::OutOfService
        | ErrorKind::Starting
        | ErrorKind::Overloaded
        | ErrorKind::Draining => Error::DestinationUnavailable,
        // It was tried, and no connection came about.
        ErrorKind::Connect => Error::ConnectionRefused,
        _ => Error::ConnectionTerminated,
    }
}

/// A failure of an answer's body, as the guest reads it.
fn guest_body_error(error: &BodyError) -> Error {
    if error.kind == ErrorKind::Timeout { Error::HttpResponseTimeout } else { Error::HttpResponseIncomplete }
}

#[cfg(test)]
mod tests;
