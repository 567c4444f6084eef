//! The services that the native orders calls, over HTTP with kept connections.

use super::products::Wanted;
use super::refusal::Refusal;
use super::wire::{Product, ReservedLine, User};
use anyhow::Context;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;

pub(super) struct Dependencies {
    http: Client<HttpConnector, Full<Bytes>>,
    users: Authority,
    products: Authority,
}

impl Dependencies {
    /// The services at these addresses.
    pub(super) fn new(users: &str, products: &str) -> anyhow::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Self {
            http: Client::builder(TokioExecutor::new()).build(connector),
            users: users.parse().context("the address of users")?,
            products: products.parse().context("the address of products")?,
        })
    }

    /// The user with this id.
    pub(super) async fn find_user(&self, id: u64) -> Result<Option<User>, Refusal> {
        found(self.call(Method::GET, &self.users, &format!("/users/{id}"), Bytes::new()).await)
    }

    /// The products with these ids, in the order of the ids.
    pub(super) async fn find_products(&self, ids: &[u64]) -> Result<Vec<Option<Product>>, Refusal> {
        let mut path = String::from("/products/by-ids/");
        for (index, id) in ids.iter().enumerate() {
            path.push_str(if index == 0 { "" } else { "," });
            path.push_str(&id.to_string());
        }
        self.call(Method::GET, &self.products, &path, Bytes::new()).await
    }

    /// Takes stock.
    pub(super) async fn reserve(&self, wanted: &Wanted) -> Result<Vec<ReservedLine>, Refusal> {
        let body = serde_json::to_vec(wanted).map_err(|error| Refusal::Internal(error.to_string()))?;
        self.call(Method::POST, &self.products, "/reservations", body.into()).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        authority: &Authority,
        path: &str,
        body: Bytes,
    ) -> Result<T, Refusal> {
        let failed = |error: String| Refusal::Unavailable(format!("{authority}: {error}"));
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(authority.clone());
        parts.path_and_query = Some(PathAndQuery::try_from(path).map_err(|error| failed(error.to_string()))?);
        let uri = Uri::from_parts(parts).map_err(|error| failed(error.to_string()))?;
        let mut request = Request::builder().method(method).uri(uri);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body)).map_err(|error| failed(error.to_string()))?;
        let answer = self.http.request(request).await.map_err(|error| failed(error.to_string()))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| failed(error.to_string()))?.to_bytes();
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map_err(|error| Refusal::Internal(error.to_string())),
            StatusCode::NOT_FOUND => Err(Refusal::NotFound),
            StatusCode::CONFLICT => Err(Refusal::Conflict(String::from_utf8_lossy(&body).into_owned())),
            _ => Err(failed(format!("{status}: {}", String::from_utf8_lossy(&body)))),
        }
    }
}

/// `None` if the answer is 404.
fn found<T>(answer: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(Refusal::NotFound) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}
