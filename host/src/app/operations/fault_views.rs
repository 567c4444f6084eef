//! Faults on purpose, as the admin shows them.

use crate::admin::{FaultView, OriginView};
use crate::fault::{ActiveFault, FaultOrigin};
use crate::mesh::Service;
use std::time::{Duration, Instant};

pub(super) fn faults(service: &Service, now: Instant) -> Vec<FaultView> {
    let active = service.group.traffic.faults.active(now);
    active.iter().map(|one| fault_view(service.group.name.as_str(), one, now)).collect()
}

pub(super) fn fault_view(service: &str, active: &ActiveFault, now: Instant) -> FaultView {
    // Rounded up, so that an active fault never has 0 seconds left.
    let whole_seconds = |left: Duration| left.as_secs() + u64::from(left.subsec_nanos() > 0);
    FaultView {
        id: active.id,
        service: service.to_owned(),
        latency_ms: u64::try_from(active.fault.latency.as_millis()).unwrap_or(u64::MAX),
        latency_share: active.fault.latency_share.to_string(),
        error: active.fault.error.to_string(),
        trap: active.fault.trap.to_string(),
        seconds_left: active.until.map(|until| whole_seconds(until.saturating_duration_since(now))),
        origin: match active.origin {
            FaultOrigin::Manifest => OriginView::Manifest,
            FaultOrigin::Operator => OriginView::Operator,
        },
    }
}
