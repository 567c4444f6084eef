//! The calls of a revision that was replaced, and the sweep that waits for their end.

use crate::mesh::{Endpoint, EndpointStats};
use crate::runtime::Revision;
use std::sync::{Arc, Weak};

/// The calls of endpoints that may be under way.
pub(super) struct UnfinishedCalls(Vec<(Weak<Endpoint>, Arc<EndpointStats>)>);

impl UnfinishedCalls {
    /// The calls of `endpoints`.
    pub(super) fn of(endpoints: &[Arc<Endpoint>]) -> Self {
        Self(endpoints.iter().map(|one| (Arc::downgrade(one), Arc::clone(&one.stats))).collect())
    }

    /// Whether the endpoints have left the table, and no call of them is under way.
    pub(super) fn have_ended(&self) -> bool {
        self.0.iter().all(|(endpoint, stats)| endpoint.strong_count() == 0 && stats.load.in_flight() == 0)
    }
}

/// A sweep that waits for calls of the revision before.
pub(super) struct DueSweep {
    /// The revision that migrates what they write.
    pub(super) revision: Arc<Revision>,
    pub(super) calls: UnfinishedCalls,
}
