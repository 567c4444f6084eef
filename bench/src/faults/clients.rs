//! Clients that make trouble: closed loops, uploads of a byte a second, and readers that do not read.

use crate::native::Client;
use bytes::Bytes;
use http::{Method, Request};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// A client that cannot connect waits this long before it tries again.
const AGAIN: Duration = Duration::from_millis(20);

/// `clients` clients, each of which sends the request again as soon as it is answered, whatever the answer is.
pub(super) async fn repeat(
    address: &str,
    clients: usize,
    method: Method,
    path: &str,
    body: Bytes,
    end: Instant,
) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (address, method, path, body) = (address.to_owned(), method.clone(), path.to_owned(), body.clone());
        tasks.spawn(timeout_at(end, async move {
            loop {
                let Ok(mut client) = Client::connect(&address).await else {
                    sleep(AGAIN).await;
                    continue;
                };
                let request = || Request::builder().method(method.clone()).uri(&path);
                while client.send(request(), body.clone()).await.is_ok() {}
            }
        }));
    }
    while let Some(ended) = tasks.join_next().await {
        let _: Result<(), _> = ended?; // the end of the time is how each one ends
    }
    Ok(())
}

/// `clients` connections that send `head`, and then a byte a second.
pub(super) async fn trickle(address: &str, clients: usize, head: &str, end: Instant) -> anyhow::Result<()> {
    slow(address, clients, head, end, async |socket| {
        loop {
            sleep(Duration::from_secs(1)).await;
            socket.write_all(b"x").await?;
        }
    })
    .await
}

/// `clients` connections that send the whole request `head`, and then read a byte a second.
pub(super) async fn sip(address: &str, clients: usize, head: &str, end: Instant) -> anyhow::Result<()> {
    slow(address, clients, head, end, async |socket| {
        let mut byte = [0];
        loop {
            socket.read_exact(&mut byte).await?;
            sleep(Duration::from_secs(1)).await;
        }
    })
    .await
}

async fn slow(
    address: &str,
    clients: usize,
    head: &str,
    end: Instant,
    go_on: impl AsyncFn(&mut TcpStream) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let one = async || {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(head.as_bytes()).await?;
        go_on(&mut socket).await
    };
    // A connection that the host ends is one that no longer makes trouble.
    let all = futures_util::future::join_all((0..clients).map(|_| timeout_at(end, one())));
    all.await;
    Ok(())
}
