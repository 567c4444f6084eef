//! HTTP without Atoll: a native server in a process of its own, and a native client.
//!
//! Both are the minimum that hyper needs. Atoll is compared with them, so anything slow in them would flatter Atoll.

use crate::process::Process;
use anyhow::{Context, ensure};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{Request, Response, StatusCode, request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use tokio::net::{TcpListener, TcpStream};

/// The server's answer: the same as that of the component that it is compared with.
const ANSWER: &str = "types";

/// Starts this program again to run [`serve`], and returns the address on which it listens. The server ends when the
/// process is dropped.
///
/// # Errors
/// If it ends before it listens.
pub(crate) fn start() -> anyhow::Result<(Process, String)> {
    Process::of_this_program(&["--native-server"])
}

/// Passes its address to `announce`, and gives every request the same answer until the process is ended.
///
/// # Errors
/// If it cannot listen or cannot report its address.
pub(crate) async fn serve(announce: impl FnOnce(&str) -> std::io::Result<()>) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(&listener.local_addr()?.to_string())?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let answer = service_fn(async |_| {
                let mut answer = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
                answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
                Ok::<_, Infallible>(answer)
            });
            // A client that disconnects is not an error of the server.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// A client with one kept connection: it sends a request, reads the whole answer, and sends the next.
#[derive(Debug)]
pub(crate) struct Client {
    connection: SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

impl Client {
    /// # Errors
    /// If nothing listens at `address`.
    pub(crate) async fn connect(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| address.to_owned())?;
        // With Nagle's algorithm, the kernel's delayed acknowledgement would be measured.
        stream.set_nodelay(true)?;
        let (connection, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // An error of the connection shows in the next request.
        tokio::spawn(driver);
        Ok(Self { connection, host: HeaderValue::from_str(address)? })
    }

    /// The body of `path`.
    ///
    /// # Errors
    /// If the connection breaks, or the status is not 200.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Bytes> {
        let (status, body) = self.get_any_status(path).await?;
        ensure!(status == StatusCode::OK, "{path}: {status}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    }

    /// The status and the body of `path`, whatever the status is.
    ///
    /// # Errors
    /// If the connection breaks.
    pub(crate) async fn get_any_status(&mut self, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
        let answer = self.send(Request::get(path), Bytes::new()).await?;
        Ok((answer.status(), answer.into_body()))
    }

    /// The whole answer to a request, whatever its status is.
    ///
    /// # Errors
    /// If the connection breaks.
    pub(crate) async fn send(&mut self, request: request::Builder, body: Bytes) -> anyhow::Result<Response<Bytes>> {
        self.connection.ready().await?;
        let request = request.header(HOST, &self.host).body(Full::new(body))?;
        let (head, body) = self.connection.send_request(request).await?.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }

    /// Whether the server has ended the connection.
    pub(crate) fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_client_reuses_its_connection() {
        let (sender, address) = oneshot::channel();
        let server = tokio::spawn(serve(|address| sender.send(address.to_owned()).map_err(std::io::Error::other)));
        let mut client = Client::connect(&address.await.unwrap()).await.unwrap();
        for _ in 0..2 {
            assert_eq!(client.get("/").await.unwrap(), ANSWER);
        }
        server.abort();
    }
}
