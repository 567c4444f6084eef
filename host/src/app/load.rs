//! The first steps of every verb: the manifest is read, the engine is started, and the components are loaded.

use crate::base::ServiceName;
use crate::config::{Finding, LateFindingKey, Manifest, ManifestErrors, ServiceConfig, environment};
use crate::runtime::{Component, Limits, LoadError, Runtime};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::available_parallelism;
use tokio::task::{JoinHandle, spawn_blocking};

/// Reads the manifest and the environment variables that override it.
pub(super) fn manifest(path: &Path) -> Result<Manifest, ManifestErrors> {
    Manifest::load(path, &environment)
}

/// An engine whose pool fits the manifest's services.
pub(super) fn engine(manifest: &Manifest) -> anyhow::Result<Arc<Runtime>> {
    let with_component = || {
        let services = manifest.services.iter().filter(|service| service.component.is_some());
        services.map(|service| &service.spec.replicas)
    };
    let slots = manifest.runtime.slots(with_component().map(|replicas| (replicas.count, &replicas.limits)));
    let memory = with_component().map(|replicas| replicas.limits.memory).max().unwrap_or(1 << 16);
    let runtime = Runtime::new(&manifest.runtime, slots, memory).map_err(anyhow::Error::from);
    runtime.context("the engine does not start; fewer `instances` in [runtime] need less address space").map(Arc::new)
}

/// The component of each service, in the order of the manifest; `None` if the service has only addresses. The
/// components are read and compiled on all cores.
///
/// # Errors
/// All components that cannot serve, each with its position in the manifest.
pub(super) async fn components(manifest: &Manifest, runtime: &Arc<Runtime>) -> anyhow::Result<Vec<Option<Component>>> {
    let wanted = |service: &ServiceConfig| {
        let spec = &service.spec;
        Some((service.component.clone()?, spec.name.clone(), spec.grants.state, spec.replicas.limits.clone()))
    };
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
                Err(error) => findings.push(diagnose(manifest, &manifest.services[index].spec.name, &error)),
            }
        }
    }
    match ManifestErrors::from_findings(findings) {
        Some(errors) => Err(errors.into()),
        None => Ok(components),
    }
}

/// The components to load.
struct LoadQueue {
    /// A component's file, its service, whether that service has a store, and the limits of its instances.
    wanted: Vec<Option<(PathBuf, ServiceName, bool, Limits)>>,
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
            let Some((path, service, state, limits)) = wanted else { continue };
            let permitted = |component: Component| component.permitted(service, *state, limits).map(|()| component);
            loaded.push((index, runtime.load(path).and_then(permitted)));
        }
    })
}

/// The finding for a component that cannot serve.
pub(super) fn diagnose(manifest: &Manifest, service: &ServiceName, error: &LoadError) -> Finding {
    let subject = if matches!(error, LoadError::Read { .. }) { "" } else { "the component " };
    let message = format!("service `{service}`: {subject}{error}");
    manifest.diagnose(service, LateFindingKey::Component, message, error.help())
}
