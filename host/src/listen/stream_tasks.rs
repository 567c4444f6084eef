//! The tasks of an HTTP/2 connection's streams. They end with their connection at the latest.

use super::http_exchange::ExchangeRecord;
use super::least_rate::{LeastRate, UploadPace};
use std::cell::RefCell;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep};

/// What a stream's task knows of its answer.
#[derive(Debug)]
pub(super) struct StreamProgress {
    pub(super) record: Arc<ExchangeRecord>,
    /// Whether a piece of the answer waits for the peer, and not the peer for the service.
    waits_for_peer: AtomicBool,
    /// The bytes of the answer that hyper has taken.
    handed: AtomicUsize,
}

impl StreamProgress {
    pub(super) fn new(record: Arc<ExchangeRecord>) -> Self {
        Self { record, waits_for_peer: AtomicBool::new(false), handed: AtomicUsize::new(0) }
    }

    /// hyper has got a piece of so many bytes, and asks for the next once the peer has room for this one.
    pub(super) fn handed(&self, count: usize) {
        self.handed.fetch_add(count, SeqCst);
        self.waits_for_peer.store(true, SeqCst);
    }

    /// hyper waits for the service.
    pub(super) fn waits_for_service(&self) {
        self.waits_for_peer.store(false, SeqCst);
    }
}

/// Runs the streams of one connection. When the last clone is dropped, they end.
#[derive(Clone)]
pub(super) struct StreamTasks(Arc<TasksState>);

thread_local! {
    /// That of the stream which hyper is about to hand over on this thread: see [`StreamTasks::expect`].
    static NEXT: RefCell<Option<Arc<StreamProgress>>> = const { RefCell::new(None) };
}

struct TasksState {
    tasks: Mutex<JoinSet<()>>,
    rate: LeastRate,
    write_timeout: Duration,
}

impl StreamTasks {
    /// `rate`: the least rate at which a peer takes an answer; `write_timeout`: how long it may take nothing.
    pub(super) fn new(rate: LeastRate, write_timeout: Duration) -> Self {
        Self(Arc::new(TasksState { tasks: Mutex::new(JoinSet::new()), rate, write_timeout }))
    }

    /// The next future that hyper hands over on this thread is that of the stream with this progress: hyper makes the
    /// service's future and hands it over in one step (`poll_server` in `hyper/src/proto/h2/server.rs`). Meanwhile a
    /// stream on another thread may hand over the task of its upgrade.
    pub(super) fn expect(progress: Arc<StreamProgress>) {
        NEXT.set(Some(progress));
    }

    /// Runs what follows a stream's answer.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(future);
    }

    /// Ends all streams.
    pub(super) fn abort(&self) {
        self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for StreamTasks {
    fn execute(&self, future: F) {
        let TasksState { tasks, rate, write_timeout } = &*self.0;
        let progress = NEXT.take();
        let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended leave the set here, so it holds no more than the bound on streams and the last few.
        while tasks.try_join_next().is_some() {}
        match progress {
            Some(progress) => {
                let pace = UploadPace::new(*rate);
                let task = StreamTask {
                    future: Box::pin(future),
                    progress,
                    pace,
                    seen: 0,
                    write_timeout: *write_timeout,
                    silence: None,
                };
                tasks.spawn(task)
            }
            None => tasks.spawn(future),
        };
    }
}

/// One stream. It ends early if its peer takes the answer too slowly: HTTP/2 has a window for each stream, so a peer
/// can stop one stream without a sign on the socket.
struct StreamTask<F> {
    future: Pin<Box<F>>,
    progress: Arc<StreamProgress>,
    pace: UploadPace,
    /// The bytes that the pace knows of.
    seen: usize,
    write_timeout: Duration,
    /// Runs while the peer takes nothing.
    silence: Option<Pin<Box<Sleep>>>,
}

impl<F: Future<Output = ()>> Future for StreamTask<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.future.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let progress = &this.progress;
        let handed = progress.handed.load(SeqCst);
        if handed > this.seen {
            this.pace.received(handed - this.seen);
            (this.seen, this.silence) = (handed, None);
        }
        let stalled = progress.waits_for_peer.load(SeqCst);
        progress.record.answer.set_stalled(stalled);
        if !stalled {
            this.silence = None;
            return Poll::Pending;
        }
        progress.record.answer.read_ahead(context);
        let write_timeout = this.write_timeout;
        let silence = this.silence.get_or_insert_with(|| Box::pin(sleep(write_timeout)));
        if silence.as_mut().poll(context).is_ready() || this.pace.poll_too_slow(context).is_ready() {
            // hyper's future is dropped, and h2 resets the stream.
            progress.record.note_slow();
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
