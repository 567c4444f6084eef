//! A service on another node, as an endpoint of this one.

use super::distance::Distance;
use crate::base::{Body, CallContext, ErrorKind, ServiceName, UpgradeOffer, empty_body, full_body};
use crate::contract::{CrossingFunction, CrossingFunctions, FunctionName, read_compact, write_compact};
use crate::mesh::clock;
use crate::mesh::error::{CallBeginning, TryError};
use crate::peer::{CallFate, CallHead, PeerClient, PeerError};
use crate::runtime::DetachedValues;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Limited};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;
use tokio::time::timeout_at;

/// A service on another node.
#[derive(Clone)]
pub struct PeerTarget {
    /// The calls to the node.
    pub client: Arc<PeerClient>,
    /// The service there.
    pub service: ServiceName,
    /// How far the node is.
    pub distance: Distance,
    /// The functions of the service, by the component that this node has for it.
    pub functions: Arc<CrossingFunctions>,
    /// Whether the service answers HTTP.
    pub answers_http: bool,
    /// The most bytes of a call's arguments, and of its result.
    pub longest: usize,
}

impl PeerTarget {
    /// Sends a request to the service; the answer's body streams.
    pub(super) async fn send(
        &self,
        mut request: Request<Body>,
        context: &CallContext,
    ) -> Result<Response<Body>, TryError> {
        if request.extensions().get::<UpgradeOffer>().is_some() {
            let detail = format!("a WebSocket does not cross to another node, and `{}` is on {self}", self.service);
            return Err(TryError::new(ErrorKind::NoEndpoint, detail));
        }
        if *request.method() == Method::CONNECT {
            return Err(TryError::new(ErrorKind::NoEndpoint, "CONNECT does not cross to another node"));
        }
        if let Some(trace) = &context.trace
            && !context.hides_ids()
        {
            // For a node that traces nothing.
            trace.write_headers(request.headers_mut());
        }
        let when = (clock::now(), self.client.protocol());
        CallHead::write((&self.service, None), context, when, request.headers_mut());
        CallHead::write_origin(&mut request);
        let (answer, _) = self.exchange(request, context).await?;
        Ok(answer)
    }

    /// Calls a function of the service.
    pub(super) async fn call(
        &self,
        name: &FunctionName,
        arguments: DetachedValues,
        context: &CallContext,
    ) -> Result<DetachedValues, TryError> {
        let function = self.functions.find(name).ok_or_else(|| {
            TryError::new(ErrorKind::NoEndpoint, format!("the component of `{}` exports no {name}", self.service))
        })?;
        if let Some(what) = function.uncrossable {
            let detail = format!("{name} carries {what}, which does not cross to another node ({self})");
            return Err(TryError::new(ErrorKind::NoEndpoint, detail));
        }
        let mut bytes = Vec::new();
        for (ty, value) in function.params.iter().zip(arguments.values()) {
            let written = write_compact(ty, value, &mut bytes);
            written.map_err(|error| TryError::new(ErrorKind::Host, format!("{name}: {error}")).caused_by(error))?;
        }
        if bytes.len() > self.longest {
            let detail =
                format!("the arguments of {name} have {} bytes; `message` allows {}", bytes.len(), self.longest);
            return Err(TryError::new(ErrorKind::BodyTooLarge, detail));
        }
        let mut headers = HeaderMap::new();
        let when = (clock::now(), self.client.protocol());
        CallHead::write((&self.service, Some((name, function.signature))), context, when, &mut headers);
        let body = if bytes.is_empty() { empty_body() } else { full_body(bytes) };
        let mut request = Request::new(body);
        (*request.method_mut(), *request.headers_mut()) = (Method::POST, headers);
        let (answer, deadline) = self.exchange(request, context).await?;
        self.result(name, function, answer, deadline).await
    }

    /// Sends a call, and waits for the head of its answer.
    async fn exchange(
        &self,
        request: Request<Body>,
        context: &CallContext,
    ) -> Result<(Response<Body>, Instant), TryError> {
        match self.client.send(request, context.deadline).await {
            Ok((answer, dependency_failed)) => {
                if dependency_failed {
                    context.mark_dependency_failed();
                }
                Ok((answer, context.deadline))
            }
            Err(error) => {
                if error.dependency_failed {
                    context.mark_dependency_failed();
                }
                Err(self.failure(error))
            }
        }
    }

    /// Reads the result of a call.
    async fn result(
        &self,
        name: &FunctionName,
        function: &CrossingFunction,
        answer: Response<Body>,
        deadline: Instant,
    ) -> Result<DetachedValues, TryError> {
        let wrong = |detail: String| TryError::new(ErrorKind::BadAnswer, format!("{name} of {self}: {detail}"));
        let too_long = || wrong(format!("its result is longer than `message` allows: {} bytes", self.longest));
        let announced = answer.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > self.longest) {
            return Err(too_long());
        }
        let body = timeout_at(deadline.into(), Limited::new(answer.into_body(), self.longest).collect()).await;
        let body = body.map_err(|_| TryError::new(ErrorKind::Timeout, "the answer did not end before the deadline"))?;
        let body = body.map_err(|error| match error.downcast::<crate::base::BodyError>() {
            Ok(broken) => TryError::new(broken.kind, broken.detail),
            Err(_) => too_long(),
        })?;
        let values = read_compact(function.result.iter(), &body.to_bytes());
        values.map(DetachedValues::new).map_err(|error| wrong(error.to_string()))
    }

    /// The failure of a call as the mesh knows it.
    fn failure(&self, error: PeerError) -> TryError {
        let PeerError { fate, kind, ref detail, .. } = error;
        let detail = match fate {
            CallFate::NotSent => format!("not sent to {self}: {detail}"),
            CallFate::InDoubt => format!("in doubt at {self}: {detail}"),
            CallFate::Answered => format!("answered by {self}: {detail}"),
        };
        let is_begun = fate != CallFate::NotSent;
        let beginning = if is_begun { CallBeginning::Perhaps } else { CallBeginning::NotThere };
        TryError { beginning, ..TryError::new(kind, detail) }.caused_by(error)
    }
}

impl fmt::Display for PeerTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node `{}`", self.client.node())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Type;
    use crate::runtime::Value;

    /// The values of the engine keep a NaN as it is. Those of the room `contract`'s tests do not.
    #[test]
    fn a_nan_crosses_bit_by_bit() {
        for (ty, bytes) in [
            (Type::F32, &[1, 0, 0xa0, 0x7f][..]),
            (Type::F32, &[1, 0, 0xc0, 0xff]),
            (Type::F64, &[1, 2, 3, 4, 5, 6, 0xf0, 0x7f]),
        ] {
            let read: Vec<Value> = read_compact(std::iter::once(&ty), bytes).expect("a number");
            let mut written = Vec::new();
            write_compact(&ty, &read[0], &mut written).expect("the same number");
            assert_eq!(written, bytes);
        }
    }
}
