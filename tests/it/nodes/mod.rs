//! Calls between nodes: hosts of one process, each with a mesh and an edge of its own, over real sockets with TLS.

mod crossing;
mod failures;
mod hosts;
mod places;
mod upgrades;

use super::components::{component, workspace};
use super::in_process_mesh::plan;
use host::app::{NodeFiles, PeerEdge, certify_node, init_cluster};
use host::base::{CallContext, RequestId, ServiceName};
use host::contract::{FunctionName, InterfaceName};
use host::listen::Drain;
use host::membership::NodeName;
use host::mesh::{Distance, Mesh, PeerDoor, Service};
use host::node::KnownNodes;
use host::peer::{PeerClient, PeerProtocol, PeerTls};
use host::registry::Registry;
use host::rollout::{GrantSettings, PeerPlace, PeerPlaces, ReplicaSettings, Rollout, ServiceSpec};
use host::runtime::{Link, Runtime, Settings, Value};
use host::telemetry::{TraceSettings, Tracer};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::task::JoinHandle;

pub const TYPES: &str = "atoll:fixture-types/echo@1.0.0";
pub const FAULTS: &str = "atoll:fixture-types/faults@1.0.0";
pub const STREAMS: &str = "atoll:fixture-types/streams@1.0.0";
/// The most bytes of a typed call's arguments, and of its result.
pub const LONGEST: usize = 64 << 10;

/// The authority of a cluster.
pub struct Authority(TempDir);

impl Authority {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        init_cluster(folder.path()).unwrap();
        Self(folder)
    }

    /// The files of a node.
    pub fn files(&self, node: &str) -> PeerTls {
        let NodeFiles { authority, certificate, key } = certify_node(self.0.path(), node).unwrap();
        PeerTls { authority, certificate, key }
    }
}

/// A service of a node: what is deployed, its component, and its links.
pub struct Deployed {
    spec: ServiceSpec,
    component: &'static str,
    links: Vec<Link>,
}

impl Deployed {
    /// `name`, which runs `component`, by this plan.
    pub fn new(name: &str, component: &'static str, change: impl FnOnce(&mut ServiceSpec)) -> Self {
        let mut spec = plan(name);
        change(&mut spec);
        Self { spec, component, links: Vec::new() }
    }

    /// The same, with `interface` imported from `provider`.
    pub fn linked(mut self, interface: &str, provider: &str) -> Self {
        let service = ServiceName::new(provider).unwrap();
        self.spec.grants = GrantSettings { calls: vec![service.clone()], ..GrantSettings::default() };
        self.links.push(Link { import: InterfaceName::new(interface), service });
        self
    }
}

/// Another node has its instances.
pub fn elsewhere(spec: &mut ServiceSpec) {
    spec.replicas = ReplicaSettings { count: 0, ..spec.replicas.clone() };
}

/// A node of a cluster.
pub struct Node {
    pub name: &'static str,
    pub mesh: Arc<Mesh>,
    pub registry: Arc<Registry<Service>>,
    pub rollout: Rollout,
    pub tracer: Arc<Tracer>,
    pub drain: Drain,
    address: SocketAddr,
    files: PeerTls,
    edge: Option<JoinHandle<usize>>,
    newest: PeerProtocol,
    /// Instances live on it.
    _runtime: Arc<Runtime>,
}

impl Node {
    pub async fn start(name: &'static str, files: PeerTls, services: Vec<Deployed>) -> Self {
        Self::start_speaking(name, files, services, PeerProtocol::NEWEST).await
    }

    /// The same, as a build that knows this version of the wire and older ones.
    pub async fn start_speaking(
        name: &'static str,
        files: PeerTls,
        services: Vec<Deployed>,
        newest: PeerProtocol,
    ) -> Self {
        let cache = workspace().join("target/test-cache");
        let runtime = Arc::new(Runtime::new(&Settings { cache, instances: 0 }, 256, 128 << 20).unwrap());
        let registry = Arc::new(Registry::default());
        let rollout = Rollout::new(Arc::clone(&runtime), Arc::clone(&registry), Vec::new());
        for Deployed { spec, component: file, links } in services {
            let code = runtime.load(&component(file)).unwrap();
            rollout.launch(spec, Some((&code, &links)), None).unwrap();
        }
        let mesh = Arc::new(Mesh::new(Arc::clone(&registry), host::mesh::Settings::default()));
        let outcall: Weak<Mesh> = Arc::downgrade(&mesh);
        runtime.connect(outcall);
        let tracer = Arc::new(Tracer::new(TraceSettings { sample: 1.0, keep: 1 << 20, spans: 64 }, None));
        let edge = PeerEdge::bind(SocketAddr::from(([127, 0, 0, 1], 0)), &files).await.unwrap();
        let (address, drain) = (edge.local_addr().unwrap(), Drain::new());
        let door = PeerDoor::new(Arc::clone(&mesh), Some(Arc::clone(&tracer)), LONGEST).speaking(newest);
        let known = KnownNodes::default();
        known.learn(["node-a", "node-b", "node-c"].map(|name| NodeName::new(name).unwrap()));
        let edge = Some(edge.serve(Arc::new(door), known, drain.clone()));
        Self { name, mesh, registry, rollout, tracer, drain, address, files, edge, newest, _runtime: runtime }
    }

    /// The calls of this node to `other`, under whatever name.
    pub fn client(&self, name: &str, other: &Self) -> Arc<PeerClient> {
        let client = PeerClient::new(name, &other.address.to_string(), self.files.clone(), Box::new(|_| {}));
        Arc::new(client.speaking(self.newest))
    }

    /// This node's calls of `service` go to these nodes.
    pub fn place(&self, service: &str, nodes: &[(&Self, Distance)]) {
        let place = |(node, distance): &(&Self, Distance)| PeerPlace {
            client: self.client(node.name, node),
            distance: *distance,
            weight: 1,
        };
        let nodes = nodes.iter().map(place).collect();
        self.place_at(service, nodes);
    }

    /// The same with places.
    pub fn place_at(&self, service: &str, places: Vec<PeerPlace>) {
        let services = [(ServiceName::new(service).unwrap(), places)].into();
        self.rollout.place(PeerPlaces { services, longest: LONGEST });
    }

    /// The node is gone: its connections break, and nobody listens.
    pub async fn kill(&mut self) {
        let edge = self.edge.take().unwrap();
        edge.abort();
        assert!(edge.await.unwrap_err().is_cancelled());
    }

    /// Calls a function.
    pub async fn call(
        &self,
        service: &str,
        (interface, function): (&str, &str),
        arguments: Vec<Value>,
    ) -> Result<Option<Value>, host::mesh::CallError> {
        self.call_within(service, (interface, function), arguments, &context()).await
    }

    /// Calls a function on behalf of `context`.
    pub async fn call_within(
        &self,
        service: &str,
        (interface, function): (&str, &str),
        arguments: Vec<Value>,
        context: &CallContext,
    ) -> Result<Option<Value>, host::mesh::CallError> {
        let function = FunctionName { interface: InterfaceName::new(interface), function: function.into() };
        self.mesh.invoke(&ServiceName::new(service).unwrap(), &function, arguments, context).await
    }

    /// How many calls each endpoint of `service` has had so far, by its id, and has under way.
    pub fn counts(&self, service: &str) -> Vec<(String, u64, usize)> {
        let snapshot = self.registry.snapshot();
        let entry = snapshot.get(service).unwrap();
        let count = |stats: &host::mesh::EndpointStats| {
            let state = stats.state(Instant::now());
            (stats.id.to_string(), state.requests, state.in_flight)
        };
        entry.endpoints().map(|endpoint| count(&endpoint.stats)).collect()
    }

    /// Waits until `service` has `wanted` calls under way.
    pub async fn wait_for_calls(&self, service: &str, wanted: usize) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.counts(service).iter().map(|(_, _, now)| now).sum::<usize>() != wanted {
            assert!(Instant::now() < end, "{:?}", self.counts(service));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A request with a minute.
pub fn context() -> CallContext {
    CallContext::new(RequestId::from_random(rand::random()), Instant::now(), Duration::from_secs(60))
}

/// Two nodes: `types` stands on `node-b` alone.
pub async fn pair() -> (Node, Node) {
    let authority = Authority::new();
    let here = vec![Deployed::new("types", "fixture-types", elsewhere)];
    let there = vec![Deployed::new("types", "fixture-types", |_| {})];
    let a = Node::start("node-a", authority.files("node-a"), here).await;
    let b = Node::start("node-b", authority.files("node-b"), there).await;
    a.place("types", &[(&b, Distance::Zone)]);
    keep(authority);
    (a, b)
}

/// Keeps the files until the test's process ends: each new connection reads them.
pub fn keep(authority: Authority) {
    let _ = authority.0.keep();
}
