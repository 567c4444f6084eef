//! `atoll test`: what it prints, and the report that it leaves.

use super::layout::counted;
use super::terminal;
use crate::app::{self, TestOrder};
use crate::base::ServiceName;
use crate::expectation::{TestCase, junit};
use anyhow::Context;
use clap::Args;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use tokio::runtime;

/// What is to be tested.
#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// The services; without them all that have a component
    #[arg(value_parser = ServiceName::new)]
    pub(super) services: Vec<ServiceName>,
    /// The manifest
    #[arg(long, value_name = "MANIFEST", default_value = "atoll.toml")]
    pub(super) manifest: PathBuf,
    /// A file to test in place of the service's component, before it is deployed
    #[arg(long, value_name = "FILE", requires = "services")]
    pub(super) component: Option<PathBuf>,
    /// How many made-up arguments each function gets
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub(super) inputs: u32,
    /// What the arguments are made from: the same seed makes the same [default: random]
    #[arg(long, value_name = "NUMBER")]
    pub(super) seed: Option<u64>,
    /// Write a report for CI, in the form of JUnit
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
}

/// Tests services, prints what came of it, and fails if one case has.
pub(super) fn test(arguments: TestArgs) -> anyhow::Result<()> {
    let TestArgs { services, manifest, component, inputs, seed, junit: report } = arguments;
    if component.is_some() && services.len() != 1 {
        anyhow::bail!("--component stands in for the component of one service: name that service");
    }
    let seed = seed.unwrap_or_else(rand::random);
    let state = StateFolder::make()?;
    let order = TestOrder { services, component, inputs, seed, state: state.0.clone() };
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let cases = runtime.block_on(app::test(&manifest, &order))?;
    runtime.shutdown_background();
    if let Some(report) = report {
        fs::write(&report, junit(&cases)).with_context(|| format!("writing {}", report.display()))?;
    }
    terminal::print(&text(&cases, seed))?;
    let failed = cases.iter().filter(|case| case.failure.is_some()).count();
    anyhow::ensure!(failed == 0, "{failed} of {} failed, with --seed {seed}", counted(cases.len(), "case"));
    Ok(())
}

/// A line for each case, and the seed: what has passed with it can be tried again, too.
fn text(cases: &[TestCase], seed: u64) -> String {
    let mut text = String::new();
    for TestCase { service, name, failure, .. } in cases {
        match failure {
            None => text.push_str(&format!("ok      {service}: {name}\n")),
            Some(failure) => {
                text.push_str(&format!("FAILED  {service}: {name}\n"));
                failure.lines().for_each(|line| text.push_str(&format!("          {line}\n")));
            }
        }
    }
    if cases.is_empty() {
        text.push_str("nothing to test: no service has a component that exports functions\n");
    } else {
        text.push_str(&format!("{}, with --seed {seed}\n", counted(cases.len(), "case")));
    }
    text
}

/// A folder that goes when this is dropped.
struct StateFolder(PathBuf);

impl StateFolder {
    /// Its name cannot be guessed, and nobody else may read it.
    fn make() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("atoll-test-{:016x}", rand::random::<u64>()));
        DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        // What is left is a few MiB among files that the system clears.
        let _ = fs::remove_dir_all(&self.0);
    }
}
