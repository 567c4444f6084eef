//! `atoll inspect`: what a component exports and imports, and what it would break as a service of a manifest, without
//! serving.

use super::assembly::{Assembly, assemble, offers};
use super::load;
use crate::base::{Digest, ServiceName};
use crate::config::{Manifest, ServiceConfig};
use crate::contract::Contract;
use crate::rollout::{Need, SwapError, Trial, TrialGround, needs_of};
use anyhow::{Context, anyhow};
use std::fs;
use std::path::{Path, PathBuf};
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
    pub trial: Option<ManifestTrial>,
}

/// A component, tried as the component of a service of a manifest.
#[derive(Debug)]
pub struct ManifestTrial {
    /// The service, with its grants and limits.
    pub service: ServiceConfig,
    /// The manifest.
    pub manifest: PathBuf,
    /// What was found.
    pub trial: Trial,
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
) -> anyhow::Result<ManifestTrial> {
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
    let service = manifest.services[index].clone();
    let components = assembly.components.iter().map(|one| one.as_ref().map(|one| &one.component));
    let ground = TrialGround {
        spec: &service.spec,
        offers: offers(manifest.services.iter().zip(components)),
        needs: needs(name, &manifest, &assembly),
        routed: Arc::clone(&assembly.specs[index].routed),
    };
    let trial = Trial::run(contract, &component, ground);
    Ok(ManifestTrial { service, manifest: path.to_owned(), trial })
}

fn unknown(name: &ServiceName, path: &Path, manifest: &Manifest) -> anyhow::Error {
    let names: Vec<_> = manifest.services.iter().map(|service| service.spec.name.as_str()).collect();
    anyhow!("{} has no service `{name}`; its services: {}", path.display(), names.join(", "))
}

/// What the routes and all other services use.
fn needs(name: &ServiceName, manifest: &Manifest, assembly: &Assembly) -> Vec<Need> {
    let others = manifest.services.iter().zip(&assembly.components).filter(|(other, _)| other.spec.name != *name);
    let others = others.filter_map(|(other, component)| Some((&other.spec.name, component.as_ref()?)));
    let needs = others.flat_map(|(other, one)| needs_of(other, one.component.contract(), &one.links));
    needs.chain(assembly.needs.iter().cloned()).collect()
}
