//! The outcome of one call, and what it says about the endpoint.

use std::time::Duration;

/// What a call's outcome says about its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The endpoint answered as it should.
    Success,
    /// The endpoint is at fault, whatever the request was: no instance, no connection, a reset, a timeout, 502, 503,
    /// 504.
    EndpointFault,
    /// The endpoint failed on this request, perhaps because of its input: a trap, out of memory, a malformed answer, a
    /// 5xx other than 502, 503 and 504.
    RequestFault,
    /// The endpoint asks for fewer calls: 429.
    Throttled,
    /// The outcome says nothing about the endpoint: the client went away, the status is a 4xx other than 429, or this
    /// host refused the call before the endpoint got it.
    Neutral,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// What the outcome says about the endpoint.
    pub verdict: Verdict,
    /// The time from the start of the call to the head of its answer, or to its failure.
    pub took: Duration,
    /// The wait that the endpoint asked for with `Retry-After`, if the answer had one.
    pub retry_after: Option<Duration>,
}
