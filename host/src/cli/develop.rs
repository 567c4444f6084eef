//! The verbs of those who write services: `new`, `build`, `dev`.

use super::address::AdminAddress;
use super::client::Client;
use super::doctor;
use super::failure::CliError;
use super::terminal;
use crate::app::{self, KnownAdmin};
use crate::base::ServiceName;
use crate::config::environment;
use crate::project::{self, BuildStep, Language, ServiceFace};
use crate::telemetry::{self, LogFormat};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// Between two looks at the sources. A person does not notice it, and a thousand files cost a millisecond.
const LOOK: Duration = Duration::from_millis(200);

/// Between two lines about a build that runs. The first one of a service installs its tools, which takes minutes.
const PROGRESS: Duration = Duration::from_secs(15);

/// Makes a service below this folder.
pub(super) fn new(name: &ServiceName, language: Language, face: &ServiceFace) -> anyhow::Result<()> {
    let made = project::create(name, language, face, Path::new(""))?;
    for file in &made.files {
        terminal::note(&format!("made {}", file.display()));
    }
    terminal::note("add this to atoll.toml; `atoll dev` then builds and serves it:\n");
    Ok(terminal::print(&made.manifest)?)
}

/// Runs the builds of `services`, or of all, that are out of date, or all of them.
pub(super) fn build(manifest: &Path, services: &[ServiceName], all: bool) -> anyhow::Result<()> {
    let mut steps = BuildStep::read(manifest)?;
    if let Some(unknown) = services.iter().find(|name| !steps.iter().any(|step| step.service == **name)) {
        anyhow::bail!("service `{unknown}` of {} has no `build`", manifest.display());
    }
    steps.retain(|step| services.is_empty() || services.contains(&step.service));
    if steps.is_empty() {
        anyhow::bail!("no service of {} has a `build`", manifest.display());
    }
    let (due, fresh): (Vec<_>, Vec<_>) = steps.iter_mut().partition(|step| all || step.is_stale());
    for step in fresh {
        terminal::note(&format!("{}: up to date", step.service));
    }
    let failed = run_all(due);
    anyhow::ensure!(failed == 0, "{failed} of the builds failed; see above");
    Ok(())
}

/// Runs builds at the same time, and returns how many failed.
fn run_all(steps: Vec<&mut BuildStep>) -> usize {
    thread::scope(|scope| {
        let running: Vec<_> = steps.into_iter().map(|step| scope.spawn(|| run_one(step))).collect();
        running.into_iter().filter_map(|build| build.join().ok()).filter(|built| !built).count()
    })
}

/// Runs a build, and says that it runs and what came of it.
fn run_one(step: &mut BuildStep) -> bool {
    let service = &step.service.clone();
    let (running, ended) = mpsc::sync_channel::<()>(1);
    let built = thread::scope(|scope| {
        scope.spawn(move || {
            let began = Instant::now();
            terminal::note(&format!("{service}: building"));
            while ended.recv_timeout(PROGRESS) == Err(RecvTimeoutError::Timeout) {
                terminal::note(&format!("{service}: building, for {} s so far", began.elapsed().as_secs()));
            }
        });
        let built = step.run();
        drop(running);
        built
    });
    match built {
        Ok(took) => terminal::note(&format!("{service}: built in {:.1} s", took.as_secs_f64())),
        Err(failure) => {
            terminal::note(&format!("error: {failure}"));
            for missing in doctor::missing_tools(step) {
                terminal::note(&format!("  help: {missing}"));
            }
            return false;
        }
    }
    true
}

/// Builds, serves, and swaps in what changes, until the process is told to stop.
pub(super) fn dev(manifest: &Path, ca: Option<&Path>) -> anyhow::Result<()> {
    let mut steps = BuildStep::read(manifest)?;
    let failed = run_all(steps.iter_mut().filter(|step| step.is_stale()).collect());
    let missing = steps.iter().find(|step| !step.component().is_file());
    if let Some(step) = missing {
        anyhow::bail!("{failed} of the builds failed, and `{}` has no component: see above", step.service);
    }
    telemetry::init(Some(LogFormat::Pretty)).context("starting the log")?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.spawn(watch(steps, manifest.to_owned(), ca.map(Path::to_owned)));
    let served = runtime.block_on(app::run(manifest, false, terminal::announce));
    runtime.shutdown_background();
    served
}

/// Swaps in what changes, for as long as the host runs. What is built before it serves waits until then: the host may
/// have read the component that was there before.
async fn watch(mut steps: Vec<BuildStep>, manifest: PathBuf, ca: Option<PathBuf>) {
    let mut waiting = vec![false; steps.len()];
    loop {
        sleep(LOOK).await;
        for (step, waits) in steps.iter_mut().zip(&mut waiting) {
            if let Some(changed) = step.look() {
                terminal::note(&format!("{}: {} changed", step.service, changed.display()));
                // A build takes a thread for seconds. If the task is gone, the host ends.
                let mut building = step.clone();
                let Ok((built, good)) = spawn_blocking(move || {
                    let good = run_one(&mut building);
                    (building, good)
                })
                .await
                else {
                    return;
                };
                *step = built;
                // A build that fails leaves what the one before it has made.
                *waits |= good;
                if good && app::own_admin(&manifest).is_none() {
                    terminal::note(&format!("{}: it is swapped in when the host serves", step.service));
                }
            }
            if *waits && let Some(admin) = app::own_admin(&manifest) {
                *waits = false;
                swap_in(step, admin, &manifest, ca.as_deref()).await;
            }
        }
    }
}

/// Swaps in what a build has made, and says what came of it.
async fn swap_in(step: &BuildStep, admin: KnownAdmin, manifest: &Path, ca: Option<&Path>) {
    let began = Instant::now();
    match swap(step, admin, manifest, ca).await {
        Ok(revision) => {
            let took = began.elapsed().as_secs_f64();
            terminal::note(&format!("{}: {revision} serves, swapped in {took:.1} s", step.service));
        }
        Err(error) => {
            let help = error.help().map(|help| format!("\n  help: {help}")).unwrap_or_default();
            terminal::note(&format!("error: {} is not swapped: {error}{help}", step.service));
        }
    }
}

async fn swap(
    step: &BuildStep,
    KnownAdmin { address, secure, .. }: KnownAdmin,
    manifest: &Path,
    ca: Option<&Path>,
) -> Result<String, CliError> {
    let token = environment("ATOLL_ADMIN_TOKEN").filter(|token| !token.is_empty());
    let development = app::development_authority(manifest);
    let client = Client::new(AdminAddress::on(address, secure), token.as_deref(), ca.or(development.as_deref()))?;
    // At once, whatever the manifest says of canaries: whoever develops waits for the change.
    Ok(client.begin_rollout(&step.service, step.component(), "now=true").await?.revision)
}
