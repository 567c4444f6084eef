//! Clients that make trouble: closed loops, uploads of a byte a second, and readers that do not read. Each counts what
//! it saw.

use super::tally::Tally;
use crate::native::Client;
use bytes::Bytes;
use http::{Method, Request};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// A client that cannot connect waits this long before it tries again.
const AGAIN: Duration = Duration::from_millis(20);
/// How long a client waits for an answer: longer than every deadline of the scene.
const PATIENCE: Duration = Duration::from_secs(30);
/// `HTTP/1.1 200`
const STATUS_LINE: usize = 12;

/// What clients send again and again.
#[derive(Debug, Clone)]
pub(super) struct Round {
    /// How many clients there are.
    pub(super) clients: usize,
    pub(super) method: Method,
    /// Below the service's own prefix.
    pub(super) path: String,
    pub(super) body: Bytes,
    /// The time from an answer to the client's next request.
    pub(super) pause: Duration,
}

impl Round {
    /// `clients` clients that get `path` as soon as they are answered.
    pub(super) fn get(clients: usize, path: &str) -> Self {
        let (method, body, pause) = (Method::GET, Bytes::new(), Duration::ZERO);
        Self { clients, method, path: path.to_owned(), body, pause }
    }

    pub(super) fn with_pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }
}

/// Sends the round's requests until `end`, whatever the answers are; the last ones are waited for. `service` is the
/// first segment of their path.
pub(super) async fn repeat(address: &str, service: &str, round: Round, end: Instant) -> anyhow::Result<Tally> {
    let mut tasks = JoinSet::new();
    for _ in 0..round.clients {
        let (address, service, round) = (address.to_owned(), service.to_owned(), round.clone());
        tasks.spawn(async move {
            let mut tally = Tally::default();
            while Instant::now() < end {
                let Ok(mut client) = Client::connect(&address).await else {
                    sleep(AGAIN).await;
                    continue;
                };
                while Instant::now() < end && !client.is_closed() {
                    let uri = format!("/{service}{}", round.path);
                    let request = Request::builder().method(round.method.clone()).uri(uri);
                    let answer = client.send(request, round.body.clone());
                    match timeout_at(Instant::now() + PATIENCE, answer).await {
                        Ok(Ok(answer)) => tally.answered(&service, answer.status().as_u16(), answer.body()),
                        Ok(Err(_)) | Err(_) => {
                            tally.broke();
                            break;
                        }
                    }
                    if !round.pause.is_zero() {
                        sleep(round.pause).await;
                    }
                }
            }
            tally
        });
    }
    let mut all = Tally::default();
    while let Some(tally) = tasks.join_next().await {
        all.merge(tally?);
    }
    Ok(all)
}

/// A connection that sends a whole head or request, and is slow from then on.
#[derive(Debug, Clone)]
pub(super) struct Dawdler {
    /// What it sends at once.
    pub(super) head: String,
    /// Whether it then sends a byte a second; otherwise it reads one.
    pub(super) sends: bool,
}

/// `clients` such connections of `service`, which go away at `end`.
pub(super) async fn dawdle(
    address: &str,
    service: &str,
    clients: usize,
    dawdler: &Dawdler,
    end: Instant,
) -> anyhow::Result<Tally> {
    let one = async || {
        let mut start = Vec::new();
        // A connection that the host ends is one that no longer makes trouble.
        let _ = timeout_at(end, dawdler.run(address, &mut start)).await;
        sleep_until(end).await;
        std::str::from_utf8(&start).ok().and_then(|line| line.get(9..STATUS_LINE)?.parse().ok())
    };
    let mut tally = Tally::default();
    for status in futures_util::future::join_all((0..clients).map(|_| one())).await {
        tally.given_up(service, status);
    }
    Ok(tally)
}

impl Dawdler {
    /// Runs until the host ends the connection. `start` gets the beginning of the answer.
    async fn run(&self, address: &str, start: &mut Vec<u8>) -> std::io::Result<()> {
        let socket = TcpStream::connect(address).await?;
        let (mut reader, mut writer) = socket.into_split();
        writer.write_all(self.head.as_bytes()).await?;
        let read = async {
            while start.len() < STATUS_LINE {
                let mut byte = [0];
                reader.read_exact(&mut byte).await?;
                start.extend(byte);
            }
            loop {
                let mut bytes = [0; 4096];
                let most = if self.sends { bytes.len() } else { 1 };
                if reader.read(&mut bytes[..most]).await? == 0 {
                    return Ok(());
                }
                if !self.sends {
                    sleep(Duration::from_secs(1)).await;
                }
            }
        };
        let write = async {
            if !self.sends {
                std::future::pending::<()>().await;
            }
            loop {
                sleep(Duration::from_secs(1)).await;
                if let Err(error) = writer.write_all(b"x").await {
                    break error;
                }
            }
        };
        // The answer may come after the host has stopped to take the body.
        tokio::pin!(read);
        tokio::select! {
            biased;
            ended = &mut read => ended,
            _ = write => read.await,
        }
    }
}
