//! Files and addresses of issuers, as the gateway asks them.

use crate::base::{CallContext, RequestId, full_body};
use crate::config::{IssuerAddress, SecretText};
use crate::egress::EgressRule;
use crate::gateway::{AskIssuer, IssuerFuture, KeySource};
use crate::mesh::{Dial, HttpClient, Tls};
use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The longest JWK set, and the longest answer about a token, in bytes.
const LONGEST: usize = 1 << 20;
/// How long a fetch of keys may take.
const FETCH: Duration = Duration::from_secs(5);

/// A JWK set in a file.
pub(in crate::app) struct KeySetFile(pub(in crate::app) PathBuf);

impl KeySetFile {
    /// Its text, of 1 MiB at most.
    pub(in crate::app) fn read(&self) -> std::io::Result<Bytes> {
        let mut text = Vec::new();
        File::open(&self.0)?.take(LONGEST as u64 + 1).read_to_end(&mut text)?;
        if text.len() > LONGEST { Err(std::io::Error::other("it is longer than 1 MiB")) } else { Ok(text.into()) }
    }
}

impl KeySource for KeySetFile {
    fn fetch(&self) -> IssuerFuture<'_> {
        let own = Self(self.0.clone());
        Box::pin(async move {
            let read = spawn_blocking(move || own.read());
            read.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
        })
    }
}

/// An address of an issuer, with its connections.
pub(super) struct IssuerClient {
    client: HttpClient,
    /// The path and the query.
    target: Uri,
}

impl IssuerClient {
    /// A client of `address`. Whoever wrote the manifest may name an address that is not public.
    ///
    /// # Errors
    /// Its root certificates cannot be read.
    pub(super) fn new(address: &IssuerAddress) -> anyhow::Result<Self> {
        let IssuerAddress { uri, ca } = address;
        let authority = uri.authority().context("the address of an issuer has a host")?;
        let base = format!("{}://{authority}", uri.scheme_str().unwrap_or("https"));
        let rule = EgressRule::parse(&base, true).map_err(|error| anyhow::anyhow!("{error}: {}", error.help()))?;
        let tls = match (uri.scheme_str(), ca) {
            (Some("http"), _) => None,
            (_, Some(ca)) => Some(Tls::with_ca(ca)?),
            (_, None) => Some(Tls::system()?),
        };
        let client = HttpClient::checked(base.parse()?, rule, &Dial { tls, ..Dial::default() });
        let target = uri.path_and_query().map_or("/", |target| target.as_str()).parse()?;
        Ok(Self { client, target })
    }

    /// The body of the answer with status 200 to a request with this body and these headers.
    async fn exchange(&self, request: http::request::Builder, body: Bytes) -> Result<Bytes, String> {
        let request = request.uri(self.target.clone()).header(ACCEPT, "application/json");
        let request = request.body(full_body(body)).map_err(|error| error.to_string())?;
        let context = CallContext::new(RequestId::from_random(rand::random()), Instant::now(), FETCH);
        let exchange = async {
            let answer = self.client.send(request, &context).await.map_err(|error| error.to_string())?;
            if answer.status() != StatusCode::OK {
                return Err(format!("it answers with status {}", answer.status().as_u16()));
            }
            let body = Limited::new(answer.into_body(), LONGEST).collect().await.map_err(|error| error.to_string())?;
            Ok(body.to_bytes())
        };
        timeout(FETCH, exchange).await.unwrap_or_else(|_| Err("it does not answer in time".into()))
    }
}

impl KeySource for IssuerClient {
    fn fetch(&self) -> IssuerFuture<'_> {
        Box::pin(self.exchange(Request::builder().method(Method::GET), Bytes::new()))
    }
}

/// An issuer that is asked about tokens.
pub(super) struct IssuerQuestions {
    client: IssuerClient,
    /// How this host proves itself.
    authorization: HeaderValue,
}

impl IssuerQuestions {
    /// Questions of the client `id` (RFC 6749, section 2.3.1: both parts are form-encoded before Basic joins them).
    pub(super) fn new(client: IssuerClient, (id, secret): &(String, SecretText)) -> anyhow::Result<Self> {
        let joined = format!("{}:{}", form_encode(id), form_encode(secret.expose()));
        let mut authorization = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(joined)))?;
        authorization.set_sensitive(true);
        Ok(Self { client, authorization })
    }
}

impl AskIssuer for IssuerQuestions {
    fn ask<'a>(&'a self, token: &'a str) -> IssuerFuture<'a> {
        let body = format!("token={}&token_type_hint=access_token", form_encode(token));
        let request = Request::builder().method(Method::POST).header(AUTHORIZATION, &self.authorization);
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        Box::pin(self.client.exchange(request, body.into()))
    }
}

/// A value of a form, with each byte that has a meaning of its own escaped.
fn form_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._*".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // A string takes everything.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
