//! The client of a request, and what that means for the call that the request becomes.

use super::authentication::Admitted;
use super::forwarded_request::ForwardedFrom;
use crate::base::{CallContext, DeadlineOwner, HostAndPort, RequestId, TraceScope};
use http::HeaderMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The client of a request, and the time of its arrival.
pub(super) struct Caller<'a> {
    pub(super) id: &'a RequestId,
    pub(super) peer: IpAddr,
    pub(super) trusted: bool,
    /// Whether its connection has TLS.
    pub(super) secure: bool,
    pub(super) began: Instant,
    /// The place in the request's trace.
    pub(super) trace: Option<TraceScope>,
}

impl<'a> Caller<'a> {
    /// Where the request comes from, which names this host.
    pub(super) fn forwarded_from<'b>(
        &self,
        host: Option<HostAndPort<'b>>,
        admitted: Option<&'b Admitted<'b>>,
    ) -> ForwardedFrom<'b>
    where
        'a: 'b,
    {
        let Self { id, peer, trusted, secure, .. } = *self;
        ForwardedFrom { id, peer, trusted, secure, host, admitted }
    }

    /// The context of the call that the request becomes. If the peer is trusted, deadline and depth continue those that
    /// the peer sends, so that a circle of calls that leads through a plain HTTP service ends like any other.
    pub(super) fn context(&self, headers: &HeaderMap, timeout: Duration) -> CallContext {
        let mut context = CallContext::new(self.id.clone(), self.began, timeout);
        context.trace.clone_from(&self.trace);
        if !self.trusted {
            return context;
        }
        let sent = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let left = sent(CallContext::TIMEOUT_HEADER).and_then(|left| left.parse().ok()).map(Duration::from_millis);
        let depth = sent(CallContext::DEPTH_HEADER).and_then(|depth| depth.parse::<usize>().ok());
        let depth = depth.map_or(0, |depth| depth.saturating_add(1));
        context.within(self.began, left.unwrap_or(timeout), DeadlineOwner::Caller).at_depth(depth)
    }
}
