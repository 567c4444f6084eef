//! Where the faults are shown that show later, once components were loaded and held against the manifest.

use crate::base::ServiceName;
use crate::config::finding::{Finding, Span, ValueOrigin};
use crate::config::manifest::Manifest;
use crate::config::section::Sourced;
use crate::contract::HttpBindingKey;
use std::collections::BTreeMap;

/// A key of a service that can be at fault in a way which only its component shows. Those of a route are [`HttpBindingKey`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceKey {
    /// The component itself: it does not load.
    Component,
    /// The services that it may call: it imports what these do not grant.
    Calls,
    /// Its WIT files: they are not those of the component.
    Wit,
    /// The authorities of its https addresses, or where these are not written the addresses: there is no believing anybody.
    Ca,
    /// The functions that may be called twice: the component lacks one.
    Idempotent,
    /// The function that is asked for its health: the component lacks it, or it is none for that.
    Health,
}

/// Where the keys of one table stand.
#[derive(Debug, Clone)]
pub(super) struct Places<K> {
    /// Of what the others depend on, a service's component or a route's `call`; it takes the place of a key that is not written.
    otherwise: Span,
    written: BTreeMap<K, Span>,
}

impl<K: Ord> Places<K> {
    /// None written yet; the faults of those that are not are shown at `otherwise`.
    pub(super) fn new(otherwise: Span) -> Self {
        Self { otherwise, written: BTreeMap::new() }
    }

    /// Keeps the place of `key`, if it is written, instead of the one it had.
    pub(super) fn note<T>(&mut self, key: K, found: Option<&Sourced<T>>) {
        if let Some(span) = found.and_then(Sourced::span) {
            self.written.insert(key, span);
        }
    }

    fn of(&self, key: &K) -> ValueOrigin {
        ValueOrigin::Text(self.written.get(key).unwrap_or(&self.otherwise).clone())
    }
}

impl Manifest {
    /// A fault of `service` that showed later, at this key of it; where that is not written, at its component.
    pub fn diagnose(
        &self,
        service: &ServiceName,
        key: ServiceKey,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Finding {
        let place = self.service_places.get(service).map_or(ValueOrigin::Absent, |places| places.of(&key));
        Finding::new(self.source.clone(), place, message, help)
    }

    /// A fault of the route `index`, counted as in [`Manifest::routes`], at this key of it; where that is not written, at its `call`.
    pub fn diagnose_route(
        &self,
        index: usize,
        key: HttpBindingKey,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Finding {
        let place = self.route_places.get(index).map_or(ValueOrigin::Absent, |places| places.of(&key));
        Finding::new(self.source.clone(), place, message, help)
    }
}
