//! HTTP exchanges that stay in flight for as long as a test wants, so that no test depends on timing.

use super::atoll::{Atoll, Http, TIMEOUT, eventually};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// An exchange in flight. The fixture `hostile` echoes what the test sends until the test ends the request. The
/// exchange keeps no instance: once the guest has declared the request body to be its answer, the host alone passes
/// it on.
#[derive(Debug)]
pub struct OpenExchange {
    pieces: mpsc::Sender<Bytes>,
    answer: Response<Incoming>,
}

impl OpenExchange {
    /// Begins an exchange with the `/echo` of the fixture at `path`, and waits until the first piece has come back.
    pub async fn begin(atoll: &Atoll, path: &str) -> Self {
        Self::try_begin(atoll, path).await.expect("the gateway answers 200")
    }

    /// As [`OpenExchange::begin`], but the gateway may refuse the request. The error is the status of the refusal.
    pub async fn try_begin(atoll: &Atoll, path: &str) -> Result<Self, StatusCode> {
        let gateway = atoll.gateway.strip_prefix("http://").unwrap();
        let stream = TcpStream::connect(gateway).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let (pieces, mut taken) = mpsc::channel(1);
        let body = stream::poll_fn(move |context| {
            taken
                .poll_recv(context)
                .map(|piece: Option<Bytes>| piece.map(|piece| Ok::<_, Infallible>(Frame::data(piece))))
        });
        let request = Request::post(path).header("host", gateway).body(StreamBody::new(body)).unwrap();
        let sent = tokio::time::timeout(TIMEOUT, sender.send_request(request)).await;
        let answer = sent.expect("the head of the answer did not come in time").unwrap();
        if answer.status() != StatusCode::OK {
            return Err(answer.status());
        }
        let mut held = Self { pieces, answer };
        held.echo("before").await;
        Ok(held)
    }

    /// Sends `text` and waits until it has come back.
    pub async fn echo(&mut self, text: &'static str) {
        self.pieces.send(Bytes::from_static(text.as_bytes())).await.unwrap();
        let back =
            tokio::time::timeout(TIMEOUT, self.answer.body_mut().frame()).await.expect("the echo did not come in time");
        assert_eq!(back.unwrap().unwrap().into_data().unwrap(), text);
    }

    /// Ends the request. True if the answer then ends as a complete one.
    pub async fn finish(self) -> bool {
        drop(self.pieces);
        let rest = tokio::time::timeout(TIMEOUT, self.answer.into_body().collect()).await;
        rest.expect("the answer did not end in time").is_ok_and(|rest| rest.to_bytes().is_empty())
    }
}

/// Waits until `count` requests are in flight at the one endpoint of `service`. Requests that wait for an instance
/// count.
pub async fn in_flight(atoll: &Atoll, service: &str, count: u64) {
    let (http, url) = (Http::default(), format!("{}/v1/services/{service}", atoll.admin));
    let in_flight_is_count = async || (http.get(&url).await.json()["endpoints"][0]["in_flight"] == count).then_some(());
    eventually(&format!("{count} requests in flight"), in_flight_is_count).await;
}
