//! An issuer of tokens: its keys, the address at which it publishes them, and what it answers about tokens.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// The issuer and the audience of the tests' tokens.
pub const ISSUER: &str = "https://id.example";
pub const AUDIENCE: &str = "shop";
/// An RSA key for tests alone: ring makes none.
pub const RSA_PEM: &str = include_str!("../../../host/rules/src/identity/tests/rsa_key.pem");

pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The claims of a good token, with these changes; `null` takes a claim out.
pub fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": now() + 300, "scope": "orders:read", "tenant": "acme",
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

/// A signed token of these parts, as they are.
pub fn signed(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let text = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let signature = encode(sign(text.as_bytes()));
    format!("{text}.{signature}")
}

/// A token by HMAC.
pub fn by_secret(secret: &[u8], claims: &Value) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    signed(&json!({ "alg": "HS256" }), claims, |text| hmac::sign(&key, text).as_ref().to_vec())
}

/// A key of ES256 with an id.
pub struct EcKey {
    pub id: &'static str,
    pair: EcdsaKeyPair,
}

impl EcKey {
    pub fn new(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).unwrap();
        Self { id, pair }
    }

    pub fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({ "kty": "EC", "crv": "P-256", "kid": self.id, "x": encode(x), "y": encode(y) })
    }

    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec()
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({ "alg": "ES256", "kid": self.id }), claims)
    }

    /// A token with this header too.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        signed(header, claims, |text| self.sign(text))
    }
}

/// The RSA key.
pub fn rsa() -> RsaKeyPair {
    let pem: String = RSA_PEM.lines().filter(|line| !line.starts_with('-')).collect();
    RsaKeyPair::from_pkcs8(&STANDARD.decode(pem).unwrap()).unwrap()
}

pub fn rsa_jwk(key: &RsaKeyPair) -> Value {
    let parts: ring::rsa::PublicKeyComponents<Vec<u8>> = key.public().into();
    json!({ "kty": "RSA", "kid": "rsa", "n": encode(parts.n), "e": encode(parts.e) })
}

pub fn rsa_sign(key: &RsaKeyPair, text: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).unwrap();
    signature
}

/// The text of a JWK set.
pub fn jwks(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// A server that answers `/jwks` and `/introspect`. It ends when this is dropped.
pub struct IssuerServer {
    pub address: SocketAddr,
    state: Arc<Mutex<IssuerState>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
pub struct IssuerState {
    /// The text of `/jwks`; `None`: it answers 503.
    pub jwks: Option<String>,
    /// The answers about tokens; others are inactive. `None`: it answers 503.
    pub tokens: Option<BTreeMap<String, Value>>,
    /// How often each path was asked, and what `Authorization` was.
    pub asked: Vec<(String, String)>,
}

impl IssuerServer {
    pub async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::<Mutex<IssuerState>>::default());
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(stream, state).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, state).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, state, task }
    }

    /// Reads or changes what it answers.
    pub fn with<T>(&self, with: impl FnOnce(&mut IssuerState) -> T) -> T {
        with(&mut self.state.lock().unwrap())
    }

    /// How often `path` was asked.
    pub fn asked(&self, path: &str) -> usize {
        self.with(|state| state.asked.iter().filter(|(asked, _)| asked == path).count())
    }
}

impl Drop for IssuerServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<Mutex<IssuerState>>) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(answer(&state, request).await) }
    });
    // A host that ends breaks its connections.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(state: &Mutex<IssuerState>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let mut state = state.lock().unwrap();
    let authorization = head.headers.get("authorization").map_or("", |value| value.to_str().unwrap());
    state.asked.push((head.uri.path().to_owned(), authorization.to_owned()));
    let text = match head.uri.path() {
        "/jwks" => state.jwks.clone(),
        _ => state.tokens.as_ref().map(|tokens| {
            let body = String::from_utf8_lossy(&body);
            let token = body.split('&').find_map(|field| field.strip_prefix("token=")).unwrap();
            tokens.get(token).cloned().unwrap_or_else(|| json!({ "active": false })).to_string()
        }),
    };
    let status = if text.is_some() { 200 } else { 503 };
    Response::builder().status(status).body(Full::from(text.unwrap_or_default())).unwrap()
}
