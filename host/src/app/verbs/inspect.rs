//! `atoll inspect`: what a component exports and imports, and what it would break as a service of a manifest, without
//! serving.

use crate::app::assembly::known_components::KnownComponents;
use crate::app::assembly::load::{self, Compile};
use crate::app::assembly::routed_places::RoutedPlaces;
use crate::app::assembly::service_component::ServiceComponent;
use crate::app::assembly::{Assembly, assemble, offers};
use crate::base::{Digest, ServiceName};
use crate::config::{Manifest, ServiceConfig};
use crate::contract::{Contract, HOW_TO_BUILD, HeldTo};
use crate::rollout::{Importer, Need, SwapError, Trial, TrialGround, described, needs_of};
use crate::runtime::{LoadError, refusals};
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
    /// Why no host would run it, whatever the manifest says. Each continues the sentence "the component …".
    pub refusals: Vec<LoadError>,
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
    /// What was found, beyond the reasons that hold for every host.
    pub trial: Trial,
}

impl Inspection {
    /// Whether a host would run the component, and as the service that was named.
    pub fn is_good(&self) -> bool {
        self.refusals.is_empty() && self.trial.as_ref().is_none_or(|tried| tried.trial.fits())
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
) -> anyhow::Result<ManifestTrial> {
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
    // What this one would replace may be older than the WIT files.
    let how = || (Compile::Now, false, &KnownComponents::All);
    let assembly = match assemble(&draft, &runtime, how(), (&mut RoutedPlaces::default(), Vec::new())).await {
        Ok(assembly) => assembly,
        // The cause may be the component that this one would replace, so the check is repeated with this one.
        Err(_) => {
            draft.manifest.services[index].component = Some(file.to_owned());
            assemble(&draft, &runtime, how(), (&mut RoutedPlaces::default(), Vec::new())).await?
        }
    };
    let manifest = &draft.manifest;
    let compiler = Arc::clone(&runtime);
    let component = spawn_blocking(move || compiler.compile(&bytes)).await.context("the compiler does not panic")?;
    let service = manifest.services[index].clone();
    let components = assembly.components.iter().map(|one| one.as_ref().map(|one| &one.component));
    let importers = others(name, manifest, &assembly).map(|(other, one)| Importer {
        name: other.spec.name.clone(),
        contract: Arc::clone(one.component.contract()),
        calls: other.spec.grants.calls.clone(),
    });
    let ground = TrialGround::new(
        &service.spec,
        offers(manifest.services.iter().zip(components)),
        needs(name, manifest, &assembly),
        importers.collect(),
        Arc::clone(&assembly.specs[index].routed),
    );
    let mut trial = Trial::run(contract, &component, ground);
    // A reason that holds for every host was found by its contract alone.
    let found: Vec<String> = refusals(contract).iter().map(ToString::to_string).collect();
    trial.refusals.retain(|refusal| !found.contains(refusal));
    trial.refusals.extend(described(name, contract, service.spec.wit.as_deref(), HeldTo::Files).err());
    Ok(ManifestTrial { service, manifest: path.to_owned(), trial })
}

fn unknown(name: &ServiceName, path: &Path, manifest: &Manifest) -> anyhow::Error {
    let names: Vec<_> = manifest.services.iter().map(|service| service.spec.name.as_str()).collect();
    anyhow!("{} has no service `{name}`; its services: {}", path.display(), names.join(", "))
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
