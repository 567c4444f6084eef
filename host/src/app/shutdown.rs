//! The end of the host: the signals that start the drain, and the order in which the parts stop.
//!
//! The gateway drains first (`listen`), and is finished when [`Shutdown::run`] begins. Then the events and sagas under
//! way end, and a node of a cluster waits until others have the services whose place the cluster decides. Until then
//! the edge towards other nodes takes calls: a request that is under way here may call a service on another node, which
//! calls one that stands on this node alone. The admin stays until that edge is done, so that operators see the drain.
//! The store closes last: guests may commit until the end of their grace period.

use super::cluster_node::ServingEdge;
use super::operations::HostOperations;
use super::operations::saga_operations::HostSagas;
use super::otlp::otlp_export::OtlpExporters;
use crate::cluster::Cluster;
use crate::listen::Drain;
use crate::node::handed_over;
use crate::runtime::Runtime;
use crate::state::Store;
use crate::telemetry::{ChangeKind, note_change};
use anyhow::Context;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};

/// How long the admin may take for its last answers after the gateway's drain.
const ADMIN_DRAIN: Duration = Duration::from_secs(1);
/// How long events and steps of sagas under way may take to end.
const EVENTS_DRAIN: Duration = Duration::from_secs(10);
/// How long calls of other nodes may take to end, after all that this host had under way and after its own drain.
const PEERS_DRAIN: Duration = Duration::from_secs(5);
/// How long guests may work after the last answer.
const GUESTS_DRAIN: Duration = Duration::from_secs(5);

/// The signals that tell the host to stop.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn catch() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for a signal, and returns its name.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Starts `drain` at the first signal, or when another host has taken the data of `store`, with `within` as its
    /// time. A second signal makes the deadline now. Each is told to `on_drain` first, which must not wait.
    pub(super) async fn start(
        mut self,
        (drain, within): (Drain, Duration),
        store: Option<Store>,
        on_drain: impl Fn(&'static str) + Send,
    ) {
        for (within, store) in [(within, &store), (Duration::ZERO, &None)] {
            let name = tokio::select! {
                name = self.next() => name,
                () = superseded(store) => "host",
            };
            tracing::info!(signal = name, seconds = within.as_secs(), "draining");
            note_change(ChangeKind::HostDraining, "", None, &format!("{name}: at most {} s", within.as_secs()));
            on_drain(name);
            drain.start(within);
        }
    }
}

/// Waits until the data are those of another host. What this one remembers of topics, sagas, schedules and quotas no
/// longer holds then: it ends, and may begin anew.
async fn superseded(store: &Option<Store>) {
    match store {
        Some(store) => drop(store.superseded().await),
        None => std::future::pending().await,
    }
}

/// What still runs when the gateway has drained.
pub(super) struct Shutdown {
    /// The edge towards other nodes, with the gateway's drain and the time that this has.
    pub(super) peers: Option<(ServingEdge, Drain, Duration)>,
    /// The admin's task, which returns how many connections it cut off, and its drain.
    pub(super) admin_edge: (JoinHandle<usize>, Drain),
    /// Tasks that run beside the edges: the resolver of names, the health checks.
    pub(super) upkeep: JoinSet<()>,
    /// What sends traces, lines and metrics to collectors.
    pub(super) exporter: Option<Arc<OtlpExporters>>,
    pub(super) runtime: Arc<Runtime>,
    /// What delivers events and keeps the times of schedules.
    pub(super) asynchronous: Arc<HostOperations>,
    pub(super) sagas: Option<HostSagas>,
    /// This host as a node.
    pub(super) cluster: Option<Arc<Cluster>>,
    pub(super) store: Option<Store>,
}

impl Shutdown {
    /// Stops everything, in order. It waits for each part before it stops the next.
    ///
    /// # Errors
    /// A task of the host panicked; the host ends because another one has its data.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        if let Some(schedules) = self.asynchronous.schedules.get() {
            schedules.stop(EVENTS_DRAIN).await;
        }
        if let Some(deliveries) = self.asynchronous.deliveries.get() {
            deliveries.stop(EVENTS_DRAIN).await;
        }
        if let Some(sagas) = self.sagas {
            sagas.stop(EVENTS_DRAIN).await;
        }
        if let Some((edge, drain, within)) = self.peers {
            if let Some(cluster) = &self.cluster {
                let handed = handed_over(cluster, &self.asynchronous.rollout);
                tokio::select! {
                    () = handed => {}
                    // A second signal is enough here, too.
                    () = drain.expired() => tracing::warn!("services of this node were not taken over in time"),
                }
            }
            drain_peers(edge, &drain, within).await;
        }
        if let Some(cluster) = self.cluster {
            cluster.leave().await;
        }
        let (admin_edge, admin_drain) = self.admin_edge;
        admin_drain.start(ADMIN_DRAIN);
        admin_edge.await.context("the admin's task")?;
        self.upkeep.shutdown().await;
        if let Some(exporter) = self.exporter {
            exporter.finish().await;
        }
        // Guests may still work, and commit, after their answers were sent.
        if !self.runtime.idle(GUESTS_DRAIN).await {
            tracing::warn!("instances that still worked were ended");
        }
        let mut superseded = None;
        if let Some(store) = self.store {
            superseded = store.is_superseded();
            spawn_blocking(move || store.close()).await.context("closing the store")?;
        }
        tracing::info!("stopped");
        // What watches over the host starts it again: it was not told to stop.
        superseded.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Ends the calls of other nodes. They have as long as the clients of the gateway had, until `gateway` has expired, for
/// which a second signal is enough; and `PEERS_DRAIN` from then on.
async fn drain_peers(ServingEdge { mut edge, drain }: ServingEdge, gateway: &Drain, within: Duration) {
    drain.start(within);
    let ended = tokio::select! {
        ended = &mut edge => ended,
        () = gateway.expired() => {
            drain.start(PEERS_DRAIN);
            edge.await
        }
    };
    let cut_off = ended.unwrap_or_default();
    if cut_off > 0 {
        tracing::warn!(cut_off, "connections of other nodes were cut off at the end of the drain");
    }
}
