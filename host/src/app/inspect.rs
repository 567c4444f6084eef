//! `atoll inspect`: what a component exports and imports, and what it would break as a service of a manifest, without
//! serving.

use super::assembly::{Assembly, ServiceComponent, assemble, offers};
use super::load;
use crate::base::{Digest, ServiceName};
use crate::config::{Manifest, ServiceConfig};
use crate::contract::Contract;
use crate::rollout::{Need, Offers, SwapError, ambiguous, breaks, needs_of, wire};
use crate::runtime::{Component, Link, LoadError};
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
    /// Why a swap would refuse the component itself. Each continues the sentence "the component …".
    pub refusals: Vec<String>,
    /// What other services and routes would miss, each with its user.
    pub breaks: Vec<String>,
}

impl Trial {
    /// Whether the component could be swapped in.
    pub fn fits(&self) -> bool {
        self.refusals.is_empty() && self.breaks.is_empty()
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
    let contract = Contract::decode(&bytes).map_err(|error| anyhow!("{}: {error}", file.display()))?;
    let (digest, size) = (Digest::of(&bytes), bytes.len());
    let trial = match against {
        Some((service, manifest)) => Some(try_as(service, manifest, file, bytes, &contract).await?),
        None => None,
    };
    Ok(Inspection { digest, size, contract, trial })
}

async fn try_as(
    name: &ServiceName,
    path: &Path,
    file: &Path,
    bytes: Vec<u8>,
    contract: &Contract,
) -> anyhow::Result<Trial> {
    let mut draft = load::manifest(path)?;
    if let Some(errors) = draft.errors() {
        return Err(errors.into());
    }
    let manifest = &draft.manifest;
    let index = manifest.services.iter().position(|service| service.spec.name == *name);
    let index = index.ok_or_else(|| unknown(name, path, manifest))?;
    if manifest.services[index].component.is_none() {
        return Err(SwapError::NoComponent(name.clone()).into());
    }
    let runtime = load::engine(manifest)?;
    let assembly = match assemble(&draft, &runtime, false).await {
        Ok(assembly) => assembly,
        // The cause may be the component that this one would replace, so the check is repeated with this one.
        Err(_) => {
            draft.manifest.services[index].component = Some(file.to_owned());
            assemble(&draft, &runtime, false).await?
        }
    };
    let manifest = &draft.manifest;
    let compiler = Arc::clone(&runtime);
    let component = spawn_blocking(move || compiler.compile(&bytes)).await.context("the compiler does not panic")?;
    let service = manifest.services[index].clone();
    let (links, mut refusals) = link(&service, contract, manifest, &assembly);
    if let Err(error) = component.and_then(|component| check_other_imports(&service, &component, &links)) {
        refusals.insert(0, error.to_string());
    }
    let mut breaks = breaks(name, contract, needs(name, manifest, &assembly).iter());
    if breaks.is_empty() {
        let others = others(name, manifest, &assembly);
        let others = others
            .map(|(other, one)| (&other.spec.name, &**one.component.contract(), other.spec.grants.calls.as_slice()));
        breaks = ambiguous(others, &offers_with(name, contract, manifest, &assembly));
    }
    Ok(Trial { service, links, refusals, breaks })
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
    let offers = offers_with(&service.spec.name, contract, manifest, assembly);
    let (mut links, mut refusals) = (Vec::new(), Vec::new());
    for (name, interface) in &contract.imports {
        // `wire` stops at the first error, so the imports are linked one at a time: all errors are reported.
        let imports = BTreeMap::from([(name.clone(), interface.clone())]);
        let imported = Contract { imports, ..Contract::default() };
        match wire(&service.spec.name, &imported, &service.spec.grants.calls, &offers) {
            Ok(link) => links.extend(link),
            Err(error) => {
                let replaced = manifest.services.iter().position(|own| own.spec.name == service.spec.name);
                let replaced = replaced.and_then(|index| assembly.components[index].as_ref());
                let error = match replaced {
                    Some(before) => error.replacing(&service.spec.name, before.component.contract()),
                    None => error,
                };
                refusals.push(error.to_string());
            }
        }
    }
    (links, refusals)
}

/// Whether the service's grants and the host permit the component's other imports.
fn check_other_imports(service: &ServiceConfig, component: &Component, links: &[Link]) -> Result<(), LoadError> {
    component.permitted(&service.spec.name, service.spec.grants.state)?;
    // If a link is missing, that was reported already, and `links` would report the same import again.
    if links.len() == component.contract().imports.len() { component.links() } else { Ok(()) }
}

/// What the routes and all other services use.
fn needs(name: &ServiceName, manifest: &Manifest, assembly: &Assembly) -> Vec<Need> {
    let needs = others(name, manifest, assembly)
        .flat_map(|(other, one)| needs_of(&other.spec.name, one.component.contract(), &one.links));
    needs.chain(assembly.needs.iter().cloned()).collect()
}

/// The other services with a component.
fn others<'a>(
    name: &'a ServiceName,
    manifest: &'a Manifest,
    assembly: &'a Assembly,
) -> impl Iterator<Item = (&'a ServiceConfig, &'a ServiceComponent)> {
    let others = manifest.services.iter().zip(&assembly.components).filter(|(other, _)| other.spec.name != *name);
    others.filter_map(|(other, component)| Some((other, component.as_ref()?)))
}

/// What all services export if `name` has this contract.
fn offers_with(name: &ServiceName, contract: &Contract, manifest: &Manifest, assembly: &Assembly) -> Offers {
    let components = assembly.components.iter().map(|one| one.as_ref().map(|one| &one.component));
    let mut offers: Offers = offers(manifest.services.iter().zip(components));
    // A service that calls itself will call the new component.
    offers.insert(name.clone(), Arc::new(contract.clone()));
    offers
}
