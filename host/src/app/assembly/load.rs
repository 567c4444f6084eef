//! The first steps of every verb: the manifest is read, the engine is started, and the components are loaded.

use crate::app::late_findings::LateFindings;
use crate::base::ServiceName;
use crate::config::{Draft, Manifest, ManifestErrors, ServiceConfig, environment};
use crate::runtime::{Component, Limits, LoadError, Runtime};
use anyhow::Context;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::available_parallelism;
use tokio::task::{JoinHandle, spawn_blocking};

/// Reads the manifest and the environment variables that override it.
pub(in crate::app) fn manifest(path: &Path) -> Result<Draft, ManifestErrors> {
    Draft::load(path, &environment)
}

/// The most memory of one instance, in bytes: that of 32-bit addresses. A slot of the pool reserves so much address
/// space in any case. A service's own limit is kept by its instances, so a manifest that is applied later may raise it.
const MOST_MEMORY: usize = 4 << 30;

/// An engine whose pool fits the manifest's services.
pub(in crate::app) fn engine(manifest: &Manifest) -> anyhow::Result<Arc<Runtime>> {
    let with_component = manifest.services.iter().filter(|service| service.component.is_some());
    let replicas = with_component.map(|service| &service.spec.replicas);
    let slots = manifest.runtime.slots(replicas.map(|replicas| (replicas.count, &replicas.limits)));
    // A recording is replayed on other machines, too.
    let is_recorded = |service: &ServiceConfig| {
        let shadow = service.spec.rollout.as_ref().is_some_and(|plan| plan.shadow.is_some());
        service.spec.record.is_some() || shadow
    };
    let start = if manifest.services.iter().any(is_recorded) { Runtime::deterministic } else { Runtime::new };
    let runtime = start(&manifest.runtime, slots, MOST_MEMORY).map_err(anyhow::Error::from);
    runtime.context("the engine does not start; fewer `instances` in [runtime] need less address space").map(Arc::new)
}

/// When the components are compiled whose code is not in the cache.
pub(in crate::app) enum Compile {
    /// Before anything else, so that everything that is wrong with them is found.
    Now,
    /// The same, but for these services: their components serve already, and are not read from the manifest's files.
    NowBut(BTreeMap<ServiceName, Component>),
    /// When the host serves the others.
    Later,
}

/// The component of each service, in the order of the manifest; `None` if the service has none, or if it cannot serve,
/// which is a finding. The components are read, and compiled or only examined, on all cores.
///
/// # Errors
/// The compiler panicked.
pub(super) async fn components(
    manifest: &Manifest,
    runtime: &Arc<Runtime>,
    compile: Compile,
    findings: &mut LateFindings<'_>,
) -> anyhow::Result<Vec<Option<Component>>> {
    let wanted = |service: &ServiceConfig| {
        let spec = &service.spec;
        let path = service.component.clone()?;
        let given = match &compile {
            Compile::NowBut(given) => given.get(&spec.name).cloned(),
            Compile::Now | Compile::Later => None,
        };
        let source = given.map_or(ComponentSource::File(path), ComponentSource::Given);
        Some((source, spec.name.clone(), spec.grants.storage(), spec.replicas.limits.clone()))
    };
    let wanted = manifest.services.iter().map(wanted).collect();
    let queue = Arc::new(LoadQueue { wanted, later: matches!(compile, Compile::Later), next: AtomicUsize::new(0) });
    let cores = available_parallelism().map_or(1, usize::from).min(queue.wanted.len());
    let _end = EndOfQueue(&queue);
    let loading: Vec<_> = (0..cores).map(|_| load_some(&queue, runtime)).collect();
    let mut components: Vec<_> = queue.wanted.iter().map(|_| None).collect();
    for loading in loading {
        for (index, loaded) in loading.await.context("the compiler does not panic")? {
            match loaded {
                Ok(component) => components[index] = Some(component),
                Err(error) => findings.component(&manifest.services[index].spec.name, &error),
            }
        }
    }
    Ok(components)
}

/// Where a component comes from.
enum ComponentSource {
    File(PathBuf),
    Given(Component),
}

/// A component's source, its service, whether that service has a store and may publish, and the limits of its
/// instances.
type WantedComponent = (ComponentSource, ServiceName, (bool, bool), Limits);

/// The components to load.
struct LoadQueue {
    wanted: Vec<Option<WantedComponent>>,
    /// Whether they are compiled later.
    later: bool,
    /// The index of the next component that no thread has begun.
    next: AtomicUsize,
}

/// When it is dropped, no thread begins another component: a host that is told to stop waits only for the components
/// that are being compiled.
struct EndOfQueue<'a>(&'a LoadQueue);

impl Drop for EndOfQueue<'_> {
    fn drop(&mut self) {
        self.0.next.store(self.0.wanted.len(), Relaxed);
    }
}

/// Loads components on one thread until the queue is empty, each with its index.
fn load_some(queue: &Arc<LoadQueue>, runtime: &Arc<Runtime>) -> JoinHandle<Vec<(usize, Result<Component, LoadError>)>> {
    let (queue, runtime) = (Arc::clone(queue), Arc::clone(runtime));
    spawn_blocking(move || {
        let mut loaded = Vec::new();
        loop {
            // `fetch_add` gives each index to one thread: with a load and a store, two threads could load one component
            // twice and leave another out. `Relaxed` is enough, since the queue itself does not change.
            let index = queue.next.fetch_add(1, Relaxed);
            let Some(wanted) = queue.wanted.get(index) else { return loaded };
            let Some((source, service, granted, limits)) = wanted else { continue };
            let permitted = |component: Component| component.permitted(service, *granted, limits).map(|()| component);
            let component = match source {
                ComponentSource::Given(component) => Ok(component.clone()),
                ComponentSource::File(path) if queue.later => runtime.examine(path),
                ComponentSource::File(path) => runtime.load(path),
            };
            loaded.push((index, component.and_then(permitted)));
        }
    })
}
