//! The client of one place, with its pool of connections.

use super::connector::{Connector, DialError};
use super::{Dial, head};
use crate::base::{Body, BodyError, CallContext, ErrorKind};
use crate::egress::EgressRule;
use http::uri::{Parts, PathAndQuery, Scheme};
use http::{Uri, Version};
use http_body_util::BodyExt;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long an unused connection is kept: less than the minute and more after which servers close theirs (nginx 75 s).
const IDLE: Duration = Duration::from_secs(60);
/// Unused connections that are kept for the place.
const MOST_IDLE: usize = 256;

/// A client of one place, whose connections are pooled; cheap to clone, and the clones share the pool.
#[derive(Clone)]
pub struct HttpClient(Arc<ClientState>);

struct ClientState {
    base: Uri,
    /// A host that is not ours.
    outside: bool,
    client: Client<Connector, Body>,
}

impl HttpClient {
    /// The client of a service of ours at `base` (scheme, authority and perhaps a path that goes before that of every request), which is
    /// always reached at `peer`. By TLS the certificate must be for the host of `base`.
    pub fn fixed(base: Uri, peer: SocketAddr, dial: &Dial) -> Self {
        let connector = Connector::fixed(&base, peer, dial);
        Self::new(base, false, connector)
    }

    /// The client of an outside host, as one service may reach it: `base`'s host is looked up for each new connection, and only addresses
    /// that `rule` admits are connected to.
    pub fn checked(base: Uri, rule: EgressRule, dial: &Dial) -> Self {
        let connector = Connector::checked(&base, rule, dial);
        Self::new(base, true, connector)
    }

    fn new(base: Uri, outside: bool, connector: Connector) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MOST_IDLE)
            .build(connector);
        Self(Arc::new(ClientState { base, outside, client }))
    }

    /// Where its requests go.
    pub fn base(&self) -> &Uri {
        &self.0.base
    }

    /// Sends `request`, whose path goes below the base's, and waits for the answer's head until the context's deadline; the answer's body
    /// streams. The host that the request's address names has no meaning.
    ///
    /// # Errors
    /// The kind, and what happened, for the log:
    /// - [`ErrorKind::Denied`]: the host has no address but forbidden ones; nothing was sent.
    /// - [`ErrorKind::Connect`]: no connection, be it for the network, the name, TLS, or the time, or one that closed at once; nothing was
    ///   sent.
    /// - [`ErrorKind::Reset`]: the connection broke off before the head came.
    /// - [`ErrorKind::Timeout`]: the deadline passed.
    pub async fn send(
        &self,
        request: http::Request<Body>,
        context: &CallContext,
    ) -> Result<http::Response<Body>, (ErrorKind, String)> {
        let ClientState { base, outside, client } = &*self.0;
        let (mut parts, body) = request.into_parts();
        parts.uri = join(base, &parts.uri).map_err(|error| (ErrorKind::Host, format!("no address: {error}")))?;
        // Each hop speaks its own version, whatever the one before spoke (RFC 9110, section 2.5).
        parts.version = Version::HTTP_11;
        if *outside {
            head::for_outside(&mut parts.headers, base);
        } else {
            head::for_service(&mut parts.headers, base, context, std::time::Instant::now());
        }
        let sent = client.request(http::Request::from_parts(parts, body));
        let mut answer = match timeout_at(Instant::from_std(context.deadline), sent).await {
            Err(_) => return Err((ErrorKind::Timeout, "no answer before the deadline".into())),
            Ok(Err(error)) => return Err((kind(&error), explain(&error))),
            Ok(Ok(answer)) => answer,
        };
        if *outside {
            head::end_hop(answer.headers_mut());
        }
        Ok(answer.map(|body| body.map_err(|error| BodyError::new(ErrorKind::Reset, explain(&error))).boxed_unsync()))
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpClient").field(&self.0.base).finish()
    }
}

/// The place that a request's address names, in one form for all its addresses: scheme, host in small letters and port, which is left out
/// where it is the scheme's own; a name loses its final dot. `None`: the address names none, or its scheme is another than `http` and `https`.
pub(in crate::mesh) fn origin(address: &Uri) -> Option<Uri> {
    let scheme = address.scheme().filter(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme))?;
    let host = address.host()?.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let own = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let authority = match address.port_u16().filter(|port| *port != own) {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    Uri::builder().scheme(scheme.clone()).authority(authority).path_and_query("/").build().ok()
}

/// The request's path and query below the base's path.
fn join(base: &Uri, path: &Uri) -> Result<Uri, http::Error> {
    let below = path.path_and_query().map_or("/", PathAndQuery::as_str);
    let joined = format!("{}{below}", base.path().trim_end_matches('/'));
    let mut parts = Parts::default();
    parts.scheme = base.scheme().cloned();
    parts.authority = base.authority().cloned();
    parts.path_and_query = Some(joined.parse()?);
    Ok(Uri::from_parts(parts)?)
}

fn kind(error: &Error) -> ErrorKind {
    let dialled = causes(error).find_map(|cause| cause.downcast_ref::<DialError>());
    match dialled {
        Some(DialError::Forbidden { .. }) => ErrorKind::Denied,
        Some(_) => ErrorKind::Connect,
        None if error.is_connect() || causes(error).any(is_unsent) => ErrorKind::Connect,
        None => ErrorKind::Reset,
    }
}

/// hyper calls a request cancelled that it still has whole: the connection closed before it was written.
fn is_unsent(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
}

/// The whole chain of causes: hyper keeps what happened at its end.
fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    let texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    texts.join(": ")
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_keeps_its_path() {
        let joined = |base: &str, path: &str| join(&base.parse().unwrap(), &path.parse().unwrap()).unwrap().to_string();
        assert_eq!(joined("http://h:1", "/users?x=1"), "http://h:1/users?x=1");
        assert_eq!(joined("http://h:1/v2/", "/users"), "http://h:1/v2/users");
        assert_eq!(joined("http://h:1/v2", "/"), "http://h:1/v2/");
        assert_eq!(joined("https://h", "http://other/x?y"), "https://h/x?y");
    }

    #[test]
    fn an_origin_has_one_form() {
        let form = |text: &str| origin(&text.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(form("https://me:pw@API.example.:443/x?y"), Some("https://api.example/".into()));
        assert_eq!(form("http://a:80/"), Some("http://a/".into()));
        assert_eq!(form("http://a:443"), Some("http://a:443/".into()));
        assert_eq!(form("https://[::1]:8443/x"), Some("https://[::1]:8443/".into()));
        assert_eq!(form("ftp://a/x"), None);
        assert_eq!(form("/x"), None);
    }
}
