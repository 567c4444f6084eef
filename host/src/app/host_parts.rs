//! What lives as long as the process, and what it makes of a manifest.

use super::assembly::Assembly;
use super::assembly::api_description::{LiveDescription, now};
use super::discovery_samples::DiscoverySamples;
use super::edge::auth_policies::AuthPolicies;
use super::edge::edge_tls::EdgeTls;
use super::operations::HostOperations;
use super::operations::apply_manifest::ApplyManifest;
use super::operations::audited_operations::AuditedOperations;
use super::operations::guards::Guards;
use super::operations::node_operations::ClusterSamples;
use super::operations::saga_operations::{HostSagaDoor, HostSagas};
use super::operations::snapshot_folder::SnapshotFolder;
use crate::admin::Admin;
use crate::audit::AuditTrail;
use crate::base::ServiceName;
use crate::cluster::Cluster;
use crate::config::Manifest;
use crate::gateway::{self, CacheDisk, Gateway, SagaDoor, SagaEntrance};
use crate::listen::Drain;
use crate::mesh::{Discovered, Mesh, Service};
use crate::node::NodeDuties;
use crate::registry::Registry;
use crate::rollout::Rollout;
use crate::route::RoutingTable;
use crate::runtime::Runtime;
use crate::state::Store;
use crate::telemetry::{EdgeMetrics, Http2Refusals, Metrics, NameMetrics, ProxyRefusals, Tracer};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

/// What lives as long as the process, whatever manifest it serves.
pub(super) struct HostParts {
    /// The file of the manifest.
    pub(super) path: PathBuf,
    pub(super) runtime: Arc<Runtime>,
    pub(super) registry: Arc<Registry<Service>>,
    pub(super) rollout: Arc<Rollout>,
    pub(super) mesh: Arc<Mesh>,
    pub(super) store: Option<Store>,
    pub(super) trail: Option<AuditTrail>,
    pub(super) tls: EdgeTls,
    /// The gateway's socket by TLS.
    pub(super) secure_address: Option<SocketAddr>,
    pub(super) proxy: Option<Arc<ProxyRefusals>>,
    pub(super) http2: Option<Arc<Http2Refusals>>,
    pub(super) tracer: Option<Arc<Tracer>>,
    pub(super) drain: Drain,
    /// This host as a node, if the manifest has a cluster.
    pub(super) cluster: Option<Arc<Cluster>>,
    /// What it does as a node.
    pub(super) duties: Arc<NodeDuties>,
    /// What the name server counts, if there is one.
    pub(super) names: Option<Arc<NameMetrics>>,
    pub(super) partial: bool,
    /// When the process began.
    pub(super) since: Instant,
    /// The sagas, once they go on.
    pub(super) sagas: Arc<OnceLock<HostSagas>>,
    /// What changes the manifest that is served, once it is there.
    pub(super) applier: Arc<OnceLock<Weak<dyn ApplyManifest>>>,
    /// Where the cache keeps what is too large for the memory.
    pub(super) cache_disk: Option<Arc<CacheDisk>>,
}

/// What serves one manifest.
pub(super) struct ServingHost {
    pub(super) gateway: Arc<Gateway<Mesh>>,
    pub(super) admin: Arc<Admin>,
    pub(super) host: Arc<HostOperations>,
}

/// What a manifest was found to be, and which files its components have.
pub(super) struct CheckedManifest<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) assembly: Assembly,
    pub(super) policies: &'a AuthPolicies,
    pub(super) files: BTreeMap<ServiceName, PathBuf>,
}

/// What serves already, and which of the next manifest's routes it has: the position of each in both, where the two say
/// the same of it.
pub(super) struct ServingBefore<'a> {
    pub(super) serving: &'a ServingHost,
    pub(super) kept: &'a [Option<usize>],
}

impl HostParts {
    /// What serves `checked`, whose services are in the discovery table. It goes on with what it shares with `before`.
    pub(super) fn serve(&self, checked: CheckedManifest<'_>, before: Option<&ServingBefore<'_>>) -> ServingHost {
        let CheckedManifest { manifest, assembly, policies, files } = checked;
        let Assembly { mut targets, description, left_out, .. } = assembly;
        for (target, route) in targets.iter_mut().zip(&manifest.routes) {
            target.access = route.auth.as_ref().map(|auth| policies.access(auth));
        }
        if let Some(ServingBefore { serving, kept }) = before {
            let old = serving.gateway.routes().routes();
            for (target, at) in targets.iter_mut().zip(*kept) {
                if let Some((_, old)) = at.and_then(|at| old.get(at)) {
                    // With the access goes what its policies remember; with the transforms, copies under way.
                    (target.access, target.transforms) = (old.access.clone(), old.transforms.clone());
                }
            }
        }
        let rules = manifest.routes.iter().map(|route| route.rule.clone());
        let routes = Arc::new(RoutingTable::new(rules.zip(targets).collect()));
        let document = description.as_ref().map(|one| one.document(|name| now(&self.rollout, &self.registry, name)));
        let settings = gateway::Settings { openapi: document, ..self.gateway_settings(manifest) };
        let gateway = Arc::new(match before {
            Some(ServingBefore { serving, kept }) => serving.gateway.succeeded(settings, routes, kept),
            None => Gateway::new(settings, routes, Arc::clone(&self.mesh)),
        });
        let mut host = self.operations(manifest, policies, &gateway);
        host.left_out = left_out.into();
        host.components = files;
        host.description = description.map(|description| LiveDescription::new(description, Arc::clone(&gateway)));
        if let Some(ServingBefore { serving: ServingHost { host: old, .. }, .. }) = before {
            host.go_on(old);
        }
        let host = Arc::new(host);
        let settings = manifest.admin.settings.clone();
        let admin = match self.trail.clone() {
            Some(trail) => Admin::new(settings, Arc::new(AuditedOperations::new(Arc::clone(&host), trail))),
            None => Admin::new(settings, Arc::clone(&host)),
        };
        ServingHost { gateway, admin: Arc::new(admin), host }
    }

    fn gateway_settings(&self, manifest: &Manifest) -> gateway::Settings {
        let given = manifest.gateway.settings.clone();
        let (audit, access, traces) = (self.trail.clone(), manifest.log.access, self.tracer.clone());
        let mut settings = gateway::Settings { audit, access, traces, ..given };
        settings.acme = self.tls.challenges(manifest);
        settings.cache_disk = self.cache_disk.clone();
        settings.sagas = self.saga_entrance(manifest);
        if let (Some(https), Some(address)) = (&mut settings.https, self.secure_address) {
            // With port 0 the manifest does not know it.
            https.redirect = https.redirect.map(|port| if port == 0 { address.port() } else { port });
        }
        settings
    }

    /// The way of routes to the sagas, which begin later.
    fn saga_entrance(&self, manifest: &Manifest) -> SagaEntrance {
        let door = || HostSagaDoor { sagas: Arc::clone(&self.sagas), names: manifest.gateway.names };
        SagaEntrance((!manifest.sagas.is_empty()).then(|| Arc::new(door()) as Arc<dyn SagaDoor>))
    }

    fn operations(&self, manifest: &Manifest, policies: &AuthPolicies, gateway: &Arc<Gateway<Mesh>>) -> HostOperations {
        let metrics = Metrics::new(Discovered(Arc::clone(&self.registry)), Arc::clone(gateway.metrics()));
        let audit = self.trail.as_ref().map(|trail| Arc::clone(trail.metrics()));
        let (proxy, http2) = (self.proxy.clone(), self.http2.clone());
        let counted = EdgeMetrics { proxy, http2, audit, keys: policies.fetches() };
        let metrics = metrics.with_tls(self.tls.metrics()).with_edges(counted.clone()).with_host(self.since);
        let metrics = metrics.with_traces(self.tracer.as_ref());
        metrics.add_discovery(Arc::new(DiscoverySamples(Arc::clone(&self.rollout))));
        let (rollout, registry) = (Arc::clone(&self.rollout), Arc::clone(&self.registry));
        let routes = Arc::clone(gateway.routes());
        let mut host = HostOperations::new(rollout, registry, routes, metrics, self.drain.clone());
        host.partial = self.partial;
        (host.sagas, host.names) = (Arc::clone(&self.sagas), manifest.gateway.names);
        if let Some(store) = &self.store {
            host.metrics.add_store(Arc::clone(store.metrics()));
        }
        host.cache = gateway.cache().cloned();
        if let Some(cache) = gateway.cache() {
            host.metrics.add_cache(Arc::clone(cache.metrics()));
        }
        host.store.clone_from(&self.store);
        if let Some(cluster) = &self.cluster {
            host.metrics.add_cluster(Arc::new(ClusterSamples(Arc::clone(cluster), Arc::clone(&self.duties))));
            host.cluster = Some(Arc::clone(cluster));
            host.duties = Arc::clone(&self.duties);
        }
        if let Some(names) = &self.names {
            host.metrics.add_names(Arc::clone(names));
        }
        host.snapshots = SnapshotFolder::beside(&manifest.state.path);
        host.tls = Some(self.tls.clone());
        host.edges = Some(counted);
        let (limits, path) = (manifest.limits.clone(), self.path.clone());
        host.guards = Some(Guards { gateway: Arc::clone(gateway), limits, manifest: path });
        host.keys.clone_from(&policies.key_file);
        host.gateway = Some(Arc::clone(gateway));
        host.runtime = Some(Arc::clone(&self.runtime));
        let services = manifest.services.iter();
        host.grants = services.map(|one| (one.spec.name.to_string(), one.spec.grants.clone())).collect();
        host.tracer.clone_from(&self.tracer);
        host.applier = Arc::clone(&self.applier);
        host
    }
}
