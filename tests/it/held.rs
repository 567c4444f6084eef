//! Exchanges that are in flight for as long as a test wants, so that no test has to hit a moment.

use super::atoll::{Atoll, Http, PATIENCE, eventually};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// An exchange under way: the fixture `hostile` echoes what the test sends until the test ends it. It keeps no instance: the host alone
/// passes the body on, once the guest has said that it is its answer.
#[derive(Debug)]
pub struct Held {
    pieces: mpsc::Sender<Bytes>,
    answer: Response<Incoming>,
}

impl Held {
    /// Begins an exchange with the `/echo` of the fixture at `path`; the first piece has come back.
    pub async fn begin(atoll: &Atoll, path: &str) -> Self {
        Self::ask(atoll, path).await.expect("an answer of 200")
    }

    /// As [`Held::begin`], where the gateway may refuse it: then its status.
    pub async fn ask(atoll: &Atoll, path: &str) -> Result<Self, StatusCode> {
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
        let sent = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
        let answer = sent.expect("the head of the answer comes").unwrap();
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
        let back = tokio::time::timeout(PATIENCE, self.answer.body_mut().frame()).await.expect("the echo comes");
        assert_eq!(back.unwrap().unwrap().into_data().unwrap(), text);
    }

    /// Ends the request; true if the answer then ends as it should.
    pub async fn finish(self) -> bool {
        drop(self.pieces);
        let rest = tokio::time::timeout(PATIENCE, self.answer.into_body().collect()).await;
        rest.expect("the answer ends").is_ok_and(|rest| rest.to_bytes().is_empty())
    }
}

/// Waits until `count` requests are at `service`, of one endpoint, those that wait for an instance included.
pub async fn in_flight(atoll: &Atoll, service: &str, count: u64) {
    let (http, url) = (Http::default(), format!("{}/v1/services/{service}", atoll.admin));
    let look = async || (http.get(&url).await.json()["endpoints"][0]["in_flight"] == count).then_some(());
    eventually(&format!("{count} requests in flight"), look).await;
}
