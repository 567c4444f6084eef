//! Faults on purpose over time: those of the manifest begin with the host, and those whose time is over end.

use super::operations::HostOperations;
use crate::base::ServiceName;
use crate::config::Manifest;
use crate::fault::{ActiveFault, Fault, FaultOrigin};
use crate::mesh::Service;
use crate::telemetry::{ChangeKind, note_change};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use tokio::time::timeout_at;

impl HostOperations {
    /// Logs the end of each fault whose time is over. It never returns.
    pub(super) async fn watch_faults(&self) {
        loop {
            match self.end_faults(Instant::now()) {
                None => self.fault_added.notified().await,
                Some(next) => drop(timeout_at(next.into(), self.fault_added.notified()).await),
            }
        }
    }

    /// Removes the faults that are over at `now`, and logs it. Returns when the next one ends.
    pub(super) fn end_faults(&self, now: Instant) -> Option<Instant> {
        let mut next = None;
        for (_, service) in self.registry.snapshot().iter() {
            let faults = &service.group.traffic.faults;
            for ActiveFault { id, fault, .. } in faults.expire(now) {
                let name = &service.group.name;
                tracing::info!(service = %name, id, %fault, "a fault on purpose has ended: its time is over");
                note_change(ChangeKind::FaultEnded, name.as_str(), None, &format!("{fault}: its time is over"));
            }
            let ends = faults.active(now).into_iter().filter_map(|fault| fault.until);
            next = ends.chain(next).min();
        }
        next
    }

    /// Injects the faults of `next` that `before` does not have, and ends those that it has no more.
    pub(super) fn change_faults(&self, before: &Manifest, next: &Manifest) {
        let fault = |manifest: &Manifest, name: &ServiceName| {
            manifest.services.iter().find(|service| service.spec.name == *name).and_then(|service| service.fault)
        };
        let (table, now) = (self.registry.snapshot(), Instant::now());
        for service in &next.services {
            let name = &service.spec.name;
            let Some(entry) = table.get(name.as_str()).filter(|_| fault(before, name) != service.fault) else {
                continue;
            };
            let faults = &entry.group.traffic.faults;
            let own = faults.active(now).into_iter().filter(|one| one.origin == FaultOrigin::Manifest);
            for one in own {
                faults.remove(one.id);
            }
            if let Some(fault) = service.fault {
                self.inject(name, entry, fault);
            }
        }
    }

    /// Injects the faults that the manifest has from the start.
    pub(super) fn inject_faults(&self, manifest: &Manifest) {
        let table = self.registry.snapshot();
        for service in &manifest.services {
            if let (Some(fault), Some(entry)) = (service.fault, table.get(service.spec.name.as_str())) {
                self.inject(&service.spec.name, entry, fault);
            }
        }
    }

    fn inject(&self, name: &ServiceName, entry: &Service, fault: Fault) {
        let id = self.next_fault.fetch_add(1, Relaxed);
        let added = entry.group.traffic.faults.add(id, fault, None, FaultOrigin::Manifest, Instant::now());
        if let Err(full) = added {
            tracing::warn!(service = %name, %full, "a fault of the manifest was not injected");
            return;
        }
        tracing::warn!(service = %name, %fault, "a fault on purpose, from the manifest");
        note_change(ChangeKind::FaultBegun, name.as_str(), None, &format!("{fault}: by the manifest"));
    }
}
