//! What a component is, and what would become of it as a service of a manifest, without serving.

use super::assembly::{Assembly, assemble, offers};
use super::build;
use crate::base::{Digest, ServiceName};
use crate::config::{Manifest, ServiceConfig};
use crate::contract::Contract;
use crate::rollout::{Need, Offers, SwapError, breaks, needs_of, wire};
use crate::runtime::{Component, Link, LoadError};
use anyhow::{Context, anyhow};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// What a component is.
#[derive(Debug)]
pub struct Inspection {
    /// What names it as a revision.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: usize,
    /// What it exports and imports.
    pub contract: Contract,
    /// What would become of it, if a service was named.
    pub trial: Option<Trial>,
}

/// A component in the place of a service's own.
#[derive(Debug)]
pub struct Trial {
    /// The service: what it is granted, and within which bounds.
    pub service: ServiceConfig,
    /// The services that would answer its imports.
    pub links: Vec<Link>,
    /// Why it would be refused for itself; each continues a sentence about the component.
    pub refusals: Vec<String>,
    /// What others would miss, each with who they are.
    pub breaks: Vec<String>,
}

impl Trial {
    /// Whether the component could be swapped in.
    pub fn fits(&self) -> bool {
        self.refusals.is_empty() && self.breaks.is_empty()
    }
}

/// Describes the component in `file`, and tries it in the place of a service's own: its name, and the manifest. Opens no socket and no store.
///
/// # Errors
/// When the file is no component, when the manifest has no such component to replace, or when the manifest does not pass the check with its
/// own component nor with this one.
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
    let mut manifest = build::manifest(path)?;
    let index = manifest.services.iter().position(|service| service.name == *name);
    let index = index.ok_or_else(|| unknown(name, path, &manifest))?;
    if manifest.services[index].component.is_none() {
        return Err(SwapError::NoComponent(name.clone()).into());
    }
    let runtime = build::engine(&manifest)?;
    let assembly = match assemble(&manifest, &runtime).await {
        Ok(assembly) => assembly,
        // What is wrong may be the component that this one is to replace.
        Err(_) => {
            manifest.services[index].component = Some(file.to_owned());
            assemble(&manifest, &runtime).await?
        }
    };
    let compiler = Arc::clone(&runtime);
    let component = spawn_blocking(move || compiler.compile(&bytes)).await.context("the compiler does not panic")?;
    let service = manifest.services[index].clone();
    let (links, mut refusals) = link(&service, contract, &manifest, &assembly);
    if let Err(error) = component.and_then(|component| load(&service, &component, &links)) {
        refusals.insert(0, error.to_string());
    }
    let breaks = breaks(name, contract, needs(name, &manifest, &assembly).iter());
    Ok(Trial { service, links, refusals, breaks })
}

fn unknown(name: &ServiceName, path: &Path, manifest: &Manifest) -> anyhow::Error {
    let names: Vec<_> = manifest.services.iter().map(|service| service.name.as_str()).collect();
    anyhow!("{} has no service `{name}`; its services: {}", path.display(), names.join(", "))
}

/// Who answers each import, and for which there is nobody.
fn link(
    service: &ServiceConfig,
    contract: &Contract,
    manifest: &Manifest,
    assembly: &Assembly,
) -> (Vec<Link>, Vec<String>) {
    let components = assembly.parts.iter().map(|part| part.as_ref().map(|part| &part.component));
    let mut offers: Offers = offers(manifest.services.iter().zip(components));
    // A service that calls itself calls what it will be.
    offers.insert(service.name.clone(), Arc::new(contract.clone()));
    let (mut links, mut refusals) = (Vec::new(), Vec::new());
    for (name, interface) in &contract.imports {
        // One at a time, so that all that is missing is told.
        let imports = BTreeMap::from([(name.clone(), interface.clone())]);
        match wire(&service.name, &Contract { imports, ..Contract::default() }, &service.calls, &offers) {
            Ok(link) => links.extend(link),
            Err(error) => refusals.push(error.to_string()),
        }
    }
    (links, refusals)
}

/// Whether the component could be loaded for the service, as far as its other imports go.
fn load(service: &ServiceConfig, component: &Component, links: &[Link]) -> Result<(), LoadError> {
    component.permitted(&service.name, service.state)?;
    // With a link missing it would be said twice.
    if links.len() == component.contract().imports.len() { component.links() } else { Ok(()) }
}

/// What the routes and all other services use.
fn needs(name: &ServiceName, manifest: &Manifest, assembly: &Assembly) -> Vec<Need> {
    let others = manifest.services.iter().zip(&assembly.parts).filter(|(other, _)| other.name != *name);
    let others = others.filter_map(|(other, part)| Some((&other.name, part.as_ref()?)));
    let needs = others.flat_map(|(other, part)| needs_of(other, part.component.contract(), &part.links));
    needs.chain(assembly.needs.iter().cloned()).collect()
}
