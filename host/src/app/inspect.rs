//! `atoll inspect`: what a component exports and imports, and what it would break as a service of a manifest, without
//! serving.

use super::assembly::{Assembly, assemble, offers};
use super::load;
use crate::base::{Digest, ServiceName};
use crate::config::{Manifest, ServiceConfig};
use crate::contract::{Contract, HOW_TO_BUILD};
use crate::rollout::{Need, Offers, SwapError, breaks, needs_of, wire};
use crate::runtime::{Component, Link, LoadError, refusals};
use anyhow::{Context, anyhow};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// A component's facts.
#[derive(Debug)]
pub struct Inspection {
    /// Its digest, which is also its name as a revision.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: usize,
    /// What it exports and imports.
    pub contract: Contract,
    /// Why no host would run it, whatever the manifest says. Each continues the sentence "the component …".
    pub refusals: Vec<LoadError>,
    /// What it would break as the component of a service, if a service was named.
    pub trial: Option<Trial>,
}

/// A component, tried as the component of a service.
#[derive(Debug)]
pub struct Trial {
    /// The service, with its grants and limits.
    pub service: ServiceConfig,
    /// The services that would answer its imports.
    pub links: Vec<Link>,
    /// Why a swap would refuse the component itself, beyond the reasons that hold for every host. Each continues the
    /// sentence "the component …".
    pub refusals: Vec<String>,
    /// What other services and routes would miss, each with its user.
    pub breaks: Vec<String>,
}

impl Inspection {
    /// Whether a host would run the component, and as the service that was named.
    pub fn is_good(&self) -> bool {
        let trial = self.trial.as_ref();
        self.refusals.is_empty() && trial.is_none_or(|trial| trial.refusals.is_empty() && trial.breaks.is_empty())
    }
}

/// Describes the component in `file`. With `against`, a service and its manifest, also tries it as the component of
/// that service. Opens no socket and no store.
///
/// # Errors
/// The file is not a component; the manifest has no such service, or that service has no component; or the manifest
/// passes the check neither with its own component nor with this one.
pub async fn inspect(file: &Path, against: Option<(&ServiceName, &Path)>) -> anyhow::Result<Inspection> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let contract = Contract::decode(&bytes).map_err(|error| anyhow!("{}: {error}; {HOW_TO_BUILD}", file.display()))?;
    let (digest, size, refusals) = (Digest::of(&bytes), bytes.len(), refusals(&contract));
    let trial = match against {
        Some((service, manifest)) => Some(try_as(service, manifest, file, bytes, &contract).await?),
        None => None,
    };
    Ok(Inspection { digest, size, contract, refusals, trial })
}

async fn try_as(
    name: &ServiceName,
    path: &Path,
    file: &Path,
    bytes: Vec<u8>,
    contract: &Contract,
) -> anyhow::Result<Trial> {
    let mut manifest = load::manifest(path)?;
    let index = manifest.services.iter().position(|service| service.spec.name == *name);
    let index = index.ok_or_else(|| unknown(name, path, &manifest))?;
    if manifest.services[index].component.is_none() {
        return Err(SwapError::NoComponent(name.clone()).into());
    }
    let runtime = load::engine(&manifest)?;
    let assembly = match assemble(&manifest, &runtime).await {
        Ok(assembly) => assembly,
        // The cause may be the component that this one would replace, so the check is repeated with this one.
        Err(_) => {
            manifest.services[index].component = Some(file.to_owned());
            assemble(&manifest, &runtime).await?
        }
    };
    let compiler = Arc::clone(&runtime);
    let component = spawn_blocking(move || compiler.compile(&bytes)).await.context("the compiler does not panic")?;
    let is_runnable = refusals(contract).is_empty();
    let service = manifest.services[index].clone();
    let (links, mut refused) = link(&service, contract, &manifest, &assembly);
    match component.and_then(|component| check_other_imports(&service, &component, &links)) {
        // A reason that holds for every host was found by its contract alone.
        Err(_) if !is_runnable => {}
        Err(error) => refused.insert(0, error.to_string()),
        Ok(()) => {}
    }
    let breaks = breaks(name, contract, needs(name, &manifest, &assembly).iter());
    Ok(Trial { service, links, refusals: refused, breaks })
}

fn unknown(name: &ServiceName, path: &Path, manifest: &Manifest) -> anyhow::Error {
    let names: Vec<_> = manifest.services.iter().map(|service| service.spec.name.as_str()).collect();
    anyhow!("{} has no service `{name}`; its services: {}", path.display(), names.join(", "))
}

/// The services that answer the imports, and the reasons for the imports that no service answers.
fn link(
    service: &ServiceConfig,
    contract: &Contract,
    manifest: &Manifest,
    assembly: &Assembly,
) -> (Vec<Link>, Vec<String>) {
    let components = assembly.components.iter().map(|one| one.as_ref().map(|one| &one.component));
    let mut offers: Offers = offers(manifest.services.iter().zip(components));
    // A service that calls itself will call the new component.
    offers.insert(service.spec.name.clone(), Arc::new(contract.clone()));
    let (mut links, mut refusals) = (Vec::new(), Vec::new());
    for (name, interface) in &contract.imports {
        // `wire` stops at the first error, so the imports are linked one at a time: all errors are reported.
        let imports = BTreeMap::from([(name.clone(), interface.clone())]);
        let imported = Contract { imports, ..Contract::default() };
        match wire(&service.spec.name, &imported, &service.spec.grants.calls, &offers) {
            Ok(link) => links.extend(link),
            Err(error) => refusals.push(error.to_string()),
        }
    }
    (links, refusals)
}

/// Whether the service's grants and the host permit the component's other imports.
fn check_other_imports(service: &ServiceConfig, component: &Component, links: &[Link]) -> Result<(), LoadError> {
    let spec = &service.spec;
    component.permitted(&spec.name, spec.grants.state, &spec.replicas.limits)?;
    // If a link is missing, that was reported already, and `links` would report the same import again.
    if links.len() == component.contract().imports.len() { component.links() } else { Ok(()) }
}

/// What the routes and all other services use.
fn needs(name: &ServiceName, manifest: &Manifest, assembly: &Assembly) -> Vec<Need> {
    let others = manifest.services.iter().zip(&assembly.components).filter(|(other, _)| other.spec.name != *name);
    let others = others.filter_map(|(other, component)| Some((&other.spec.name, component.as_ref()?)));
    let needs = others.flat_map(|(other, one)| needs_of(other, one.component.contract(), &one.links));
    needs.chain(assembly.needs.iter().cloned()).collect()
}
