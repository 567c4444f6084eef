//! The bytes of the record over HTTP/2, which nobody reads: what hyper and the kernel cost.

use crate::callers::{Extent, Seen, all};
use crate::record::person;
use anyhow::ensure;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};

/// Answers with the bytes that it is given.
pub async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let answer = service_fn(async |request: Request<Incoming>| {
                request.into_body().collect().await.map(|body| Response::new(Full::new(body.to_bytes())))
            });
            // A client that disconnects is not an error of the server.
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// Calls over one connection.
pub async fn call(address: &str, extent: Extent) -> anyhow::Result<Seen> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (client, driver) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    // An error of the connection shows in the next request.
    tokio::spawn(driver);
    let (url, body) = (format!("http://{address}/"), Bytes::from(person().encode_to_vec()));
    all(extent, move || {
        let (mut client, request, sent) = (client.clone(), Request::post(url.clone()), body.clone());
        async move {
            let answer = client.send_request(request.body(Full::new(sent.clone()))?).await?;
            ensure!(answer.into_body().collect().await?.to_bytes() == sent, "other bytes came back");
            Ok(())
        }
    })
    .await
}
