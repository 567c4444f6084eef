//! The HTTP client of one address or host, with its pool of connections.

use super::connection_pool::ConnectionPool;
use super::connector::Connector;
use super::dial::Dial;
use super::exchange::{Unanswered, exchange};
use super::http_connection::{HttpConnection, SentBody};
use super::shared_connections::SharedConnections;
use super::upstream_body::UpstreamBody;
use super::{answer_framing, content, failure, request_head};
use crate::base::{Body, CallContext, ConnectionNotice, ErrorKind, InterimNotice};
use crate::egress::EgressRule;
use crate::mesh::error::TryError;
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use http_body_util::BodyExt;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// A client of one address or host, whose connections are pooled; cheap to clone, and the clones share the pool.
#[derive(Clone)]
pub struct HttpClient(Arc<ClientState>);

struct ClientState {
    base: Uri,
    /// Whether it is an outside host, which learns nothing about this one.
    outside: bool,
    connector: Connector,
    pool: Arc<ConnectionPool>,
    /// `None` for HTTP/1.1.
    shared: Option<SharedConnections>,
}

impl HttpClient {
    /// The client of one of the manifest's services at `base`: scheme, authority, and perhaps a path that is put before
    /// the path of every request. Connections go to `peer`. With TLS the certificate must be for the host of `base`.
    pub fn fixed(base: Uri, peer: SocketAddr, dial: &Dial) -> Self {
        let connector = Connector::fixed(&base, peer, dial);
        Self::new(base, false, connector, dial.http2)
    }

    /// The client of an outside host, as one service may reach it. The host of `base` is looked up for each new
    /// connection, which goes only to an address that `rule` admits.
    pub fn checked(base: Uri, rule: EgressRule, dial: &Dial) -> Self {
        let connector = Connector::checked(&base, rule, dial);
        Self::new(base, true, connector, dial.http2)
    }

    fn new(base: Uri, outside: bool, connector: Connector, http2: bool) -> Self {
        let shared = http2.then(SharedConnections::default);
        Self(Arc::new(ClientState { base, outside, connector, pool: ConnectionPool::new(), shared }))
    }

    /// What its requests' addresses begin with.
    pub fn base(&self) -> &Uri {
        &self.0.base
    }

    /// Whether it is an outside host, which learns nothing about this one.
    pub(super) fn is_outside(&self) -> bool {
        self.0.outside
    }

    /// How its connections are made.
    pub(super) fn connector(&self) -> &Connector {
        &self.0.connector
    }

    /// Sends `request`, whose path is put below the base's, and waits for the answer's head until the context's
    /// deadline; the answer's body streams. Scheme and host in the request's address are ignored.
    ///
    /// # Errors
    /// - [`ErrorKind::Denied`]: all addresses of the host are forbidden; nothing was sent.
    /// - [`ErrorKind::Connect`]: no connection, whether the network, the name, TLS or the time was the reason, or a
    ///   connection that closed at once; nothing was sent.
    /// - [`ErrorKind::Reset`]: the connection broke off before the head came.
    /// - [`ErrorKind::BadAnswer`]: what came is no HTTP, or has a transfer coding that is not decoded.
    /// - [`ErrorKind::Timeout`]: the deadline passed.
    /// - The kind of the request's own body, if that failed; [`ErrorKind::ClientGone`] if it was too short, or if a GET
    ///   or HEAD has content of unknown length without [`StreamedContent`](crate::base::StreamedContent).
    pub async fn send(&self, request: Request<Body>, context: &CallContext) -> Result<Response<Body>, TryError> {
        if let Some(connections) = &self.0.shared {
            return Box::pin(self.send_shared(connections, request, context)).await;
        }
        match timeout_at(Instant::from_std(context.deadline), self.exchange(request, context)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(TryError::new(ErrorKind::Timeout, "no answer before the deadline")),
        }
    }

    async fn exchange(&self, request: Request<Body>, context: &CallContext) -> Result<Response<Body>, TryError> {
        let ClientState { base, outside, .. } = &*self.0;
        let (mut parts, body) = request.into_parts();
        let no_address =
            |error: http::Error| TryError::new(ErrorKind::Host, format!("no address: {error}")).caused_by(error);
        parts.uri = join(base, &parts.uri).map_err(no_address)?;
        // Each hop speaks its own version of HTTP, whatever the hop before it spoke (RFC 9110, section 2.5).
        parts.version = Version::HTTP_11;
        if *outside {
            request_head::for_outside(&mut parts.headers, base);
            if let Some(trace) = &context.trace {
                trace.write_outside_headers(&mut parts.headers);
            }
        } else {
            request_head::for_service(&mut parts.headers, base, context, std::time::Instant::now());
        }
        let (body, unsent) = content::frame(&mut parts, body);
        let told = parts.extensions.remove::<ConnectionNotice>();
        let interim = parts.extensions.remove::<InterimNotice>();
        let mut request = Request::from_parts(parts, body);
        if let Some(interim) = interim {
            hyper::ext::on_informational(&mut request, move |answer| interim.tell(answer.status(), answer.headers()));
        }
        let sent = tokio::select! {
            biased;
            wrong = unsent.content() => return Err(wrong),
            sent = self.deliver(request, told) => sent,
        };
        let mut answer = sent?;
        // hyper offers the connection with every 101, also with one that nobody has asked for: that is a bad answer.
        answer.extensions_mut().remove::<hyper::upgrade::OnUpgrade>();
        answer_framing::end(&mut answer).map_err(|wrong| TryError::new(ErrorKind::BadAnswer, wrong))?;
        Ok(answer.map(BodyExt::boxed_unsync))
    }

    /// Sends a request over a pooled connection, or over a new one. A server may close an idle connection at any time.
    /// So if a pooled connection closed before a byte of the request was written, the request goes over another one.
    async fn deliver(
        &self,
        request: Request<Body>,
        told: Option<ConnectionNotice>,
    ) -> Result<Response<UpstreamBody>, TryError> {
        let ClientState { connector, pool, .. } = &*self.0;
        let (mut request, body_end) = SentBody::of(request);
        loop {
            let connection = match pool.take() {
                Some(pooled) => pooled,
                // Boxed: a handshake of TLS is large, and most requests have a pooled connection.
                None => Box::pin(connect(connector)).await?,
            };
            if let Some(told) = &told {
                told.tell();
            }
            let reused = connection.reused;
            match exchange(connection, request, &body_end, pool).await {
                Ok(answer) => return Ok(answer),
                Err(Unanswered { unsent: Some(unsent), .. }) if reused => request = *unsent,
                Err(Unanswered { error, .. }) => return Err(error),
            }
        }
    }
}

/// Opens a new connection.
async fn connect(connector: &Connector) -> Result<HttpConnection, TryError> {
    HttpConnection::open(connector.connect().await.map_err(failure::of_dial)?).await
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

/// The request's path and query below the base's path. This is how a request names its target (RFC 9112, section
/// 3.2.1); scheme and host are the connection's.
pub(super) fn join(base: &Uri, path: &Uri) -> Result<Uri, http::Error> {
    let above = base.path().trim_end_matches('/');
    if above.is_empty() {
        return Ok(path.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")).into());
    }
    let below = path.path_and_query().map_or("/", PathAndQuery::as_str);
    Ok(PathAndQuery::from_maybe_shared(bytes::Bytes::from(format!("{above}{below}")))?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_request_goes_below_the_path_of_the_base() {
        let joined = |base: &str, path: &str| join(&base.parse().unwrap(), &path.parse().unwrap()).unwrap().to_string();
        assert_eq!(joined("http://h:1", "/users?x=1"), "/users?x=1");
        assert_eq!(joined("http://h:1/v2/", "/users"), "/v2/users");
        assert_eq!(joined("http://h:1/v2", "/"), "/v2/");
        assert_eq!(joined("https://h", "http://other/x?y"), "/x?y");
        assert_eq!(joined("https://h", "http://other?y"), "/?y");
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
