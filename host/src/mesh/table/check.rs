//! A health check of one endpoint: a call past breaker, balancer and bulkhead, which finds out whether other calls may
//! follow.

use super::endpoint::Endpoint;
use super::target::{CallKind, Invoke};
use crate::base::{Blame, CallContext, empty_body};
use crate::contract::{FunctionName, Value as _};
use crate::mesh::error::TryError;
use crate::runtime::DetachedValues;
use http::header::HOST;
use http::uri::PathAndQuery;
use http_body_util::{BodyExt, Limited};
use tokio::time::{Instant, timeout_at};

/// What a check calls.
#[derive(Debug, Clone)]
pub enum HealthProbe {
    /// `GET` of this path: a status of 200 to 399 passes.
    Path(PathAndQuery),
    /// A call of this function without parameters. `false` and an error fail; everything else passes.
    Call(FunctionName),
}

impl HealthProbe {
    fn kind(&self) -> CallKind {
        match self {
            Self::Path(_) => CallKind::Http,
            Self::Call(_) => CallKind::Typed,
        }
    }
}

/// This many bytes of the answer's body are read, so that its connection can be used again.
const MOST_READ: usize = 64 * 1024;

impl<P: Invoke> Endpoint<P> {
    /// Checks the endpoint. Its breaker, load and counters do not change. An endpoint that cannot be checked passes: an
    /// address has no functions, and a replica without a free instance is busy, not ill, and
    /// one whose code is still being compiled has nothing to answer with.
    ///
    /// # Errors
    /// Why it did not pass, for the log.
    pub async fn check(&self, probe: &HealthProbe, context: &CallContext) -> Result<(), String> {
        let check = async {
            match probe {
                _ if !self.target.takes(probe.kind()) || self.stats.readiness.is_starting() => Ok(()),
                HealthProbe::Path(path) => self.get(path, context).await,
                HealthProbe::Call(function) => self.call(function, context).await,
            }
        };
        let outcome = timeout_at(Instant::from_std(context.deadline), check).await;
        outcome.unwrap_or_else(|_| Err("no answer in time".into()))
    }

    async fn get(&self, path: &PathAndQuery, context: &CallContext) -> Result<(), String> {
        let request = http::Request::get(path.clone()).header(HOST, "health.internal").body(empty_body());
        let request = request.map_err(|error| error.to_string())?;
        let answer = match self.target.send(request, context).await {
            Ok(answer) => answer,
            Err(error) => return verdict(&error),
        };
        let status = answer.status();
        let _ = Limited::new(answer.into_body(), MOST_READ).collect().await;
        if status.is_success() || status.is_redirection() { Ok(()) } else { Err(format!("it answered {status}")) }
    }

    async fn call(&self, function: &FunctionName, context: &CallContext) -> Result<(), String> {
        let results = match self.target.call(function, DetachedValues::new(Vec::new()), context).await {
            Ok(results) => results,
            Err(error) => return verdict(&error),
        };
        let Some(result) = results.values().first() else { return Ok(()) };
        match (result.as_result(), result.as_bool()) {
            (Some(Err(_)), _) => Err("the function answered an error".into()),
            (_, Some(false)) => Err("the function answered false".into()),
            _ => Ok(()),
        }
    }
}

/// What a check without an answer says of the endpoint: a refusal of this host says nothing.
fn verdict(error: &TryError) -> Result<(), String> {
    if error.kind.blame() == Blame::Refusal { Ok(()) } else { Err(error.to_string()) }
}
