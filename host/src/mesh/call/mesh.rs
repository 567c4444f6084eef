//! The mesh itself: where every service call of the host begins.

use crate::base::{CallContext, ErrorKind, Input, ServiceName};
use crate::mesh::call_rng::CallRng;
use crate::mesh::error::CallError;
use crate::mesh::table::canary_watch::TossedCall;
use crate::mesh::table::service::Service;
use crate::mesh::table::target::EndpointTarget;
use crate::registry::Registry;
use std::sync::Arc;

/// Makes the calls of services. HTTP calls, typed calls and the calls of guests are in the files of the same names.
pub struct Mesh<P = EndpointTarget> {
    pub(super) registry: Arc<Registry<Service<P>>>,
    pub(super) rng: CallRng,
    settings: Settings,
}

/// The settings of all calls together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The longest chain of calls; services that call each other in a circle end at it. Default 32.
    pub depth: usize,
    /// Makes the random choices the same in each run, for a simulation. Default none: the system's randomness.
    pub seed: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { depth: 32, seed: None }
    }
}

impl<P> Mesh<P> {
    /// A mesh over the services of `registry`.
    pub fn new(registry: Arc<Registry<Service<P>>>, settings: Settings) -> Self {
        Self { registry, rng: CallRng::new(settings.seed), settings }
    }

    /// The number of the discovery table: it grows with each change of any entry.
    pub fn table_number(&self) -> u64 {
        self.registry.snapshot().number()
    }

    /// What a call needs of its service: `read` takes it out of the entry that the discovery table has for the name
    /// now.
    ///
    /// # Errors
    /// The call is too deep, or the table has no such service.
    pub(super) fn resolve<T>(
        &self,
        service: &ServiceName,
        context: &CallContext,
        read: impl FnOnce(&Arc<Service<P>>) -> T,
    ) -> Result<T, CallError> {
        let snapshot = self.registry.snapshot();
        let entry = snapshot.get(service.as_str());
        if context.depth >= self.settings.depth {
            if let Some(entry) = entry {
                entry.group.traffic.metrics.refused(ErrorKind::TooDeep.as_str());
            }
            let (above, most) = (context.depth, self.settings.depth);
            let detail = format!("{above} calls lie above this one, and `call_depth` allows chains of {most}");
            return Err(CallError::new(service, ErrorKind::TooDeep, detail));
        }
        let entry =
            entry.ok_or_else(|| CallError::new(service, ErrorKind::NoEndpoint, "not in the discovery table"))?;
        Ok(read(entry))
    }

    /// The same for a call of the service itself, which may demand scopes of its callers. If the service has a canary,
    /// the coin is thrown here, before anything else: `read` gets the entry of the revision that it fell for.
    ///
    /// # Errors
    /// Those of [`Mesh::resolve`], and [`ErrorKind::Forbidden`].
    pub(super) fn admit<T>(
        &self,
        service: &ServiceName,
        context: &CallContext,
        read: impl FnOnce(&Arc<Service<P>>, Option<Box<TossedCall>>) -> T,
    ) -> Result<T, CallError> {
        self.resolve(service, context, |entry| match entry.lacking(context.identity.as_deref()) {
            None => Ok(match &entry.canary {
                None => read(entry, None),
                Some(canary) => {
                    if let Some(watch) = &context.watch {
                        watch.note(service, Input::Rollout(service));
                    }
                    match canary.watch.toss(context) {
                        Some(tossed) if tossed.toss.canary => read(&canary.service, Some(tossed)),
                        tossed => read(entry, tossed),
                    }
                }
            }),
            Some(scope) => {
                entry.group.traffic.metrics.refused(ErrorKind::Forbidden.as_str());
                Err(forbidden(service, scope, context))
            }
        })?
    }
}

/// The refusal of a call whose caller lacks `scope`.
fn forbidden(service: &ServiceName, scope: &Arc<str>, context: &CallContext) -> CallError {
    let detail = match &context.identity {
        Some(identity) => format!("the caller ({}, {}) lacks the scope `{scope}`", identity.policy, identity.proof),
        None => format!("it demands the scope `{scope}`, and nobody has proved who calls"),
    };
    CallError { lacks: Some(Arc::clone(scope)), ..CallError::new(service, ErrorKind::Forbidden, detail) }
}
