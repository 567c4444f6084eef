//! `atoll test`: the services of a manifest are called without any edge, with arguments that are made up and with the
//! examples of their contracts.

use super::stand_ins::StandIns;
use super::test_bench::{TestBench, TestedService};
use crate::app::assembly::known_components::KnownComponents;
use crate::app::assembly::load::{self, Compile};
use crate::app::assembly::routed_places::RoutedPlaces;
use crate::app::assembly::{Assembly, assemble};
use crate::app::run::{launch, open_store};
use crate::base::ServiceName;
use crate::breaker;
use crate::config::{Draft, Manifest};
use crate::expectation::{Example, TestCase};
use crate::mesh::{self, Mesh};
use crate::registry::Registry;
use crate::state;
use anyhow::{Context, anyhow};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// What is to be tested.
#[derive(Debug, Clone)]
pub struct TestOrder {
    /// The services; without any, all that have a component.
    pub services: Vec<ServiceName>,
    /// A file to test in place of the component of the one service that is named.
    pub component: Option<PathBuf>,
    /// How many made-up arguments each function gets.
    pub inputs: u32,
    /// What the arguments are made from.
    pub seed: u64,
    /// An empty folder for the state of the services.
    pub state: PathBuf,
}

/// Tests services. The error of a contract is an answer; what is none is a failure of the case.
///
/// # Errors
/// The manifest or a component is wrong, an example cannot be read, or a service is unknown.
pub async fn test(path: &Path, order: &TestOrder) -> anyhow::Result<Vec<TestCase>> {
    let mut draft = load::manifest(path)?;
    if let Some(errors) = draft.errors() {
        return Err(errors.into());
    }
    prepare(&mut draft, path, order)?;
    let runtime = load::engine(&draft.manifest)?;
    let known = KnownComponents::None;
    let mut assembly =
        assemble(&draft, &runtime, (Compile::Now, false, &known), (&mut RoutedPlaces::default(), Vec::new())).await?;
    let manifest = &draft.manifest;
    never_refuse(&mut assembly);
    let tested = tested(manifest, &assembly)?;
    let store = open_store(manifest).await?.0;
    let registry = Arc::new(Registry::default());
    let _rollout = launch(&mut assembly, &runtime, &registry, store.as_ref(), (None, Arc::default()))?;
    let mesh = Arc::new(Mesh::new(Arc::clone(&registry), mesh::Settings::default()));
    let stand_ins = Arc::new(StandIns::new(Arc::clone(&mesh)));
    let outcall: Weak<StandIns> = Arc::downgrade(&stand_ins);
    runtime.connect(outcall);
    let bench = TestBench { mesh, stand_ins, tested, order: order.clone() };
    Ok(bench.run().await)
}

/// Puts the component that is to be tested in its place, and the state where nothing is yet.
fn prepare(draft: &mut Draft, path: &Path, order: &TestOrder) -> anyhow::Result<()> {
    let manifest = &mut draft.manifest;
    for name in &order.services {
        let service = manifest.services.iter_mut().find(|service| service.spec.name == *name);
        let service = service.ok_or_else(|| anyhow!("{} has no service `{name}`", path.display()))?;
        if let Some(component) = &order.component {
            service.component = Some(component.clone());
        }
    }
    let path = order.state.join("state.redb");
    manifest.state = state::Settings { path, ..state::Settings::default() };
    Ok(())
}

/// No call of a test is refused because of the calls before it, nor hidden by another try.
fn never_refuse(assembly: &mut Assembly) {
    for spec in &mut assembly.specs {
        spec.requires = Vec::new().into();
        spec.traffic.retry.tries = 0;
        spec.breaker = breaker::Settings::simple(u32::MAX, Duration::from_secs(1), Duration::from_secs(1));
    }
}

/// The services with a component, their contracts and the examples in their docs and files.
fn tested(manifest: &Manifest, assembly: &Assembly) -> anyhow::Result<Vec<TestedService>> {
    let services = manifest.services.iter().zip(&assembly.components);
    let tested = services.filter_map(|(service, component)| Some((service, component.as_ref()?)));
    let tested = tested.map(|(service, component)| {
        let contract = Arc::clone(&component.described);
        let mut examples = Vec::new();
        for function in contract.exports.values().flat_map(|interface| interface.functions.values()) {
            examples.extend(Example::all_of_docs(&function.name, function.docs.as_deref().unwrap_or_default())?);
        }
        if let Some(folder) = &service.tests {
            examples.extend(in_files(folder)?);
        }
        Ok(TestedService { name: service.spec.name.clone(), contract, examples })
    });
    tested.collect()
}

/// The examples in the TOML files of a folder, in the order of the files' names.
fn in_files(folder: &Path) -> anyhow::Result<Vec<Example>> {
    let told = || format!("reading {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(told)? {
        files.push(entry.with_context(told)?.path());
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let mut examples = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        examples.extend(Example::all_of_file(&text).map_err(|error| anyhow!("{}: {error}", file.display()))?);
    }
    Ok(examples)
}
