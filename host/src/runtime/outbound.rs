//! A guest's way out by HTTP: to the services that it may call, and nowhere else.
//!
//! `http://NAME.internal/…` is a request to the service NAME, which is made inside the host; the bodies stream. Every guest can import an
//! HTTP client, and a component of another toolchain usually does, so each other request is denied here, with an error that the guest
//! sees and a line in the log that says which line of the manifest is missing.

use super::body::for_host;
use super::context::Identity;
use super::outcall::Exit;
use crate::base::{BodyError, CallContext, ErrorKind, ServiceName};
use http_body_util::BodyExt;
use std::time::{Duration, Instant};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// The top-level domain of the services. It is reserved for private use, so no name below it is anybody else's (ICANN, 2024).
const DOMAIN: &str = ".internal";

pub(super) struct Outbound {
    identity: Identity,
    exit: Exit,
    context: CallContext,
    /// The log says it once for each instance.
    warned: bool,
}

impl Outbound {
    pub(super) fn new(identity: Identity, exit: Exit, context: CallContext) -> Self {
        Self { identity, exit, context, warned: false }
    }

    /// From now on the guest calls on behalf of `context`. A request does not tell which call it belongs to, so an instance that serves several
    /// at a time asks for the most patient of them: no call's deadline cuts another's request short.
    pub(super) fn follow(&mut self, context: CallContext) {
        self.context = context;
    }

    /// The service that a request goes to, if this guest may call it.
    fn target(&self, request: &http::Request<WasiBody>) -> Option<ServiceName> {
        let host = request.uri().host()?.to_ascii_lowercase();
        let name = host.strip_suffix(DOMAIN)?;
        self.identity.grants.calls.iter().find(|service| service.as_str() == name).cloned()
    }

    fn warn(&mut self, request: &http::Request<WasiBody>) {
        if std::mem::replace(&mut self.warned, true) {
            return;
        }
        let Identity { grants, instance, request: id, .. } = &self.identity;
        let authority = request.uri().authority().map(http::uri::Authority::as_str);
        match request.uri().host().and_then(|host| host.strip_suffix(DOMAIN)) {
            Some(target) => tracing::warn!(
                service = %grants.service, instance, request_id = %id, authority,
                "outbound HTTP is denied: it needs `calls = [\"{target}\"]` in [service.{}]", grants.service
            ),
            None => tracing::warn!(
                service = %grants.service, instance, request_id = %id, authority,
                "outbound HTTP is denied: services reach each other as http://NAME.internal, and nothing outside the host"
            ),
        }
    }
}

/// What the trait calls the future of a body's transmission.
type Transmission = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(http::Response<WasiBody>, Transmission), Error>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        transmission: Transmission,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let Some(service) = self.target(&request) else {
            self.warn(&request);
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        };
        let exit = self.exit.clone();
        let now = Instant::now();
        let patience = options.and_then(|options| options.first_byte_timeout);
        let context = self.context.deeper(now).within(now, patience.unwrap_or(Duration::MAX));
        let by = self.identity.clone();
        Box::new(async move {
            let answer = match exit.open() {
                Ok(outcall) => outcall.send(&service, for_host(request, &context.request_id), context).await,
                Err(error) => Err(error),
            };
            // The guest's own failure to send its body shows in the body. Its transmission has nothing to add.
            drop(transmission);
            match answer {
                Ok(answer) => {
                    let answer = answer.map(|body| body.map_err(|error| told_of_body(&error)).boxed_unsync());
                    Ok((answer, Box::new(std::future::ready(Ok(()))) as Transmission))
                }
                Err(error) => {
                    by.failed_to_call(&service, "by HTTP", &error);
                    Err(told(error.kind))
                }
            }
        })
    }
}

/// A failure as a guest reads it.
fn told(kind: ErrorKind) -> Error {
    match kind {
        ErrorKind::NoEndpoint => Error::DestinationNotFound,
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
