//! The host inside the test's process, built as `app` builds it, so that the test can change the discovery table.

use super::super::super::atoll::Home;
use host::base::ServiceName;
use host::config::{Manifest, Route, ServiceConfig, TopicConfig};
use host::contract::{BoundFunction, HttpBindingSpec};
use host::events::{PayloadType, Topic};
use host::gateway::{self, Answerer, Gateway, RouteTransforms, Target};
use host::listen::{Drain, Listener};
use host::mesh::{self, Mesh};
use host::registry::Registry;
use host::rollout::{Offers, Rollout, ServiceSpec, wire};
use host::route::RoutingTable;
use host::runtime::{Component, Runtime};
use host::state::Store;
use std::collections::BTreeMap;
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
        let rollout = Rollout::new(Arc::clone(&runtime), Arc::clone(&registry), Vec::new());
        let (targets, mut routed) = targets(&manifest, &offers);
        for (service, component) in parts() {
            let routed = routed.remove(&service.spec.name).unwrap_or_default().into();
            let mut spec = ServiceSpec { routed, ..service.spec.clone() };
            let granted = |topic: &&TopicConfig| spec.grants.publish.contains(&topic.name);
            let topic = |topic: &TopicConfig| Topic::new(topic.name.clone(), PayloadType::Any, topic.retention);
            spec.grants.topics = manifest.topics.iter().filter(granted).map(topic).map(Arc::new).collect();
            let links = wire(&spec.name, component.contract(), &spec.grants.calls, &offers).unwrap();
            rollout.launch(spec, Some((component, &links)), Some(&store)).unwrap();
        }
        let mesh = Arc::new(Mesh::new(Arc::clone(&registry), mesh::Settings::default()));
        let outcall: Weak<Mesh> = Arc::downgrade(&mesh);
        runtime.connect(outcall);

        let routes = manifest.routes.iter().map(|route| route.rule.clone()).zip(targets).collect();
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

/// The targets of the routes, and the functions that they call, by service.
fn targets(manifest: &Manifest, offers: &Offers) -> (Vec<Target>, BTreeMap<ServiceName, Vec<BoundFunction>>) {
    let mut routed: BTreeMap<ServiceName, Vec<BoundFunction>> = BTreeMap::new();
    let mut target = |route: &Route| {
        let Route { rule, answerer, call, body, timeout, .. } = route;
        let Answerer::Service(service) = answerer else { unreachable!("the shop has services alone") };
        let typed = call.as_ref().map(|call| {
            let (name, described) = offers[service].lookup(&call.function).unwrap();
            let spec = HttpBindingSpec {
                methods: vec![call.method.clone()],
                path_params: rule.parameters().map(str::to_owned).collect(),
                from_header: call.from_header.clone(),
                status: call.status,
                location: call.location.clone(),
                errors: call.errors.clone(),
                names: host::contract::Names::Snake,
            };
            let functions = routed.entry(service.clone()).or_default();
            let mut function = BoundFunction::bind(rule.description(), name, described, spec).unwrap();
            function.place = functions.len();
            functions.push(function);
            functions.len() - 1
        });
        Target {
            answerer: answerer.clone(),
            body_limit: *body,
            open_uploads: 256,
            timeout: *timeout,
            limits: None,
            typed,
            trailers: false,
            interim: false,
            websocket: None,
            access: None,
            addresses: None,
            cors: None,
            cache: None,
            left_out: None,
            transforms: RouteTransforms::default(),
        }
    };
    (manifest.routes.iter().map(&mut target).collect(), routed)
}
