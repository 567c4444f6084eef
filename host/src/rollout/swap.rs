//! Bringing a revision up, replacing it, and going back.

use super::deployment::{Deployment, Line};
use super::error::SwapError;
use super::plan::Plan;
use crate::base::{Blame, CallContext, Digest, RequestId, ServiceName};
use crate::mesh::{HttpClient, Service};
use crate::registry::Registry;
use crate::runtime::{Component, LoadError, Revision, Runtime};
use crate::state::Store;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::spawn_blocking;

/// What a swap has done.
#[derive(Debug, Clone)]
pub struct Swapped {
    /// The revision that serves now.
    pub revision: Digest,
    /// The one to which a rollback returns.
    pub previous: Option<Digest>,
}

/// The services of this host and their revisions.
pub struct Rollout {
    runtime: Arc<Runtime>,
    registry: Arc<Registry<Service>>,
    deployments: BTreeMap<ServiceName, Deployment>,
}

impl Rollout {
    /// A host without services, for [`Rollout::launch`].
    pub fn new(runtime: Arc<Runtime>, registry: Arc<Registry<Service>>) -> Self {
        Self { runtime, registry, deployments: BTreeMap::new() }
    }

    /// Brings a service up with the component of its manifest, if it has one, and puts it into the discovery table.
    ///
    /// # Errors
    /// When the component may not run as that service; then the service is not there.
    pub fn launch(
        &mut self,
        plan: Plan,
        component: Option<&Component>,
        store: Option<&Store>,
        client: &HttpClient,
    ) -> Result<(), LoadError> {
        let mut deployment = Deployment::new(plan, store, client);
        let grants = &deployment.grants;
        let revision = component.map(|component| component.revision(Arc::clone(grants))).transpose()?.map(Arc::new);
        let manifest = revision.as_ref().map(|revision| revision.digest());
        let line = Line { stable: revision, previous: None, manifest };
        let name = deployment.plan.name.clone();
        self.registry.publish(&name, deployment.service(&self.runtime, &line));
        deployment.line = line.into();
        self.deployments.insert(name, deployment);
        Ok(())
    }

    /// Replaces the revision of `name` by the component in `bytes`. It returns when the new revision serves; requests in flight finish
    /// on the old one. The revision that serves already is left as it is.
    ///
    /// # Errors
    /// [`SwapError`]; nothing has changed then.
    pub async fn swap(&self, name: &str, bytes: Bytes) -> Result<Swapped, SwapError> {
        let deployment = self.find(name)?;
        let mut line = deployment.line.lock().await;
        let stable = line.stable.clone().ok_or_else(|| SwapError::NoComponent(deployment.plan.name.clone()))?;
        let runtime = Arc::clone(&self.runtime);
        let compiled = spawn_blocking(move || runtime.compile(&bytes)).await;
        let component = compiled.map_err(|error| SwapError::Host(error.to_string()))??;
        let revision = Arc::new(component.revision(Arc::clone(&deployment.grants))?);
        if revision.digest() != stable.digest() {
            self.rehearse(deployment, &revision).await?;
            let manifest = line.manifest;
            *line = Line { stable: Some(revision), previous: Some(stable), manifest };
            self.publish(deployment, &line);
        }
        Ok(report(&line))
    }

    /// Returns `name` to the revision before; that one becomes the revision to which the next rollback returns.
    ///
    /// # Errors
    /// [`SwapError`]; nothing has changed then.
    pub async fn rollback(&self, name: &str) -> Result<Swapped, SwapError> {
        let deployment = self.find(name)?;
        let mut line = deployment.line.lock().await;
        if line.stable.is_none() {
            return Err(SwapError::NoComponent(deployment.plan.name.clone()));
        }
        let previous = line.previous.take().ok_or_else(|| SwapError::NoPrevious(deployment.plan.name.clone()))?;
        line.previous = line.stable.replace(previous);
        self.publish(deployment, &line);
        Ok(report(&line))
    }

    fn find(&self, name: &str) -> Result<&Deployment, SwapError> {
        self.deployments.get(name).ok_or_else(|| SwapError::Unknown(name.to_owned()))
    }

    /// Starts one instance of `revision` before anybody depends on it.
    async fn rehearse(&self, deployment: &Deployment, revision: &Arc<Revision>) -> Result<(), SwapError> {
        let context =
            CallContext::new(RequestId::from_random(rand::random()), Instant::now(), deployment.plan.limits.timeout);
        let pool = deployment.pool(&self.runtime, revision);
        pool.rehearse(&context).await.map_err(|error| match error.kind.blame() {
            Blame::Refusal => SwapError::Busy(error),
            _ => SwapError::DoesNotStart(error),
        })
    }

    fn publish(&self, deployment: &Deployment, line: &Line) {
        self.registry.publish(&deployment.plan.name, deployment.service(&self.runtime, line));
        deployment.metrics.swapped();
        let Swapped { revision, previous } = report(line);
        tracing::info!(service = %deployment.plan.name, %revision, ?previous, "swapped");
    }
}

fn report(line: &Line) -> Swapped {
    let stable = line.stable.as_ref().expect("a line without a component is never swapped");
    Swapped { revision: stable.digest(), previous: line.previous.as_ref().map(|revision| revision.digest()) }
}
