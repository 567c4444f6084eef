//! A guest's way out by HTTP: to the services and to the hosts outside that its grants name, and nowhere else.
//!
//! `http://NAME.internal/…` is a request to the service NAME, which is made inside the host; the bodies stream. Any other goes to a host
//! outside, if the allow-list of the service has it. Every guest can import an HTTP client, and a component of another toolchain usually
//! does, so each other request is denied here, with an error that the guest sees and a line in the log that says which line of the manifest
//! is missing. The name of a host says nothing about its address: that is checked when the connection is made.

use super::body::{for_host, for_outside};
use super::context::InstanceIdentity;
use super::outcall::{OutcallError, OutcallHandle};
use crate::base::{Body, BodyError, CallContext, ErrorKind, ServiceName};
use crate::egress::{Allow, EgressRule};
use http::uri::Scheme;
use http::{HeaderName, Method};
use http_body_util::BodyExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

/// The top-level domain of the services. It is reserved for private use, so no name below it is anybody else's (ICANN, 2024).
const DOMAIN: &str = ".internal";

pub(super) struct Outbound {
    identity: InstanceIdentity,
    exit: OutcallHandle,
    context: CallContext,
    /// The log says once for each instance that a request was denied, be it for its name or for its address.
    warned: Arc<AtomicBool>,
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

/// Scheme, host in small letters, and port of a request.
fn address(request: &http::Request<WasiBody>) -> Option<(&str, String, u16)> {
    let uri = request.uri();
    let scheme = uri.scheme()?;
    let own = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    Some((scheme.as_str(), uri.host()?.to_ascii_lowercase(), uri.port_u16().unwrap_or(own)))
}

impl Outbound {
    pub(super) fn new(identity: InstanceIdentity, exit: OutcallHandle, context: CallContext) -> Self {
        Self { identity, exit, context, warned: Arc::default() }
    }

    /// From now on the guest calls on behalf of `context`. A request does not tell which call it belongs to, so an instance that serves several
    /// at a time asks for the most patient of them: no call's deadline cuts another's request short.
    pub(super) fn follow(&mut self, context: CallContext) {
        self.context = context;
    }

    /// The service or the host outside that a request goes to, if this guest may call it.
    fn target(&self, request: &http::Request<WasiBody>) -> Option<Destination> {
        let grants = &self.identity.grants;
        let (scheme, host, port) = address(request)?;
        let service = host.strip_suffix(DOMAIN).and_then(|name| grants.calls.iter().find(|call| call.as_str() == name));
        if let Some(service) = service {
            return Some(Destination::Service(service.clone()));
        }
        let rule = grants.egress.permits(scheme, &host, port)?.clone();
        Some(Destination::Outside { rule, origin: format!("{scheme}://{host}:{port}") })
    }

    /// Says once what the manifest lacks.
    fn warn(&self, request: &http::Request<WasiBody>) {
        if self.warned.swap(true, Ordering::Relaxed) {
            return;
        }
        let InstanceIdentity { grants, instance, request: id, .. } = &self.identity;
        let authority = request.uri().authority().map(http::uri::Authority::as_str);
        let lack = lack(&grants.service, request);
        tracing::warn!(service = %grants.service, instance, request_id = %id, authority, "outbound HTTP is denied: {lack}");
    }
}

/// What the manifest lacks for this request of `by`.
fn lack(by: &ServiceName, request: &http::Request<WasiBody>) -> String {
    let Some((scheme, host, port)) = address(request) else { return "it names no host".into() };
    let line = match host.strip_suffix(DOMAIN).and_then(|name| ServiceName::new(name).ok()) {
        Some(service) => format!("calls = [\"{service}\"]"),
        None => Allow::line_for(scheme, &host, port),
    };
    match line.strip_prefix("# ") {
        Some(hopeless) => hopeless.to_owned(),
        None => format!("it needs `{line}` in [service.{by}]"),
    }
}

/// What the trait calls the future of a body's transmission.
type Transmission = Box<dyn Future<Output = Result<(), Error>> + Send>;
type OutboundAnswer = Result<(http::Response<WasiBody>, Transmission), Error>;

/// Which headers a guest may not set; one for all of them, since it is asked for at each.
static FORBIDDEN: LazyLock<ForbiddenHeaderFilter> =
    LazyLock::new(|| Arc::new(|name| DEFAULT_FORBIDDEN_HEADERS.contains(name)));

impl WasiHttpHooks for Outbound {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::clone(&FORBIDDEN)
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        transmission: Transmission,
    ) -> Box<dyn Future<Output = OutboundAnswer> + Send> {
        let Some(target) = self.target(&request) else {
            self.warn(&request);
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        };
        if matches!(target, Destination::Outside { .. }) && request.method() == Method::CONNECT {
            // A tunnel would lead past the allow-list.
            return Box::new(std::future::ready(Err(Error::HttpRequestMethodInvalid)));
        }
        let now = Instant::now();
        let context = self.context.deeper(now).within(now, patience(&target, options.unwrap_or_default()));
        let (exit, by, warned) = (self.exit.clone(), self.identity.clone(), Arc::clone(&self.warned));
        Box::new(async move {
            let answer = call(&exit, &by, &target, request, context).await;
            // The guest's own failure to send its body shows in the body. Its transmission has nothing to add.
            drop(transmission);
            match answer {
                Ok(answer) => {
                    let answer = answer.map(|body| body.map_err(|error| told_of_body(&error)).boxed_unsync());
                    Ok((answer, Box::new(std::future::ready(Ok(()))) as Transmission))
                }
                Err(error) => {
                    log(&by, &target, &error, &warned);
                    Err(told(error.kind))
                }
            }
        })
    }
}

/// How long the guest waits for the head. Its timeout for the connection has no clock of its own, for connections are shared, and the host
/// bounds the making of each; to a host outside it is time on top, as it is where each request has a connection of its own.
fn patience(target: &Destination, options: RequestOptions) -> Duration {
    let first_byte = options.first_byte_timeout.unwrap_or(Duration::MAX);
    match target {
        Destination::Service(_) => first_byte,
        Destination::Outside { .. } => first_byte.saturating_add(options.connect_timeout.unwrap_or_default()),
    }
}

async fn call(
    exit: &OutcallHandle,
    by: &InstanceIdentity,
    target: &Destination,
    request: http::Request<WasiBody>,
    context: CallContext,
) -> Result<http::Response<Body>, OutcallError> {
    let outcall = exit.open()?;
    match target {
        Destination::Service(service) => outcall.send(service, for_host(request, &context.request_id), context).await,
        Destination::Outside { rule, .. } => {
            outcall.fetch(&by.grants.service, rule, for_outside(request), context).await
        }
    }
}

fn log(by: &InstanceIdentity, target: &Destination, error: &OutcallError, warned: &AtomicBool) {
    match target {
        Destination::Service(service) => by.failed_to_call(service, "by HTTP", error),
        // The allow-list has the name, and its address is one that nobody may reach: an attack, or a line that lacks `private`.
        Destination::Outside { origin, .. }
            if error.kind == ErrorKind::Denied && !warned.swap(true, Ordering::Relaxed) =>
        {
            let InstanceIdentity { grants, instance, request, .. } = by;
            tracing::warn!(
                service = %grants.service, instance, request_id = %request, kind = %error.kind,
                "outbound HTTP to `{origin}` of [service.{}] is denied: {error}", grants.service
            );
        }
        Destination::Outside { origin, .. } => by.failed_to_call(origin, "by HTTP", error),
    }
}

/// A failure as a guest reads it.
fn told(kind: ErrorKind) -> Error {
    match kind {
        ErrorKind::NoEndpoint => Error::DestinationNotFound,
        ErrorKind::Denied => Error::DestinationIpProhibited,
        ErrorKind::Timeout | ErrorKind::SlowBody => Error::HttpResponseTimeout,
        ErrorKind::TooDeep => Error::LoopDetected,
        ErrorKind::BodyTooLarge => Error::HttpRequestBodySize(None),
        ErrorKind::CircuitOpen | ErrorKind::Overloaded | ErrorKind::Draining | ErrorKind::Connect => {
            Error::DestinationUnavailable
        }
        _ => Error::ConnectionTerminated,
    }
}

fn told_of_body(error: &BodyError) -> Error {
    if error.kind == ErrorKind::Timeout { Error::HttpResponseTimeout } else { Error::HttpResponseIncomplete }
}

#[cfg(test)]
mod tests;
