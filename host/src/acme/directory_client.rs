//! HTTP to the authority: over the client of `mesh`, by `https` alone (RFC 8555, section 6.1).

use super::acme_error::AcmeError;
use super::settings::Settings;
use crate::base::{CallContext, RequestId, full_body};
use crate::egress::EgressRule;
use crate::mesh::{Dial, HttpClient, Tls};
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use instant_acme::{BodyWrapper, BytesResponse, Error};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The longest answer, in bytes: a chain of certificates has some thousand.
const LONGEST: usize = 1 << 20;
/// How long an exchange may take.
const EXCHANGE: Duration = Duration::from_secs(30);
/// The most hosts of one authority: its directory may name addresses of several.
const HOSTS: usize = 8;

/// What talks to the authority. Clones share the connections and what was noted.
#[derive(Clone)]
pub(super) struct DirectoryClient {
    tls: Tls,
    shared: Arc<SharedDirectory>,
}

#[derive(Default)]
struct SharedDirectory {
    /// By scheme and authority.
    clients: Mutex<HashMap<String, HttpClient>>,
    /// What the last refusal says of when to come again.
    retry_after: Mutex<Option<Duration>>,
}

impl DirectoryClient {
    /// A client that trusts the roots of `settings`.
    ///
    /// # Errors
    /// They cannot be read.
    pub(super) fn new(settings: &Settings) -> Result<Self, AcmeError> {
        let tls = settings.ca.as_deref().map_or_else(Tls::system, Tls::with_ca)?;
        Ok(Self { tls, shared: Arc::default() })
    }

    /// How long the authority wants to be left alone, by the `Retry-After` of its last refusal. It is told once.
    pub(super) fn take_retry_after(&self) -> Option<Duration> {
        self.shared.retry_after.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The client of the host that `address` names. Whoever wrote the manifest may name an authority that is not
    /// public, so private addresses are allowed.
    fn client(&self, address: &Uri) -> Result<HttpClient, String> {
        let (Some("https"), Some(authority)) = (address.scheme_str(), address.authority()) else {
            return Err(format!("the authority names the address {address}, which is not https"));
        };
        let base = format!("https://{authority}");
        let mut clients = self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&base) {
            return Ok(client.clone());
        }
        if clients.len() >= HOSTS {
            return Err(format!("the authority names addresses of more than {HOSTS} hosts"));
        }
        let rule = EgressRule::parse(&base, true).map_err(|error| error.to_string())?;
        let uri = base.parse().map_err(|_| format!("{base} is no address"))?;
        let client = HttpClient::checked(uri, rule, &Dial { tls: Some(self.tls.clone()), ..Dial::default() });
        clients.insert(base, client.clone());
        Ok(client)
    }

    async fn exchange(&self, request: Request<BodyWrapper<Bytes>>) -> Result<Response<Full<Bytes>>, String> {
        let (mut parts, body) = request.into_parts();
        let client = self.client(&parts.uri)?;
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        parts.uri = target.parse().map_err(|_| "the authority names a wrong address".to_owned())?;
        let body = body.collect().await.map_or_else(|never| match never {}, http_body_util::Collected::to_bytes);
        let request = Request::from_parts(parts, full_body(body));
        let context = CallContext::new(RequestId::from_random(rand::random()), Instant::now(), EXCHANGE);
        let exchange = async {
            let answer = client.send(request, &context).await.map_err(|error| error.to_string())?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, LONGEST).collect().await.map_err(|error| error.to_string())?;
            Ok(Response::from_parts(parts, Full::new(body.to_bytes())))
        };
        let answer: Result<Result<_, String>, _> = timeout(EXCHANGE, exchange).await;
        let answer = answer.unwrap_or_else(|_| Err("it does not answer in time".to_owned()))?;
        if matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let mut noted = self.shared.retry_after.lock().unwrap_or_else(PoisonError::into_inner);
            *noted = seconds.map(Duration::from_secs);
        }
        Ok(answer)
    }
}

impl instant_acme::HttpClient for DirectoryClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let answer = client.exchange(request).await;
            answer.map(BytesResponse::from).map_err(|error| Error::Other(error.into()))
        })
    }
}
