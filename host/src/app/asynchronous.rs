//! What a host does without a request: it delivers events, keeps the times of schedules, and drives sagas.

use super::assembly::event_plan::EventPlan;
use super::assembly::saga_plans::SagaPlans;
use super::assembly::schedule_plan::SchedulePlan;
use super::event_handler::EventHandler;
use super::host_parts::HostParts;
use super::operations::HostOperations;
use super::operations::saga_operations::{HostSagas, SagaSamples};
use super::operations::schedule_operations::ScheduleSamples;
use super::operations::topic_operations::DeliverySamples;
use crate::broker;
use crate::config::{BridgeConfig, Manifest};
use crate::delivery::{Bridge, MeshHandler};
use crate::mesh::Mesh;
use crate::state::Store;
use anyhow::Context;
use std::sync::Arc;

/// Begins to deliver events and to keep the times of schedules, and lends the admin and the metrics what they tell.
pub(super) async fn deliver(
    (events, schedules): (EventPlan, SchedulePlan),
    (store, manifest): (Option<&Store>, &Manifest),
    parts: &HostParts,
    host: &HostOperations,
) -> anyhow::Result<()> {
    let broker = match &manifest.broker {
        Some(broker) => {
            Some(broker::connect(&broker.settings).await.context("connecting to the broker of the events")?)
        }
        None => None,
    };
    let (broker, bridges) = (broker.as_deref(), bridges(manifest).await?);
    let mesh = Arc::clone(&parts.mesh);
    let handler = EventHandler {
        mesh: MeshHandler { mesh: Arc::clone(&mesh), tracer: host.tracer.clone() },
        sagas: Arc::clone(&parts.sagas),
        names: manifest.gateway.names,
    };
    let started = events.start(store, handler, (broker, bridges)).await;
    let started = started.context("reading the topics")?;
    if let Some(deliveries) = started.map(Arc::new) {
        host.metrics.add_deliveries(Arc::new(DeliverySamples(Arc::clone(&deliveries))));
        // It is set this once, and so are the schedules.
        let _ = host.deliveries.set(deliveries);
    }
    // After the topics: their events are counted.
    if let Some(schedules) = schedules.start(store, mesh, host.tracer.clone()).map(Arc::new) {
        host.metrics.add_schedules(Arc::new(ScheduleSamples(Arc::clone(&schedules))));
        let _ = host.schedules.set(schedules);
    }
    Ok(())
}

/// The bridges of the manifest, connected. A broker that is away is tried again and again.
async fn bridges(manifest: &Manifest) -> anyhow::Result<Vec<Bridge>> {
    let mut all = Vec::new();
    for config in &manifest.bridges {
        let BridgeConfig { name, topic, direction, settings, remote, .. } = config.clone();
        let connected = broker::connect(&settings).await;
        let broker = connected.with_context(|| format!("connecting to the broker of the bridge `{name}`"))?;
        let place = format!("{}/{remote}", settings.place());
        all.push(Bridge { name, topic, direction, broker, remote, place });
    }
    Ok(all)
}

/// Goes on with the sagas on disk, and lends the admin, the gateway and the metrics what they tell; `None` if there are
/// no sagas.
pub(super) async fn coordinate(
    plans: SagaPlans,
    store: Option<&Store>,
    mesh: Arc<Mesh>,
    host: &HostOperations,
) -> anyhow::Result<Option<HostSagas>> {
    let deliveries = host.deliveries.get().map(|deliveries| &**deliveries);
    let started = plans.start(store, mesh, deliveries).await.context("reading the sagas")?;
    let Some(sagas) = started.map(Arc::new) else { return Ok(None) };
    host.metrics.add_sagas(Arc::new(SagaSamples(Arc::clone(&sagas))));
    // It is set this once.
    let _ = host.sagas.set(Arc::clone(&sagas));
    Ok(Some(sagas))
}
