//! The record as JSON over HTTP/1.1.

use crate::callers::{Extent, Seen, all};
use crate::record::{Person, person};
use anyhow::ensure;
use axum::routing::post;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;

/// Answers with the record that it is given.
pub async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    let listener = listener.tap_io(|stream| {
        // This fails for a connection that has ended, which the server notices itself.
        let _ = stream.set_nodelay(true);
    });
    let router = Router::new().route("/echo", post(async |Json(person): Json<Person>| Json(person)));
    Ok(axum::serve(listener, router).await?)
}

/// Calls with kept connections.
pub async fn call(address: &str, extent: Extent) -> anyhow::Result<Seen> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let url = format!("http://{address}/echo");
    all(extent, move || {
        let (client, url) = (client.clone(), url.clone());
        async move {
            let sent = person();
            let request = Request::post(url).header("content-type", "application/json");
            let answer = client.request(request.body(Full::new(serde_json::to_vec(&sent)?.into()))?).await?;
            ensure!(answer.status() == 200, "status {}", answer.status());
            let found: Person = serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?;
            ensure!(found == sent, "another record came back");
            Ok(())
        }
    })
    .await
}
