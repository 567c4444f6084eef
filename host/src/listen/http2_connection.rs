//! One connection with HTTP/2, from its preface to its end.

use super::answer_buffer::AnswerMemory;
use super::connection_stage::StageTimer;
use super::drain::{Drain, DrainWaiter};
use super::http_exchange::ExchangeRecord;
use super::http2_stream::{OpenStream, OpenStreams, StreamExchange, StreamTunnel, normalize};
use super::least_rate::LeastRate;
use super::metered_socket::{MeteredSocket, SharedMeter};
use super::peer::Peer;
use super::settings::{Http2Settings, Settings};
use super::socket::Socket;
use super::stream_tasks::{StreamProgress, StreamTasks};
use super::tunnel::Tunnel;
use super::unparsed_request::{UnparsedRequest, UnparsedRequestObserver};
use crate::base::Body;
use crate::telemetry::Http2Refusals;
use h2::Reason;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep_until};

/// How often a peer with open streams is asked whether it is still there, and how long it may take to answer. A peer
/// that has gone without a word is seen by nothing else while a service works.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);
/// The most bytes of one answer that wait in h2 for the windows of the peer; hyper's default of 400 KiB is 40 MiB for a
/// hundred streams.
const SEND_BUFFER: usize = 64 * 1024;
/// A table of names and values for each direction (RFC 7541, section 4.2): the default of RFC 9113.
const HEADER_TABLE: u32 = 4096;

/// hyper's HTTP/2 with the bounds of `settings`.
fn protocol(settings: &Settings, http2: &Http2Settings, tasks: StreamTasks) -> http2::Builder<StreamTasks> {
    let mut builder = http2::Builder::new(tasks);
    // Of each field RFC 9113, section 6.5.2, counts 32 bytes besides name and value. Up to the bound and a little above
    // a request reaches the service, which refuses it with a body of its own; h2 answers 431 beyond it, which
    // `written_frames.rs` sees. It reads such a block to its end, since the table of fields must stay the same, keeps
    // no field beyond the bound, and ends the connection after too many CONTINUATIONs.
    let list = settings.header_bytes + 32 * (settings.max_headers + 28) + 32 * 1024;
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(http2.streams)
        .initial_stream_window_size(http2.stream_window)
        .initial_connection_window_size(http2.connection_window)
        .max_send_buf_size(SEND_BUFFER)
        .enable_connect_protocol()
        .header_table_size(HEADER_TABLE)
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    builder
}

/// A connection whose protocol is HTTP/2.
pub(super) struct Http2Connection {
    pub(super) socket: Socket,
    pub(super) peer: Peer,
    pub(super) memory: AnswerMemory,
    pub(super) timer: StageTimer,
    pub(super) drain: Drain,
    /// Counts it if it ends by the peer's fault.
    pub(super) refusals: Option<Arc<Http2Refusals>>,
}

/// Copies what follows the answer to a WebSocket's handshake.
async fn tunnel_of(stream: OnUpgrade, tunnel: Tunnel, drain: Drain, _open: OpenStream) {
    let Ok(stream) = stream.await else { return };
    if let Err(error) = tunnel.run(&mut TokioIo::new(stream), &[], &drain).await {
        tracing::debug!(%error, "a tunnel broke off");
    }
}

/// The streams end with their connection, also if that is cut off.
struct StreamsEnd(StreamTasks);

impl Drop for StreamsEnd {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Serves the streams of a connection until its peer goes away, a bound is exceeded or a drain ends it. Dropping the
/// future cuts the connection off. `unparsed` is told of header lists that h2 itself has refused.
pub(super) async fn serve<S, F>(
    connection: Http2Connection,
    service: S,
    (settings, http2): (&Settings, &Http2Settings),
    unparsed: &UnparsedRequestObserver,
) where
    S: Fn(Request<Body>, Peer) -> F,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let Http2Connection { socket, peer, memory, timer, drain, refusals } = connection;
    let drained = drain.waiter();
    let rate = LeastRate::new(settings.min_download_rate, settings.rate_grace);
    let tasks = StreamTasks::new(rate, settings.write_timeout);
    let _end = StreamsEnd(tasks.clone());
    let streams = OpenStreams::new(timer.tracker());
    let (addr, refused) = (peer.addr, peer.clone());
    let meter = SharedMeter::new();
    let builder = protocol(settings, http2, tasks.clone());
    let (open, of_streams) = (Arc::clone(&streams), settings.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        let record = Arc::new(ExchangeRecord::new(&of_streams, memory.clone()));
        let progress = Arc::new(StreamProgress::new(Arc::clone(&record)));
        StreamTasks::expect(Arc::clone(&progress));
        let tunnel = StreamTunnel::of(&mut request);
        let exchange = StreamExchange::begin(progress, open.begin(), &request);
        let request = normalize(request, &record);
        // Boxed: hyper moves the future below into a task of its own, and each move would copy all of this one.
        let answer = Box::pin(service(request, Peer { record: Arc::clone(&record), ..peer.clone() }));
        let (tasks, drain, open) = (tasks.clone(), drain.clone(), Arc::clone(&open));
        async move {
            // hyper looks for a reset of the stream when this is first pending. A reset that came with the head is
            // there by then, so that no service is called for it.
            yield_now().await;
            let mut answer = answer.await;
            record.note_answered();
            if let Some((stream, tunnel)) = tunnel.and_then(|tunnel| tunnel.answer(&mut answer)) {
                tasks.spawn(tunnel_of(stream, tunnel, drain, open.begin()));
            }
            Ok::<_, Infallible>(exchange.answer(answer))
        }
    });
    let socket = MeteredSocket::new(socket, meter.clone(), http2.streams, http2.unmetered);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), service));
    let tracker = timer.tracker();
    let mut bounds = ConnectionBounds {
        header_timeout: settings.header_timeout,
        write_timeout: settings.write_timeout,
        oldest: http2.max_age.map(|age| Instant::now() + age),
        sleep: Box::pin(sleep_until(Instant::now())),
        closing: None,
        meter: meter.clone(),
        streams,
        timer,
        drained,
    };
    let fault = loop {
        tokio::select! {
            biased;
            outcome = poll_fn(|cx| {
                let outcome = tracker.busy(|| connection.as_mut().poll(cx));
                (0..meter.take_refusals()).for_each(|_| unparsed(UnparsedRequest::of_h2(refused.clone())));
                outcome
            }) => {
                let Err(error) = outcome else { break None };
                tracing::debug!(peer = %addr, %error, "a connection broke off");
                break fault_of_peer(&error);
            }
            step = poll_fn(|cx| bounds.poll(cx)) => match step {
                ConnectionStep::GoAway => connection.as_mut().graceful_shutdown(),
                ConnectionStep::Cut(why, fault) => {
                    tracing::debug!(peer = %addr, "a connection was cut off: {why}");
                    break fault;
                }
            }
        }
    };
    if let Some((refusals, fault)) = refusals.zip(fault) {
        refusals.count(fault);
    }
}

/// Which fault of the peer has ended a connection with this error: a reason of [`Http2Refusals`]. `None`: the peer has
/// gone, or has ended the connection by itself.
///
/// h2 answers such a fault with GOAWAY, and gives the connection up with the same code: also its own bounds, as that on
/// the CONTINUATIONs of a header block. For the bounds of `frame_meter.rs` the socket has written GOAWAY, and its error
/// has a kind that nothing else gives it.
fn fault_of_peer(error: &hyper::Error) -> Option<&'static str> {
    let cause = error.source()?;
    if let Some(cause) = cause.downcast_ref::<io::Error>() {
        return (cause.kind() == io::ErrorKind::QuotaExceeded).then_some("enhance-your-calm");
    }
    let cause = cause.downcast_ref::<h2::Error>().filter(|cause| cause.is_go_away() && !cause.is_remote())?;
    Some(match cause.reason()? {
        Reason::ENHANCE_YOUR_CALM => "enhance-your-calm",
        Reason::PROTOCOL_ERROR => "protocol-error",
        Reason::FRAME_SIZE_ERROR => "frame-size-error",
        Reason::FLOW_CONTROL_ERROR => "flow-control-error",
        Reason::COMPRESSION_ERROR => "compression-error",
        _ => "other",
    })
}

/// How long a connection that makes room for another may take to end in order.
const MAKING_ROOM: Duration = Duration::from_secs(1);

/// What a bound asks for.
enum ConnectionStep {
    /// The connection takes no new stream, and ends with its last.
    GoAway,
    /// It is cut off, for this cause, and if that is a fault of the peer's, for this reason of [`Http2Refusals`].
    Cut(&'static str, Option<&'static str>),
}

/// The bounds of a connection in time that hyper does not have.
struct ConnectionBounds {
    header_timeout: Duration,
    write_timeout: Duration,
    /// When the connection is as old as it may get.
    oldest: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
    /// Since when the connection takes no new stream.
    closing: Option<Instant>,
    meter: SharedMeter,
    streams: Arc<OpenStreams>,
    timer: StageTimer,
    drained: DrainWaiter,
}

impl ConnectionBounds {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ConnectionStep> {
        let now = Instant::now();
        let idle = self.timer.poll_expired(context).is_ready();
        let drained = self.drained.poll(context).is_ready();
        let old = self.oldest.is_some_and(|oldest| oldest <= now);
        if self.closing.is_none() && (idle || drained || old) {
            self.closing = Some(now);
            return Poll::Ready(ConnectionStep::GoAway);
        }
        let header = self.meter.open_since().map(|since| Instant::from_std(since) + self.header_timeout);
        if header.is_some_and(|end| end <= now) {
            let why = "a preface, a frame or a header block took too long";
            return Poll::Ready(ConnectionStep::Cut(why, Some("slow-headers")));
        }
        // What h2 holds of answers whose streams have ended here waits for windows that may never open.
        let closed = self.closing.filter(|_| self.streams.count() == 0);
        // A peer that makes room for another, and is silent, is not waited for: h2 waits for its answer to a ping.
        let makes_room = self.timer.poll_made_room(context).is_ready();
        let patience = if makes_room { MAKING_ROOM.min(self.write_timeout) } else { self.write_timeout };
        let closed = closed.map(|since| since.max(self.timer.idle_since()) + patience);
        if closed.is_some_and(|end| end <= now) {
            return Poll::Ready(ConnectionStep::Cut("the peer takes nothing of what is left", None));
        }
        let oldest = self.oldest.filter(|_| self.closing.is_none());
        if let Some(next) = [header, closed, oldest].into_iter().flatten().min() {
            if self.sleep.deadline() != next {
                self.sleep.as_mut().reset(next);
            }
            if self.sleep.as_mut().poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }
}
