//! A client of a shop, which reads one order after the other, or places one after the other.

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

/// A client that reads one order after the other, or places one after the other.
pub(super) struct Customer {
    connection: Connection,
    requests: Vec<Vec<u8>>,
    next: usize,
    /// For orders: where their keys come from.
    keys: Option<Arc<AtomicU32>>,
    done: Arc<AtomicU32>,
}

impl Customer {
    /// A client that sends `requests` in turn; with `keys` they are orders, and each gets a key of its own. It counts in `done` what was
    /// answered as it should be.
    pub(super) fn new(
        connection: Connection,
        requests: Vec<Vec<u8>>,
        keys: Option<Arc<AtomicU32>>,
        done: Arc<AtomicU32>,
    ) -> Self {
        Self { connection, requests, next: 0, keys, done }
    }
}

impl Client for Customer {
    async fn act(&mut self) -> anyhow::Result<()> {
        let request = &mut self.requests[self.next];
        let wanted = match &self.keys {
            None => 200,
            Some(keys) => {
                let name = b"idempotency-key: ";
                let at = request.windows(name.len()).position(|bytes| bytes == name).context("a key")? + name.len();
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
