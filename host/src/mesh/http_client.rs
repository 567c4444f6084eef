//! Plain HTTP endpoints: a service that is not WebAssembly yet.

use crate::base::{Body, BodyError, CallContext, ErrorKind};
use http::Uri;
use http::uri::{Parts, PathAndQuery};
use http_body_util::BodyExt;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Longest wait for a connection: an address in reach answers in milliseconds.
const CONNECT: Duration = Duration::from_secs(1);
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);
/// Unused connections that are kept for each address.
const MOST_IDLE: usize = 256;

/// A client whose connections are pooled for each address; cheap to clone.
#[derive(Clone)]
pub struct HttpClient(Client<HttpConnector, Body>);

impl Default for HttpClient {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MOST_IDLE)
            .build(connector);
        Self(client)
    }
}

impl HttpClient {
    /// Sends `request` to `base`; the answer's body streams.
    pub(super) async fn send(
        &self,
        base: &Uri,
        request: http::Request<Body>,
        context: &CallContext,
    ) -> Result<http::Response<Body>, (ErrorKind, String)> {
        let (mut parts, body) = request.into_parts();
        parts.uri = join(base, &parts.uri).map_err(|error| (ErrorKind::Host, format!("no address: {error}")))?;
        let sent = self.0.request(http::Request::from_parts(parts, body));
        match timeout_at(Instant::from_std(context.deadline), sent).await {
            Err(_) => Err((ErrorKind::Timeout, "no answer before the deadline".into())),
            Ok(Err(error)) => Err((kind(&error), explain(&error))),
            Ok(Ok(response)) => Ok(response
                .map(|body| body.map_err(|error| BodyError::new(ErrorKind::Reset, error.to_string())).boxed_unsync())),
        }
    }
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
    if error.is_connect() { ErrorKind::Connect } else { ErrorKind::Reset }
}

/// The whole chain of causes: hyper keeps what happened at its end.
fn explain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
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
    }
}
