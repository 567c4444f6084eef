//! A guest's way out by HTTP: there is none yet.
//!
//! Every guest can import an HTTP client, and a component of another toolchain usually does. Until the manifest has a list of allowed
//! hosts, each request is denied here, with an error that the guest sees and a line in the log that says so.

use super::context::Identity;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

pub(super) struct Outbound {
    identity: Identity,
    /// The log says it once for each instance.
    warned: bool,
}

impl Outbound {
    pub(super) fn new(identity: Identity) -> Self {
        Self { identity, warned: false }
    }
}

/// What the trait calls the future of a body's transmission.
type Transmission = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(http::Response<WasiBody>, Transmission), Error>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _transmission: Transmission,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let Identity { grants, instance, request: id, .. } = &self.identity;
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(
                service = %grants.service, instance, request_id = %id, authority = request.uri().authority().map(|a| a.as_str()),
                "outbound HTTP is denied: services have no way out of the host"
            );
        }
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}
