//! The HTTP client of one address or host, with its pool of connections.

use super::connector::{Connector, DialError};
use super::dial::Dial;
use super::request_head;
use crate::base::{Body, BodyError, CallContext, ErrorKind, remove_hop_by_hop};
use crate::egress::EgressRule;
use crate::mesh::error::TryError;
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
/// The most unused connections that are kept.
const MOST_IDLE: usize = 256;

/// A client of one address or host, whose connections are pooled; cheap to clone, and the clones share the pool.
#[derive(Clone)]
pub struct HttpClient(Arc<ClientState>);

struct ClientState {
    base: Uri,
    /// Whether it is an outside host, which learns nothing about this one.
    outside: bool,
    client: Client<Connector, Body>,
}

impl HttpClient {
    /// The client of one of the manifest's services at `base`: scheme, authority, and perhaps a path that is put before
    /// the path of every request. Connections go to `peer`. With TLS the certificate must be for the host of `base`.
    pub fn fixed(base: Uri, peer: SocketAddr, dial: &Dial) -> Self {
        let connector = Connector::fixed(&base, peer, dial);
        Self::new(base, false, connector)
    }

    /// The client of an outside host, as one service may reach it. The host of `base` is looked up for each new
    /// connection, which goes only to an address that `rule` admits.
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

    /// What its requests' addresses begin with.
    pub fn base(&self) -> &Uri {
        &self.0.base
    }

    /// Sends `request`, whose path is put below the base's, and waits for the answer's head until the context's
    /// deadline; the answer's body streams. Scheme and host in the request's address are ignored.
    ///
    /// # Errors
    /// - [`ErrorKind::Denied`]: all addresses of the host are forbidden; nothing was sent.
    /// - [`ErrorKind::Connect`]: no connection, whether the network, the name, TLS or the time was the reason, or a
    ///   connection that closed at once; nothing was sent.
    /// - [`ErrorKind::Reset`]: the connection broke off before the head came.
    /// - [`ErrorKind::Timeout`]: the deadline passed.
    pub async fn send(
        &self,
        request: http::Request<Body>,
        context: &CallContext,
    ) -> Result<http::Response<Body>, TryError> {
        let ClientState { base, outside, client } = &*self.0;
        let (mut parts, body) = request.into_parts();
        let no_address =
            |error: http::Error| TryError::new(ErrorKind::Host, format!("no address: {error}")).caused_by(error);
        parts.uri = join(base, &parts.uri).map_err(no_address)?;
        // Each hop speaks its own version of HTTP, whatever the hop before it spoke (RFC 9110, section 2.5).
        parts.version = Version::HTTP_11;
        if *outside {
            request_head::for_outside(&mut parts.headers, base);
        } else {
            request_head::for_service(&mut parts.headers, base, context, std::time::Instant::now());
        }
        let sent = client.request(http::Request::from_parts(parts, body));
        let mut answer = match timeout_at(Instant::from_std(context.deadline), sent).await {
            Err(_) => return Err(TryError::new(ErrorKind::Timeout, "no answer before the deadline")),
            Ok(Err(error)) => return Err(TryError::new(kind(&error), explain(&error)).caused_by(error)),
            Ok(Ok(answer)) => answer,
        };
        if *outside {
            remove_hop_by_hop(answer.headers_mut());
        }
        Ok(answer.map(|body| body.map_err(|error| BodyError::new(ErrorKind::Reset, explain(&error))).boxed_unsync()))
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpClient").field(&self.0.base).finish()
    }
}

/// The origin of an address, in one form for all spellings: the scheme, the host in small letters and without a final
/// dot, and the port unless it is the scheme's own. `None` if the address has no host, or another scheme than `http`
/// and `https`.
pub(crate) fn origin(address: &Uri) -> Option<Uri> {
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

/// Whether nothing was sent: hyper calls a request "cancelled" whose connection closed before a byte of it was written.
fn is_unsent(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
}

/// The whole chain of causes: hyper's own text names only the step that failed, and the end of the chain says why.
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
    fn the_path_of_a_request_goes_below_the_path_of_the_base() {
        let joined = |base: &str, path: &str| join(&base.parse().unwrap(), &path.parse().unwrap()).unwrap().to_string();
        assert_eq!(joined("http://h:1", "/users?x=1"), "http://h:1/users?x=1");
        assert_eq!(joined("http://h:1/v2/", "/users"), "http://h:1/v2/users");
        assert_eq!(joined("http://h:1/v2", "/"), "http://h:1/v2/");
        assert_eq!(joined("https://h", "http://other/x?y"), "https://h/x?y");
    }

    #[test]
    fn all_spellings_of_an_address_have_one_origin() {
        let form = |text: &str| origin(&text.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(form("https://me:pw@API.example.:443/x?y"), Some("https://api.example/".into()));
        assert_eq!(form("http://a:80/"), Some("http://a/".into()));
        assert_eq!(form("http://a:443"), Some("http://a:443/".into()));
        assert_eq!(form("https://[::1]:8443/x"), Some("https://[::1]:8443/".into()));
        assert_eq!(form("ftp://a/x"), None);
        assert_eq!(form("/x"), None);
    }
}
