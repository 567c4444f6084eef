//! An active check of one endpoint: a call beside all policies, which asks whether others may follow.

use super::endpoint::Endpoint;
use super::place::{CallKind, Failed, Invoke};
use crate::base::{Blame, CallContext, empty_body};
use crate::contract::{FunctionName, Value as _};
use crate::runtime::DetachedValues;
use http::header::HOST;
use http::uri::PathAndQuery;
use http_body_util::{BodyExt, Limited};
use tokio::time::{Instant, timeout_at};

/// What a check asks.
#[derive(Debug, Clone)]
pub enum HealthProbe {
    /// `GET` of this path: a status of 200 to 399 passes.
    Path(PathAndQuery),
    /// A call of this function without parameters. `false` and an error fail; everything else passes.
    Call(FunctionName),
}

impl HealthProbe {
    fn way(&self) -> CallKind {
        match self {
            Self::Path(_) => CallKind::Http,
            Self::Call(_) => CallKind::Typed,
        }
    }
}

/// The answer's body is read up to so many bytes, so that its connection can be used again.
const MOST_READ: usize = 64 * 1024;

impl<P: Invoke> Endpoint<P> {
    /// Asks the endpoint; its breaker, its load and its counters do not learn of it. One that cannot be asked passes: an address has no
    /// functions, and an endpoint without a free instance is busy, not ill.
    ///
    /// # Errors
    /// Why it did not pass, for the log.
    pub async fn check(&self, probe: &HealthProbe, context: &CallContext) -> Result<(), String> {
        let asked = async {
            match probe {
                _ if !self.target.takes(probe.way()) => Ok(()),
                HealthProbe::Path(path) => self.ask(path, context).await,
                HealthProbe::Call(function) => self.ask_function(function, context).await,
            }
        };
        let answer = timeout_at(Instant::from_std(context.deadline), asked).await;
        answer.unwrap_or_else(|_| Err("no answer in time".into()))
    }

    async fn ask(&self, path: &PathAndQuery, context: &CallContext) -> Result<(), String> {
        let request = http::Request::get(path.clone()).header(HOST, "health.internal").body(empty_body());
        let request = request.map_err(|error| error.to_string())?;
        let answer = match self.target.send(request, context).await {
            Ok(answer) => answer,
            Err(failed) => return verdict(failed),
        };
        let status = answer.status();
        let _ = Limited::new(answer.into_body(), MOST_READ).collect().await;
        if status.is_success() || status.is_redirection() { Ok(()) } else { Err(format!("it answered {status}")) }
    }

    async fn ask_function(&self, function: &FunctionName, context: &CallContext) -> Result<(), String> {
        let results = match self.target.call(function, DetachedValues::new(Vec::new()), context).await {
            Ok(results) => results,
            Err(failed) => return verdict(failed),
        };
        let Some(result) = results.values().first() else { return Ok(()) };
        match (result.as_result(), result.as_bool()) {
            (Some(Err(_)), _) => Err("the function answered an error".into()),
            (_, Some(false)) => Err("the function answered false".into()),
            _ => Ok(()),
        }
    }
}

/// What it means that no answer came.
fn verdict((kind, detail): Failed) -> Result<(), String> {
    if kind.blame() == Blame::Refusal { Ok(()) } else { Err(format!("{kind}: {detail}")) }
}
