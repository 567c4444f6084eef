//! The shadow of a rollout: which services can have one, and how it ends.

use super::canary_run::CanaryRun;
use super::deployment::Deployment;
use super::error::SwapError;
use super::plan::CanaryPlan;
use super::swap::Rollout;
use crate::archive::RolloutOutcome;
use crate::contract::{Function, Type};
use crate::runtime::{Isolation, Revision};
use std::sync::Arc;
use tokio::time::Instant;

impl Rollout {
    /// Gives a canary its first calls, after its shadow.
    pub(super) async fn end_shadow(&self, deployment: &Deployment, run: &Arc<CanaryRun>) {
        let _begins_alone = deployment.history.lock().await;
        if !deployment.canary().is_some_and(|own| Arc::ptr_eq(&own, run)) {
            return;
        }
        let (service, found) = (&deployment.spec.name, run.state().shadow.map(|shadow| shadow.tally.in_words()));
        match self.routed(deployment, run.revision.contract()) {
            Ok(routed) => {
                run.end_shadow(Instant::now());
                // On the disk first, as the beginning.
                self.record_progress(deployment, run).await;
                deployment.publish_canary(&self.runtime, &self.registry, Arc::clone(run), routed);
                tracing::info!(%service, rollout = run.id, share = run.state().share, found, "a canary gets calls");
            }
            Err(error) => {
                let verdict = format!("it does not fit another service that was swapped meanwhile: {error}");
                self.take_back(deployment, run, RolloutOutcome::RolledBack, verdict).await;
            }
        }
    }
}

/// Why the calls of a service cannot be compared in the shadow that the plan wants.
pub(super) fn no_shadow(deployment: &Deployment, plan: &CanaryPlan, revision: &Revision) -> Option<SwapError> {
    plan.shadow?;
    let refused = |why: String| Some(SwapError::NoShadow(deployment.spec.name.clone(), why));
    if deployment.spec.replicas.isolation != Isolation::Request {
        return refused("its calls share instances (`reuse`), so a recording of one lacks what others left".into());
    }
    let contract = revision.contract();
    let streams = contract.exports.iter().flat_map(|(interface, offered)| {
        let has_streams = |function: &&Function| {
            let params = function.params.iter().any(|param| param.ty.has_streams());
            params || function.result.as_ref().is_some_and(Type::has_streams)
        };
        let streams = offered.functions.values().filter(has_streams);
        streams.map(move |function| format!("{interface}#{}", function.name))
    });
    match streams.collect::<Vec<_>>().join("`, `") {
        none if none.is_empty() => None,
        names => refused(format!("`{names}` has a stream, which no recording has")),
    }
}
