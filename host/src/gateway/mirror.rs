//! A copy of some requests for another service, whose answers nobody sees.

use super::call::Call;
use crate::base::{Body, BodyError, CallContext, InterimNotice, ServiceName, SingleTry, UpgradeOffer, full_body};
use crate::fault::Share;
use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderName, HeaderValue, Request};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Sends a copy of some requests to another service.
///
/// The request itself notices nothing: the copy is sent by a task of its own, when the service has read all of the
/// body. Where there are too many copies, or a body is too long, there is no copy.
#[derive(Debug)]
pub struct Mirror {
    service: ServiceName,
    share: Share,
    /// The most bytes of a body that are kept for a copy.
    body: usize,
    free: Arc<Semaphore>,
}

impl Mirror {
    /// The field that tells the other service that its answer is dropped.
    pub(super) const HEADER: &str = "x-atoll-mirrored";

    /// Copies for `service` of this share of the requests, `most` at a time, with bodies of at most `body` bytes.
    pub fn new(service: ServiceName, share: Share, body: usize, most: usize) -> Self {
        Self { service, share, body, free: Arc::new(Semaphore::new(most)) }
    }

    /// The service that gets the copies.
    pub fn service(&self) -> &ServiceName {
        &self.service
    }

    /// Has a copy of `request` sent, if the lot falls on it and there is room. The copy may take as long as the request
    /// may, from its own beginning on.
    pub(super) fn watch<C: Call>(&self, mesh: &Arc<C>, request: &mut Request<Body>, context: &CallContext) {
        let drawn = rand::random_range(0..Share::ALL.millionths()) < self.share.millionths();
        let is_upgrade = request.extensions().get::<UpgradeOffer>().is_some();
        let too_long = request.body().size_hint().lower() > self.body as u64;
        if !drawn || is_upgrade || too_long {
            return;
        }
        let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() else {
            tracing::debug!(request_id = context.request_id.as_str(), "no copy: too many are under way");
            return;
        };
        let mut copy = Request::new(());
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        *copy.extensions_mut() = request.extensions().clone();
        // What a client shows to the first service is not the other service's to have.
        for credential in [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE] {
            copy.headers_mut().remove(credential);
        }
        copy.headers_mut().insert(HeaderName::from_static(Self::HEADER), HeaderValue::from_static("1"));
        copy.extensions_mut().insert(SingleTry);
        // The client gets the interim answers of the first service alone.
        copy.extensions_mut().remove::<InterimNotice>();
        let most = context.deadline.saturating_duration_since(Instant::now());
        let sending = PendingCopy {
            mesh: Arc::clone(mesh),
            service: self.service.clone(),
            request: copy,
            context: context.clone(),
            most,
            permit,
        };
        if request.body().is_end_stream() {
            sending.send(Bytes::new());
            return;
        }
        let body = std::mem::replace(request.body_mut(), crate::base::empty_body());
        let kept = Some((sending, Vec::new()));
        *request.body_mut() = CopiedBody { body, kept, room: self.body }.boxed_unsync();
    }
}

/// A copy that lacks its body.
struct PendingCopy<C> {
    mesh: Arc<C>,
    service: ServiceName,
    request: Request<()>,
    context: CallContext,
    most: Duration,
    permit: OwnedSemaphorePermit,
}

impl<C: Call> PendingCopy<C> {
    /// Sends it with this body, by a task of its own, which reads the answer to its end: a service that is cut off
    /// would do something else than with a request of its own.
    fn send(self, body: Bytes) {
        let Self { mesh, service, request, context, most, permit } = self;
        let request = request.map(|()| full_body(body));
        tokio::spawn(async move {
            let _permit = permit;
            let CallContext { request_id, depth, identity, payer, sticky_fields, .. } = context;
            let mut context = CallContext::new(request_id, Instant::now(), most).at_depth(depth);
            (context.identity, context.payer, context.sticky_fields) = (identity, payer, sticky_fields);
            let sent = timeout(most, async {
                let mut answer = mesh.call(&service, request, &context).await.map_err(|failure| failure.detail)?;
                while let Some(frame) = answer.body_mut().frame().await {
                    frame.map_err(|error| error.detail)?;
                }
                Ok::<_, String>(answer.status())
            });
            let (request_id, service) = (context.request_id.as_str(), service.as_str());
            match sent.await {
                Ok(Ok(status)) => tracing::debug!(request_id, service, status = status.as_u16(), "a copy was answered"),
                Ok(Err(error)) => tracing::debug!(request_id, service, %error, "a copy failed"),
                Err(_) => tracing::debug!(request_id, service, "a copy took too long"),
            }
        });
    }
}

/// The body of a request of which a copy is made.
struct CopiedBody<C: Call> {
    body: Body,
    /// The copy and its body so far; `None`: it was sent, or there will be none.
    kept: Option<(PendingCopy<C>, Vec<Bytes>)>,
    /// How many more bytes are kept.
    room: usize,
}

impl<C: Call> CopiedBody<C> {
    /// Notes what was read. The copy is sent at the end, and never if the body is too long or breaks off.
    fn note(&mut self, read: Option<&Result<Frame<Bytes>, BodyError>>) {
        let Some((_, pieces)) = &mut self.kept else { return };
        match read {
            None => {}
            Some(Err(_)) => self.kept = None,
            Some(Ok(frame)) => {
                let data = frame.data_ref().cloned().unwrap_or_default();
                match self.room.checked_sub(data.len()) {
                    Some(room) => {
                        self.room = room;
                        pieces.push(data);
                    }
                    None => self.kept = None,
                }
            }
        }
        // Who reads a body need not ask for more once that says that it has ended.
        if (read.is_none() || self.body.is_end_stream())
            && let Some((copy, pieces)) = self.kept.take()
        {
            copy.send(match <[Bytes; 1]>::try_from(pieces) {
                Ok([whole]) => whole,
                Err(pieces) => pieces.concat().into(),
            });
        }
    }
}

impl<C: Call> http_body::Body for CopiedBody<C> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let read = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.note(read.as_ref());
        Poll::Ready(read)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
