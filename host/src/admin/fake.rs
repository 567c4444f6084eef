//! A host made of nothing, for the tests of this room and of the CLI.

use super::{
    BreakerView, EndpointView, OperationError, OperationErrorKind, Operations, Readiness, RouteView, ServiceView,
    SwapView,
};
use bytes::Bytes;
use std::sync::Mutex;
use tokio::sync::Semaphore;

/// One service of a component, `users`, and one of an address, `legacy`. It records the components that it was given.
pub(crate) struct Fake {
    /// What it says about itself.
    pub(crate) readiness: Mutex<Readiness>,
    /// The components that came in through swaps.
    pub(crate) swapped: Mutex<Vec<Bytes>>,
    /// How many swaps may end: a test that holds them back takes the permits away.
    pub(crate) gate: Semaphore,
    /// Gets a permit for each swap that begins.
    pub(crate) begun: Semaphore,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            readiness: Mutex::new(Readiness::Ready),
            swapped: Mutex::default(),
            gate: Semaphore::new(1000),
            begun: Semaphore::new(0),
        }
    }
}

impl Operations for Fake {
    fn ready(&self) -> Readiness {
        *self.readiness.lock().expect("no test panics with it")
    }

    fn metrics(&self) -> String {
        "# EOF\n".into()
    }

    fn services(&self) -> Vec<ServiceView> {
        let endpoint = |id: &str, place: &str, breaker, requests, failures| EndpointView {
            id: id.into(),
            place: place.into(),
            breaker,
            requests,
            failures,
            in_flight: 0,
        };
        let users = ServiceView {
            name: "users".into(),
            revision: Some("aaaaaaaaaaaa".into()),
            digest: Some("a".repeat(64)),
            age_seconds: Some(7260),
            differs_from_manifest: true,
            previous: Some("bbbbbbbbbbbb".into()),
            endpoints: vec![
                endpoint("users-0", "instance", BreakerView::Closed, 1200, 0),
                endpoint("users-1", "instance", BreakerView::HalfOpen, 9, 3),
            ],
        };
        let legacy = ServiceView {
            name: "legacy".into(),
            revision: None,
            digest: None,
            age_seconds: None,
            differs_from_manifest: false,
            previous: None,
            endpoints: vec![endpoint("legacy-0", "http://127.0.0.1:5001", BreakerView::Open, 3, 3)],
        };
        vec![legacy, users]
    }

    fn service(&self, name: &str) -> Option<ServiceView> {
        self.services().into_iter().find(|service| service.name == name)
    }

    fn routes(&self) -> Vec<RouteView> {
        let route = |matches: &str, service: &str, rewrite: Option<&str>| RouteView {
            matches: matches.into(),
            service: service.into(),
            call: None,
            rewrite: rewrite.map(Into::into),
        };
        vec![route("/legacy/{id}", "legacy", Some("/users/{id}")), route("/api/users/*", "users", None)]
    }

    /// Takes what begins as a component does.
    async fn swap(&self, name: &str, component: Bytes) -> Result<SwapView, OperationError> {
        self.begun.add_permits(1);
        self.gate.acquire().await.expect("never closed").forget();
        if component.starts_with(b"panic") {
            panic!("as the test asked");
        }
        if !component.starts_with(b"\0asm") {
            return Err(OperationError::new(
                OperationErrorKind::Refused,
                "not a component: the magic number is missing",
            ));
        }
        self.swapped.lock().expect("no test panics with it").push(component);
        Ok(SwapView { service: name.into(), revision: "cccccccccccc".into(), previous: Some("aaaaaaaaaaaa".into()) })
    }

    async fn rollback(&self, name: &str) -> Result<SwapView, OperationError> {
        match name {
            "users" => Ok(SwapView { service: name.into(), revision: "bbbbbbbbbbbb".into(), previous: None }),
            "legacy" => {
                Err(OperationError::new(OperationErrorKind::Conflict, "`legacy` has no component to roll back"))
            }
            _ => Err(OperationError::new(OperationErrorKind::NotFound, format!("there is no service `{name}`"))),
        }
    }
}
