//! The last part of a start, which goes on while the host serves already: components are compiled, and the lines are
//! printed for which operators and programs wait.

use super::apply::kept_revisions::KeptRevisions;
use super::operations::HostOperations;
use crate::base::{ServiceName, counted};
use crate::config::Finding;
use crate::listen::Drain;
use crate::runtime::Runtime;
use crate::telemetry::{ChangeKind, note_change};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::task::{block_in_place, spawn_blocking};

/// What the last part of a start needs.
pub(super) struct StartEnd<A> {
    pub(super) host: Arc<HostOperations>,
    pub(super) runtime: Arc<Runtime>,
    /// Prints a line.
    pub(super) announce: A,
    /// What the history says: the rollouts that were under way when the host ended, and what it forgets once the
    /// manifest's components serve.
    pub(super) revisions: KeptRevisions,
    pub(super) gateway: SocketAddr,
    /// The gateway's socket by TLS, if it has one.
    pub(super) secure_gateway: Option<SocketAddr>,
    /// The sockets of the name server, if there is one.
    pub(super) names: Option<SocketAddr>,
    /// The URL of the admin.
    pub(super) admin: String,
    pub(super) warnings: Vec<Finding>,
    /// What is left out from the beginning, one line each.
    pub(super) left_out: Vec<String>,
    /// How many services the manifest has.
    pub(super) services: usize,
    /// When the host was started.
    pub(super) started: Instant,
    /// The gateway's drain: it stops the compilations.
    pub(super) drain: Drain,
}

impl<A: Fn(&str)> StartEnd<A> {
    /// Compiles what is not compiled, and then says that the host listens: whoever waits for that line finds every
    /// service ready, as far as it can be. Before it, a line says what is being compiled.
    pub(super) async fn finish(self) {
        let Self { host, gateway, admin, services, announce, .. } = &self;
        let starting = host.rollout.starting();
        let late = if starting.is_empty() {
            Vec::new()
        } else {
            let names = starting.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            announce(&format!("starting: gateway on http://{gateway}, admin on {admin}; compiling for {names}"));
            tracing::info!(services, starting = names, ms = self.started.elapsed().as_millis(), "serving a part");
            tokio::select! {
                late = host.finish_start() => late,
                () = self.drain.started() => return,
            }
        };
        // Not before: if a new component cannot serve, what was promoted for the one before is still known.
        block_in_place(|| {
            let left_out = host.left_out_services().clone();
            self.revisions.files.renew(host.rollout.archive(), |service| !left_out.contains_key(service));
        });
        for (service, open) in &self.revisions.open {
            if let Err(error) = host.rollout.resume(service, open.clone()).await {
                tracing::warn!(%service, rollout = open.id, %error, "a rollout does not go on: it was aborted");
            }
        }
        announce(&format!("gateway listening on http://{gateway}"));
        if let Some(address) = &self.secure_gateway {
            announce(&format!("gateway listening on https://{address}"));
        }
        if let Some(address) = &self.names {
            announce(&format!("dns listening on {address}"));
        }
        announce(&format!("admin listening on {admin}"));
        for warning in &self.warnings {
            tracing::warn!("{warning} ({})", warning.help());
        }
        for line in &self.left_out {
            tracing::warn!("left out: {line}");
        }
        self.left_out.iter().chain(&late).for_each(|line| announce(&format!("left out: {line}")));
        tracing::info!(services, ms = self.started.elapsed().as_millis(), "ready");
        let left_out = self.left_out.len() + late.len();
        let (services, left_out) = (counted(*services, "service", "services"), counted(left_out, "thing", "things"));
        note_change(ChangeKind::HostStarted, "", None, &format!("{services}, {left_out} left out"));
        let cache = Arc::clone(&self.runtime);
        spawn_blocking(move || cache.prune_cache());
    }
}

impl HostOperations {
    /// Compiles the components that are not compiled. Returns a line for each service that is left out for it.
    async fn finish_start(&self) -> Vec<String> {
        let lines = Mutex::new(Vec::new());
        let left_out = |service: &ServiceName, reason: String| {
            let line = format!("service `{service}`: {reason}");
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            self.left_out_services().insert(service.clone(), reason);
        };
        self.rollout.finish_start(left_out).await;
        lines.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
