//! The end of a start: components whose code was not in the cache are compiled while the host serves, and data are
//! migrated before their service does.

use super::data_migration::OtherWriters;
use super::deployment::Deployment;
use super::revision_history::RevisionHistory;
use super::start_ledger::{SettledServices, StartLedger, StartedService};
use super::swap::Rollout;
use crate::base::ServiceName;
use crate::runtime::{InvokeError, Migration, Revision};
use crate::state::{DataFormat, StateError};
use crate::telemetry::{ChangeKind, note_change};
use futures_util::StreamExt;
use futures_util::stream;
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// A compilation that takes longer is worth a line when it has taken so long, and one at its end.
const NOTEWORTHY: Duration = Duration::from_secs(1);

impl Rollout {
    /// The services that do not serve yet, since their components, or those of services that they may call, are not
    /// compiled: calls of them are refused as `starting`.
    pub fn starting(&self) -> Vec<ServiceName> {
        self.ledger().names().cloned().collect()
    }

    /// Compiles all components of the start that are not compiled, and migrates data, as many at once as there are
    /// cores. Each service serves as soon as it can. `left_out` gets each service that cannot serve, with the reason;
    /// it has no instances any more. If the future is dropped, no further compilation begins.
    pub async fn finish_start(&self, left_out: impl Fn(&ServiceName, String)) {
        let revisions: Vec<_> = self.serving().iter().map(|(name, one)| (name.clone(), Arc::clone(one))).collect();
        let deployments = self.deployments();
        let unfinished = revisions.into_iter().filter(|(name, revision)| !is_finished(revision, deployments.get(name)));
        let cores = available_parallelism().map_or(1, usize::from);
        let compilations = stream::iter(unfinished).map(async |(name, revision)| {
            let outcome = self.finish(&name, revision).await;
            (name, outcome)
        });
        let mut compilations = pin!(compilations.buffer_unordered(cores));
        while let Some((name, outcome)) = compilations.next().await {
            match outcome {
                Ok(()) => self.compiled(&name),
                Err(error) => self.failed(&name, &error, &left_out).await,
            }
        }
    }

    /// Whether a service was left out at the end of the start, so that a swap may bring it back.
    pub fn can_return(&self, name: &str) -> bool {
        self.find(name).is_ok_and(|deployment| deployment.is_left_out())
    }

    /// Lets the services serve that waited for the component of `name` alone.
    pub(super) fn compiled(&self, name: &ServiceName) {
        let ready = self.ledger().compiled(name);
        self.let_in(&ready);
    }

    /// Takes the services out that cannot serve without the component of `name`, and lets the others serve that waited
    /// for it.
    async fn failed(&self, name: &ServiceName, error: &str, left_out: &impl Fn(&ServiceName, String)) {
        let SettledServices { ready, left_out: gone } = self.ledger().failed(name);
        let mut swapped = BTreeSet::new();
        for (service, provider) in gone {
            let reason = if service == *name {
                error.to_owned()
            } else {
                format!("it needs service `{provider}`, which is left out")
            };
            let Ok(deployment) = self.find(service.as_str()) else { continue };
            let Ok(mut history) = deployment.turn().await else { continue };
            // A swap of this service, or of the one that it needs, may have come between: then it serves.
            if history.previous.is_some() || swapped.contains(&provider) {
                deployment.started();
                swapped.insert(service);
                continue;
            }
            let alone = self.wiring.lock().await;
            self.serving().remove(&service);
            drop(alone);
            deployment.note_left_out(true);
            *history = RevisionHistory { manifest: history.manifest, ..RevisionHistory::default() };
            deployment.withdraw(&self.registry);
            tracing::error!(%service, reason, "left out");
            note_change(ChangeKind::LeftOut, service.as_str(), None, &reason);
            left_out(&service, reason);
        }
        self.let_in(&ready);
    }

    /// Does what is missing before a service of the start can serve.
    ///
    /// # Errors
    /// Why it cannot serve.
    async fn finish(&self, name: &ServiceName, revision: Arc<Revision>) -> Result<(), String> {
        if revision.uncompiled().is_some() {
            let compiled = self.compile(name, Arc::clone(&revision)).await;
            compiled.map_err(|error| format!("its component cannot be compiled: {}", error.detail))?;
        }
        let Ok(deployment) = self.find(name.as_str()) else { return Ok(()) };
        self.migrate(&deployment, &revision, OtherWriters::None).await.map(drop).map_err(|error| error.to_string())
    }

    async fn compile(&self, name: &ServiceName, revision: Arc<Revision>) -> Result<(), InvokeError> {
        let (runtime, megabytes) = (Arc::clone(&self.runtime), megabytes(revision.uncompiled().unwrap_or_default()));
        let started = Instant::now();
        let mut work = spawn_blocking(move || revision.compile(&runtime));
        let done = match timeout(NOTEWORTHY, &mut work).await {
            Ok(done) => done,
            Err(_) => {
                tracing::info!("compiling {name} ({megabytes} MB)");
                let done = work.await;
                tracing::info!("compiled {name} in {:.1} s", started.elapsed().as_secs_f64());
                done
            }
        };
        done.unwrap_or_else(|panic| Err(InvokeError::of_host(&panic)))
    }

    /// Finds out which services have data in a format with a number: their revisions serve when they have shown that
    /// they read it. To be called before the first call of a service.
    ///
    /// # Errors
    /// The store's.
    pub async fn find_numbered_data(&self) -> Result<(), StateError> {
        for deployment in self.deployments().values() {
            let Some(bucket) = &deployment.grants.state else { continue };
            if DataFormat::of(bucket).read().await?.format.is_some() {
                deployment.note_numbered();
            }
        }
        self.begin_start();
        Ok(())
    }

    /// Finds out which of the services wait for components, and lets no call to them. They are not published yet.
    pub(super) fn begin_start(&self) {
        let serving = self.serving();
        let deployments = self.deployments();
        let services = serving.iter().map(|(name, revision)| StartedService {
            name,
            calls: &deployments[name].spec.grants.calls,
            providers: revision.links().iter().map(|link| link.service.clone()).collect(),
            compiled: is_finished(revision, deployments.get(name)),
        });
        let ledger = StartLedger::new(services);
        ledger.names().for_each(|name| deployments[name].hold());
        *self.ledger() = ledger;
    }

    /// Lets calls to these services.
    fn let_in(&self, services: &[ServiceName]) {
        services.iter().filter_map(|service| self.find(service.as_str()).ok()).for_each(|one| one.started());
    }

    fn ledger(&self) -> MutexGuard<'_, StartLedger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nothing is missing before a revision can serve: it has no instances here, or its code is there, it has no
/// migration, which may have to run first, and no migration of another revision has changed its data, which it may not
/// read.
fn is_finished(revision: &Revision, deployment: Option<&Arc<Deployment>>) -> bool {
    let is_numbered = deployment.is_some_and(|deployment| deployment.is_numbered());
    let stands_here = deployment.is_none_or(|deployment| deployment.stands_here());
    !stands_here || (revision.uncompiled().is_none() && !Migration::is_of(revision.contract()) && !is_numbered)
}

/// A size as people read it, with one decimal.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes.div_ceil(100_000);
    format!("{}.{}", tenths / 10, tenths % 10)
}
