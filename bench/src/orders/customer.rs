//! A client of a shop, which reads one thing after the other, or writes one after the other.

use crate::lean::Connection;
use crate::load::Client;
use anyhow::{Context, ensure};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Digits of a key: all have as many, so that one can be written over the other.
const KEY: usize = 10;

/// A key that was not used before.
pub(super) fn next_key(keys: &AtomicU32) -> String {
    format!("{:0KEY$}", keys.fetch_add(1, Ordering::Relaxed))
}

/// Where a request has its key, which no other request has.
pub(super) struct Keyed {
    /// Where keys come from.
    pub(super) keys: Arc<AtomicU32>,
    /// What stands before it in the request.
    pub(super) after: &'static str,
}

/// A client that reads one thing after the other, or writes one after the other.
pub(super) struct Customer {
    connection: Connection,
    requests: Vec<Vec<u8>>,
    next: usize,
    /// For writes.
    keyed: Option<Keyed>,
    done: Arc<AtomicU32>,
}

impl Customer {
    /// A client that sends `requests` in turn; if they are `keyed` they write, and each gets a key of its own. It counts in `done` what was
    /// answered as it should be.
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
                let at = found.context("a key")? + after.len();
                request[at..at + KEY].copy_from_slice(next_key(keys).as_bytes());
                201
            }
        };
        let (status, body) = self.connection.ask(request).await?;
        ensure!(status == wanted, "{status}: {}", String::from_utf8_lossy(body));
        self.next = (self.next + 1) % self.requests.len();
        self.done.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
