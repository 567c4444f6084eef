//! The traffic of the last minute, of every service.

use crate::telemetry::TrafficWindow;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is remembered between samples.
#[derive(Default)]
pub(in crate::app) struct RecentTraffic {
    windows: Mutex<BTreeMap<String, TrafficWindow>>,
}

impl RecentTraffic {
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, TrafficWindow>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
