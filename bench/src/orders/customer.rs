//! A client of a shop that reads or writes, one request after the other.

use crate::load::Client;
use crate::raw_client::Connection;
use anyhow::{Context, ensure};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many digits a key has. All keys have the same length, so that one can be written over another.
const KEY: usize = 10;

/// A key that was not used before.
pub(super) fn next_key(keys: &AtomicU32) -> String {
    format!("{:0KEY$}", keys.fetch_add(1, Ordering::Relaxed))
}

/// The position of the key in a request. No other request has the same key.
pub(super) struct Keyed {
    /// The counter from which keys are made.
    pub(super) keys: Arc<AtomicU32>,
    /// The text before the key in the request.
    pub(super) after: &'static str,
}

/// A client that reads or writes, one request after the other.
pub(super) struct Customer {
    connection: Connection,
    requests: Vec<Vec<u8>>,
    next: usize,
    /// For requests that write.
    keyed: Option<Keyed>,
    done: Arc<AtomicU32>,
}

impl Customer {
    /// A client that sends `requests` one after the other. If they are `keyed` they write, and each gets a key of its
    /// own. `done` counts the requests that were answered as expected.
    pub(super) fn new(
        connection: Connection,
        requests: Vec<Vec<u8>>,
        keyed: Option<Keyed>,
        done: Arc<AtomicU32>,
    ) -> Self {
        Self { connection, requests, next: 0, keyed, done }
    }
}

impl Client for Customer {
    async fn act(&mut self) -> anyhow::Result<()> {
        let request = &mut self.requests[self.next];
        let wanted = match &self.keyed {
            None => 200,
            Some(Keyed { keys, after }) => {
                let found = request.windows(after.len()).position(|bytes| bytes == after.as_bytes());
                let at = found.context("a request that writes has a key")? + after.len();
                request[at..at + KEY].copy_from_slice(next_key(keys).as_bytes());
                201
            }
        };
        let (status, body) = self.connection.exchange(request).await?;
        ensure!(status == wanted, "{status}: {}", String::from_utf8_lossy(body));
        self.next = (self.next + 1) % self.requests.len();
        self.done.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
