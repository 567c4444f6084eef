//! The rooms, built from the manifest in the order of their floors.

use super::assembly::Assembly;
use crate::config::{Manifest, ManifestErrors, Service, ServiceKey, environment};
use crate::mesh::{self, Dial, Tls, TlsError, TrafficSettings};
use crate::registry::Registry;
use crate::rollout::{Address, Plan, Rollout};
use crate::runtime::{Component, LoadError, Runtime};
use crate::state::Store;
use anyhow::Context;
use http::uri::Scheme;
use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;
use tokio::sync::Semaphore;
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

/// The component of each service of the manifest, in its order; `None` for one of addresses alone. Compiles on every core.
///
/// # Errors
/// All components that cannot serve, each at its place in the manifest.
pub(super) async fn components(manifest: &Manifest, runtime: &Arc<Runtime>) -> anyhow::Result<Vec<Option<Component>>> {
    let cores = Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from)));
    let compiling: Vec<_> = manifest.services.iter().map(|service| compile(service, runtime, &cores)).collect();
    let (mut components, mut findings) = (Vec::new(), Vec::new());
    for (service, compiling) in manifest.services.iter().zip(compiling) {
        let Some(compiling) = compiling else {
            components.push(None);
            continue;
        };
        match compiling.await.context("a task that compiles never panics")? {
            Ok(component) => components.push(Some(component)),
            Err(error) => findings.push(diagnose(manifest, service, &error)),
        }
    }
    match ManifestErrors::from_findings(findings) {
        Some(errors) => Err(errors.into()),
        None => Ok(components),
    }
}

fn compile(
    service: &Service,
    runtime: &Arc<Runtime>,
    cores: &Arc<Semaphore>,
) -> Option<JoinHandle<Result<Component, LoadError>>> {
    let path = service.component.clone()?;
    let (runtime, cores) = (Arc::clone(runtime), Arc::clone(cores));
    let (name, state) = (service.name.clone(), service.state);
    Some(tokio::spawn(async move {
        let _core = cores.acquire_owned().await.expect("the semaphore is never closed");
        let compiled = spawn_blocking(move || {
            let component = runtime.load(&path)?;
            component.permitted(&name, state)?;
            Ok(component)
        });
        compiled.await.expect("the compiler does not panic")
    }))
}

/// A component that cannot serve, at its place in the manifest.
pub(super) fn diagnose(manifest: &Manifest, service: &Service, error: &LoadError) -> crate::config::Finding {
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
    let mut trust = Trust::default();
    for (service, part) in manifest.services.iter().zip(&assembly.parts) {
        let component = part.as_ref().map(|part| (&part.component, part.links.as_slice()));
        let connect = service.connect;
        let dial = Dial { connect, tls: trust.of_urls(manifest, service)? };
        let outside = Dial { connect, tls: trust.of_outside(manifest, service)? };
        let launched = rollout.launch(plan(service, dial, outside), component, store);
        launched.with_context(|| format!("service `{}`", service.name))?;
    }
    Ok(rollout)
}

/// Whom services believe that call by TLS. The system's roots are read once, and only if somebody needs them.
#[derive(Default)]
struct Trust {
    system: Option<Tls>,
}

impl Trust {
    /// For the addresses that serve `service`.
    ///
    /// # Errors
    /// When there are no roots, at the place in the manifest that wants them.
    fn of_urls(&mut self, manifest: &Manifest, service: &Service) -> Result<Option<Tls>, ManifestErrors> {
        let https = service.urls.iter().any(|url| url.base.scheme() == Some(&Scheme::HTTPS));
        let tls = match &service.ca {
            _ if !https => return Ok(None),
            Some(ca) => Tls::with_ca(ca),
            None => self.system(),
        };
        tls.map(Some).map_err(|error| distrust(manifest, service, &error))
    }

    /// For the outside hosts that `service` may call.
    ///
    /// # Errors
    /// As [`Trust::of_urls`].
    fn of_outside(&mut self, manifest: &Manifest, service: &Service) -> Result<Option<Tls>, ManifestErrors> {
        if service.egress.rules().is_empty() {
            return Ok(None);
        }
        self.system().map(Some).map_err(|error| distrust(manifest, service, &error))
    }

    fn system(&mut self) -> Result<Tls, TlsError> {
        let tls = self.system.take().map_or_else(Tls::system, Ok)?;
        Ok(self.system.insert(tls).clone())
    }
}

fn distrust(manifest: &Manifest, service: &Service, error: &TlsError) -> ManifestErrors {
    let message = format!("service `{}`: {error}", service.name);
    manifest.diagnose(&service.name, ServiceKey::Ca, message, "name a PEM file of root certificates with `ca`").into()
}

fn plan(service: &Service, dial: Dial, outside: Dial) -> Plan {
    let Service { limits, total, bulkhead, retry, balance, .. } = service.clone();
    let traffic = TrafficSettings { timeout: limits.timeout, total, bulkhead, balance, retry };
    let Service { name, urls, dns, replicas, weight, state, calls, egress, .. } = service.clone();
    let urls = urls.into_iter().map(|url| Address { base: url.base, weight: url.weight }).collect();
    let Service { idempotent, isolation, config, breaker, .. } = service.clone();
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
