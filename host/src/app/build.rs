//! The rooms, built from the manifest in the order of their floors.

use super::assembly::Assembly;
use super::trust::Dials;
use crate::base::ServiceName;
use crate::config::{Manifest, ManifestErrors, ServiceConfig, ServiceKey, environment};
use crate::mesh::{self, TrafficSettings};
use crate::registry::Registry;
use crate::rollout::{PlainAddress, Plan, Rollout};
use crate::runtime::{Component, LoadError, Runtime};
use crate::state::Store;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::available_parallelism;
use tokio::task::{JoinHandle, spawn_blocking};

/// Reads the manifest and the variables that override it.
pub(super) fn manifest(path: &Path) -> Result<Manifest, ManifestErrors> {
    Manifest::load(path, &environment)
}

/// An engine whose pool fits the manifest's services.
pub(super) fn engine(manifest: &Manifest) -> anyhow::Result<Arc<Runtime>> {
    let with_component = || manifest.services.iter().filter(|service| service.component.is_some());
    let slots = manifest.runtime.slots(with_component().map(|service| (service.replicas, &service.limits)));
    let memory = with_component().map(|service| service.limits.memory).max().unwrap_or(1 << 16);
    let runtime = Runtime::new(&manifest.runtime, slots, memory).map_err(anyhow::Error::from);
    runtime.context("the engine does not start; fewer `instances` in [runtime] need less address space").map(Arc::new)
}

/// The component of each service of the manifest, in its order; `None` for one of addresses alone. Reads and compiles on every core.
///
/// # Errors
/// All components that cannot serve, each at its place in the manifest.
pub(super) async fn components(manifest: &Manifest, runtime: &Arc<Runtime>) -> anyhow::Result<Vec<Option<Component>>> {
    let wanted = |service: &ServiceConfig| Some((service.component.clone()?, service.name.clone(), service.state));
    let queue =
        Arc::new(LoadQueue { wanted: manifest.services.iter().map(wanted).collect(), next: AtomicUsize::new(0) });
    let cores = available_parallelism().map_or(1, usize::from).min(queue.wanted.len());
    let _end = EndOfQueue(&queue);
    let loading: Vec<_> = (0..cores).map(|_| load_some(&queue, runtime)).collect();
    let mut components: Vec<_> = queue.wanted.iter().map(|_| None).collect();
    let mut findings = Vec::new();
    for loading in loading {
        for (index, loaded) in loading.await.context("the compiler does not panic")? {
            match loaded {
                Ok(component) => components[index] = Some(component),
                Err(error) => findings.push(diagnose(manifest, &manifest.services[index], &error)),
            }
        }
    }
    match ManifestErrors::from_findings(findings) {
        Some(errors) => Err(errors.into()),
        None => Ok(components),
    }
}

/// The components that are to be loaded.
struct LoadQueue {
    /// A component's file, the service that it is for, and whether that has a store.
    wanted: Vec<Option<(PathBuf, ServiceName, bool)>>,
    /// The first with which nobody has begun.
    next: AtomicUsize,
}

/// Nobody begins with another component once this is dropped: a host that is told to stop waits for those under way alone.
struct EndOfQueue<'a>(&'a LoadQueue);

impl Drop for EndOfQueue<'_> {
    fn drop(&mut self) {
        self.0.next.store(self.0.wanted.len(), Relaxed);
    }
}

/// Loads one component after the other, each the next in the queue, and answers them by their places.
fn load_some(queue: &Arc<LoadQueue>, runtime: &Arc<Runtime>) -> JoinHandle<Vec<(usize, Result<Component, LoadError>)>> {
    let (queue, runtime) = (Arc::clone(queue), Arc::clone(runtime));
    spawn_blocking(move || {
        let mut loaded = Vec::new();
        loop {
            let index = queue.next.fetch_add(1, Relaxed);
            let Some(wanted) = queue.wanted.get(index) else { return loaded };
            let Some((path, service, state)) = wanted else { continue };
            let permitted = |component: Component| component.permitted(service, *state).map(|()| component);
            loaded.push((index, runtime.load(path).and_then(permitted)));
        }
    })
}

/// A component that cannot serve, at its place in the manifest.
pub(super) fn diagnose(manifest: &Manifest, service: &ServiceConfig, error: &LoadError) -> crate::config::Finding {
    let help = match error {
        LoadError::Read { .. } => "build it first, or correct the path".to_owned(),
        LoadError::Invalid(_) => {
            "the file must be a component, not a core module: build it for the target wasm32-wasip2".to_owned()
        }
        LoadError::NothingToCall(_) => {
            "export an interface, or the handler of WASI HTTP; the README shows the smallest service".to_owned()
        }
        LoadError::Uncallable(_) => "pass values, or streams and futures of numbers, characters and strings".to_owned(),
        LoadError::UnknownImports(_) => {
            "of WASI a service may import 0.2 and 0.3, wasi:config and wasi:keyvalue".to_owned()
        }
        LoadError::NotGranted { grant, .. } => format!("add `{grant}` to [service.{}]", service.name),
        LoadError::Link(_) => "rebuild it against the host's version of its imports".to_owned(),
    };
    let verb = if matches!(error, LoadError::Read { .. }) { "" } else { "the component " };
    manifest.diagnose(&service.name, ServiceKey::Component, format!("service `{}`: {verb}{error}", service.name), help)
}

/// The services in the discovery table.
pub(super) fn launch(
    manifest: &Manifest,
    assembly: &Assembly,
    runtime: &Arc<Runtime>,
    registry: &Arc<Registry<mesh::Service>>,
    store: Option<&Store>,
) -> anyhow::Result<Rollout> {
    let mut rollout = Rollout::new(Arc::clone(runtime), Arc::clone(registry), assembly.needs.clone());
    let services = manifest.services.iter().zip(&assembly.parts).zip(&assembly.dials);
    let launches = services.map(|((service, part), dials)| {
        let component = part.as_ref().map(|part| (&part.component, part.links.as_slice()));
        (plan(service, dials.clone()), component)
    });
    let launched = rollout.launch_all(launches, store);
    launched.map_err(|(service, error)| anyhow::Error::from(error).context(format!("service `{service}`")))?;
    Ok(rollout)
}

fn plan(service: &ServiceConfig, Dials { urls: dial, outside }: Dials) -> Plan {
    let ServiceConfig { limits, total, bulkhead, retry, balance, .. } = service.clone();
    let traffic = TrafficSettings { timeout: limits.timeout, total, bulkhead, balance, retry };
    let ServiceConfig { name, urls, dns, replicas, weight, state, calls, egress, .. } = service.clone();
    let urls = urls.into_iter().map(|url| PlainAddress { base: url.base, weight: url.weight }).collect();
    let ServiceConfig { idempotent, isolation, config, breaker, .. } = service.clone();
    Plan {
        name,
        urls,
        dial,
        outside,
        dns,
        replicas,
        weight,
        state,
        calls,
        egress,
        idempotent,
        isolation,
        config,
        limits,
        traffic,
        breaker,
    }
}
