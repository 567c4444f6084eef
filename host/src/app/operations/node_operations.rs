//! What the admin, the metrics and `/readyz` ask of the cluster, and what this node tells it.

use super::HostOperations;
use crate::admin::{NodeOperations, NodeServiceView, NodeView, NodesView, OperationError, OperationErrorKind};
use crate::cluster::{Cluster, ClusterError, ClusterReport, Serving, Settings};
use crate::config::{Manifest, environment};
use crate::membership::{NodeRow, ServiceRow, Standing};
use crate::mesh::{EndpointTarget, Service};
use crate::node::NodeDuties;
use crate::registry::Registry;
use crate::telemetry::{ClusterSample, ClusterSource};
use anyhow::Context;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// The servers of NATS that a manifest's cluster has, each `host:port`; `None` without a cluster, or if the manifest is
/// wrong.
pub fn cluster_servers(manifest: &Path) -> Option<Vec<String>> {
    Some(Manifest::load(manifest, &environment).ok()?.cluster?.nats.servers)
}

/// Begins to be a node.
pub(in crate::app) async fn join(
    settings: &Settings,
    registry: &Arc<Registry<Service>>,
    duties: &Arc<NodeDuties>,
) -> anyhow::Result<Arc<Cluster>> {
    let cluster = Cluster::start(settings, serving(Arc::clone(registry), Arc::clone(duties))).await;
    Ok(Arc::new(cluster.context("connecting to the NATS of the cluster")?))
}

/// The services of the discovery table that have a component, with the replicas that take calls, and what does not
/// start here. Plain addresses each node has in its own manifest.
fn serving(registry: Arc<Registry<Service>>, duties: Arc<NodeDuties>) -> Serving {
    Arc::new(move || {
        let (table, now) = (registry.snapshot(), Instant::now());
        let row = |(_, service): (_, &Arc<Service>)| {
            let revision = service.revision.as_ref()?.digest;
            let instances =
                service.group.endpoints.iter().filter(|one| matches!(one.target, EndpointTarget::Instances(_)));
            let states: Vec<_> = instances.map(|one| one.stats.state(now)).filter(|state| state.ready).collect();
            let replicas = u32::try_from(states.len()).unwrap_or(u32::MAX);
            let under_way: usize = states.iter().map(|state| state.in_flight).sum();
            // To a power of two: a row is not written for each call.
            let load = u32::try_from(under_way).unwrap_or(1 << 31).checked_next_power_of_two().unwrap_or(1 << 31);
            let load = if under_way == 0 { 0 } else { load };
            (replicas > 0 && duties.offers(&service.group.name)).then(|| ServiceRow {
                service: service.group.name.clone(),
                revision,
                replicas,
                load,
            })
        };
        let cannot = duties.place_failures().keys().cloned().collect();
        (table.iter().filter_map(row).collect(), cannot)
    })
}

fn node_view(row: &NodeRow, own: bool) -> NodeView {
    let service = |row: &ServiceRow| NodeServiceView {
        name: row.service.to_string(),
        revision: row.revision.short(),
        digest: row.revision.to_string(),
        replicas: row.replicas,
        load: row.load,
    };
    NodeView {
        name: row.name.to_string(),
        own,
        incarnation: row.incarnation.to_string(),
        zone: row.zone.as_ref().map(ToString::to_string),
        address: row.address.clone(),
        standing: row.standing.to_string(),
        services: row.services.iter().map(service).collect(),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl HostOperations {
    fn node(&self) -> Result<&Arc<Cluster>, OperationError> {
        let detail = "this host is no node of a cluster: its manifest has no [cluster]";
        self.cluster.as_ref().ok_or_else(|| OperationError::new(OperationErrorKind::Conflict, detail))
    }

    /// Whether an operator has drained this node.
    pub(super) fn is_drained(&self) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| {
            let view = cluster.view();
            let view = view.borrow();
            view.nodes.get(&view.own).is_some_and(|row| !row.standing.takes_calls())
        })
    }
}

impl NodeOperations for HostOperations {
    fn nodes(&self) -> Result<NodesView, OperationError> {
        let ClusterReport { view, lease_age, stale_for, doubted, .. } = self.node()?.report();
        Ok(NodesView {
            nodes: view.nodes.values().map(|row| node_view(row, row.name == view.own)).collect(),
            stale_ms: stale_for.map(milliseconds),
            lease_age_ms: lease_age.map(milliseconds),
            doubted: doubted as u64,
        })
    }

    async fn order_node(&self, node: &str, standing: Standing) -> Result<NodeView, OperationError> {
        let cluster = self.node()?;
        let kind = |error: &ClusterError| match error {
            ClusterError::NoNode(_) => OperationErrorKind::NoNode,
            _ => OperationErrorKind::Overloaded,
        };
        cluster.order(node, standing).await.map_err(|error| OperationError::caused_by(kind(&error), error))?;
        let view = cluster.view().borrow().clone();
        let row = view.nodes.iter().find(|(name, _)| name.as_str() == node);
        let gone = || OperationError::new(OperationErrorKind::NoNode, format!("the node `{node}` has just gone"));
        row.map(|(_, row)| node_view(row, row.name == view.own)).ok_or_else(gone)
    }
}

/// Lends the metrics what the cluster reports.
pub(in crate::app) struct ClusterSamples(pub(in crate::app) Arc<Cluster>, pub(in crate::app) Arc<NodeDuties>);

impl ClusterSource for ClusterSamples {
    fn cluster(&self) -> ClusterSample {
        let ClusterReport { view, lease_age, stale_for, doubted, .. } = self.0.report();
        let count = |standing| view.nodes.values().filter(|row| row.standing == standing).count();
        ClusterSample {
            nodes: Standing::ALL.map(|standing| (standing.as_str(), count(standing))),
            doubted,
            lease_age,
            stale_for,
            refused: self.1.refused().load(Relaxed),
        }
    }
}
