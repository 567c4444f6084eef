//! The host inside the test's process, built as `app` builds it, so that the test can change the discovery table.

use super::super::super::atoll::Home;
use host::config::{Manifest, Route, ServiceConfig};
use host::contract::{HttpBinding, HttpBindingSpec};
use host::gateway::{self, Gateway, Target, TypedTarget};
use host::listen::{Drain, Listener};
use host::mesh::{self, Mesh};
use host::registry::Registry;
use host::rollout::{Offers, Rollout, wire};
use host::route::RoutingTable;
use host::runtime::{Component, Runtime};
use host::state::Store;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};

/// How long the last requests and instances may take at the shutdown.
const DRAIN: Duration = Duration::from_secs(20);

/// A running host.
pub struct InProcessHost {
    pub gateway: String,
    pub registry: Arc<Registry<mesh::Service>>,
    pub rollout: Rollout,
    runtime: Arc<Runtime>,
    store: Store,
    drain: Drain,
    edge: JoinHandle<usize>,
}

impl InProcessHost {
    /// Serves the manifest of `home`. All its services must have components that fit the contracts that they call.
    pub async fn open(home: &Home) -> Self {
        home.link_cache();
        let anywhere = |name: &str| name.ends_with("_LISTEN").then(|| "127.0.0.1:0".to_owned());
        let manifest = Manifest::load(&home.manifest(), &anywhere).unwrap();
        let runtime = Arc::new(Runtime::new(&manifest.runtime, 1024, 128 << 20).unwrap());
        let store = Store::open(&manifest.state).unwrap();
        let load = |service: &ServiceConfig| runtime.load(service.component.as_ref().unwrap()).unwrap();
        let components: Vec<Component> = manifest.services.iter().map(load).collect();
        let parts = || manifest.services.iter().zip(&components);
        let offers: Offers =
            parts().map(|(service, part)| (service.spec.name.clone(), part.contract().clone())).collect();

        let registry = Arc::new(Registry::default());
        let mut rollout = Rollout::new(Arc::clone(&runtime), Arc::clone(&registry), Vec::new());
        for (service, component) in parts() {
            let spec = service.spec.clone();
            let links = wire(&spec.name, component.contract(), &spec.grants.calls, &offers).unwrap();
            rollout.launch(spec, Some((component, &links)), Some(&store)).unwrap();
        }
        let mesh = Arc::new(Mesh::new(Arc::clone(&registry), mesh::Settings::default()));
        let outcall: Weak<Mesh> = Arc::downgrade(&mesh);
        runtime.connect(outcall);

        let routes = manifest.routes.iter().map(|route| (route.rule.clone(), target(route, &offers))).collect();
        let gateway = Arc::new(Gateway::new(gateway::Settings::default(), Arc::new(RoutingTable::new(routes)), mesh));
        let socket = Listener::bind(manifest.gateway.listen.clone()).await.unwrap();
        let address = format!("http://{}", socket.local_addr().unwrap());
        let drain = Drain::new();
        let serve = move |request, peer| {
            let gateway = Arc::clone(&gateway);
            async move { gateway.handle(request, peer).await }
        };
        let edge = tokio::spawn(socket.serve(serve, drain.clone()));
        Self { gateway: address, registry, rollout, runtime, store, drain, edge }
    }

    /// Shuts down as a host does: first the answers, then the instances, then the store.
    pub async fn close(self) {
        self.drain.start(DRAIN);
        assert_eq!(self.edge.await.unwrap(), 0, "no request may be cut off");
        assert!(self.runtime.idle(DRAIN).await);
        spawn_blocking(move || self.store.close()).await.unwrap();
    }
}

fn target(route: &Route, offers: &Offers) -> Target {
    let Route { rule, service, call, body, timeout, .. } = route;
    let typed = call.as_ref().map(|call| {
        let (function, described) = offers[service].lookup(&call.function).unwrap();
        let spec = HttpBindingSpec {
            methods: std::slice::from_ref(&call.method),
            path_params: rule.parameters().collect(),
            from_header: &call.from_header,
            status: call.status,
            location: call.location.as_deref(),
            errors: &call.errors,
            names: host::contract::Names::Snake,
        };
        Arc::new(TypedTarget { function, binding: HttpBinding::bind(described, &spec).unwrap() })
    });
    Target { service: service.clone(), body_limit: *body, timeout: *timeout, typed, left_out: None }
}
