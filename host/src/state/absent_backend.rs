//! The store of whoever has none: every operation finds it closed.

use super::backend::Backend;
use super::backend_future::BackendFuture;
use super::error::StateError;
use super::frozen_bucket::FrozenBucket;
use super::key_watches::KeyWatches;
use super::state_key::Encryption;
use super::transaction::{Committed, Entry, Key, Page, Transaction, Versioned};
use crate::base::ServiceName;
use crate::telemetry::StoreMetrics;
use std::future::ready;
use std::sync::Arc;

/// A backend without data.
#[derive(Default)]
pub(super) struct AbsentBackend {
    metrics: Arc<StoreMetrics>,
    watches: Arc<KeyWatches>,
}

fn closed<'a, T: Send + 'a>() -> BackendFuture<'a, T> {
    Box::pin(ready(Err(StateError::Closed)))
}

impl Backend for AbsentBackend {
    fn get<'a>(&'a self, _: &'a ServiceName, _: Vec<Key>) -> BackendFuture<'a, Vec<Option<Versioned>>> {
        closed()
    }

    fn get_cached(&self, _: &ServiceName, _: &[Key]) -> Option<Vec<Option<Versioned>>> {
        None
    }

    fn scan<'a>(&'a self, _: &'a ServiceName, _: Key, _: Option<Key>, _: usize) -> BackendFuture<'a, Page<Entry>> {
        closed()
    }

    fn keys<'a>(&'a self, _: &'a ServiceName, _: Key, _: Option<Key>, _: usize) -> BackendFuture<'a, Page<Key>> {
        closed()
    }

    fn commit<'a>(&'a self, _: &'a ServiceName, _: Transaction) -> BackendFuture<'a, Committed> {
        closed()
    }

    fn freeze<'a>(&'a self, _: &'a ServiceName) -> BackendFuture<'a, Arc<dyn FrozenBucket>> {
        closed()
    }

    fn unseal<'a>(&'a self, _: &'a ServiceName, _: Vec<Entry>) -> BackendFuture<'a, Vec<Entry>> {
        closed()
    }

    fn erase<'a>(&'a self, _: &'a ServiceName) -> BackendFuture<'a, bool> {
        closed()
    }

    fn replace_key(&self, _: Encryption) -> BackendFuture<'_, bool> {
        closed()
    }

    fn takes_writes(&self) -> bool {
        false
    }

    fn metrics(&self) -> &Arc<StoreMetrics> {
        &self.metrics
    }

    fn watches(&self) -> &Arc<KeyWatches> {
        &self.watches
    }

    /// Nothing ever changes here.
    fn switch_watches_on(&self) {}

    fn close(&self) {}
}
