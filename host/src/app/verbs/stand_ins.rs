//! What guests reach during `atoll test`: the services of the manifest, or what an example puts in their place; and no
//! host outside.

use crate::base::{Body, CallContext, ErrorKind, ServiceName};
use crate::contract::FunctionName;
use crate::egress::EgressRule;
use crate::mesh::{Mesh, Value};
use crate::runtime::{DetachedValues, Outcall, OutcallError, OutcallFuture};
use http::{Request, Response};
use std::sync::{Arc, Mutex, PoisonError};

/// A function that is answered in place of its service.
pub(super) struct FakeAnswer {
    pub(super) service: ServiceName,
    pub(super) function: FunctionName,
    pub(super) answer: Option<Value>,
}

/// What one example puts in place of services.
#[derive(Default)]
pub(super) struct Replacements {
    pub(super) fakes: Vec<FakeAnswer>,
    /// The services that do not answer.
    pub(super) faults: Vec<ServiceName>,
}

/// Makes the calls of guests.
pub(super) struct StandIns {
    mesh: Arc<Mesh>,
    now: Mutex<Replacements>,
}

impl StandIns {
    pub(super) fn new(mesh: Arc<Mesh>) -> Self {
        Self { mesh, now: Mutex::default() }
    }

    /// Puts these in place, and takes those of before away.
    pub(super) fn replace(&self, replacements: Replacements) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = replacements;
    }

    /// What stands in for this function; `None`: the service itself answers. The version of an interface does not
    /// count: the caller may know an older one.
    fn answer(
        &self,
        service: &ServiceName,
        function: Option<&FunctionName>,
    ) -> Option<Result<DetachedValues, OutcallError>> {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.faults.contains(service) {
            let detail = format!("the example lets `{service}` not answer");
            return Some(Err(OutcallError { kind: ErrorKind::Connect, detail }));
        }
        let function = function?;
        let fits = |fake: &&FakeAnswer| {
            fake.service == *service
                && fake.function.interface.path == function.interface.path
                && fake.function.function == function.function
        };
        let fake = now.fakes.iter().find(fits)?;
        Some(Ok(DetachedValues::new(fake.answer.iter().cloned().collect())))
    }
}

impl Outcall for StandIns {
    fn invoke<'a>(
        &'a self,
        parties: (&'a ServiceName, &'a ServiceName),
        function: &'a FunctionName,
        arguments: DetachedValues,
        context: CallContext,
    ) -> OutcallFuture<'a, DetachedValues> {
        match self.answer(parties.1, Some(function)) {
            Some(answer) => {
                if answer.is_err() {
                    context.mark_dependency_failed();
                }
                Box::pin(async { answer })
            }
            None => Outcall::invoke(&*self.mesh, parties, function, arguments, context),
        }
    }

    fn send<'a>(
        &'a self,
        parties: (&'a ServiceName, &'a ServiceName),
        request: Request<Body>,
        context: CallContext,
    ) -> OutcallFuture<'a, Response<Body>> {
        match self.answer(parties.1, None) {
            Some(Err(error)) => Box::pin(async { Err(error) }),
            _ => Outcall::send(&*self.mesh, parties, request, context),
        }
    }

    fn fetch<'a>(
        &'a self,
        _: &'a ServiceName,
        _: &'a EgressRule,
        request: Request<Body>,
        _: CallContext,
    ) -> OutcallFuture<'a, Response<Body>> {
        let detail = format!("`atoll test` reaches no host outside: {}", request.uri());
        Box::pin(async { Err(OutcallError { kind: ErrorKind::Connect, detail }) })
    }
}
