//! An instance's future that goes on in turns on a compute thread when its guest has used up a slice.
//!
//! The future is polled by the tasks of the host as long as its guest waits more than it computes. When a poll has used
//! up a slice, the [`ComputeFuture`] does not poll it again: it puts it in a [`GuestJob`], which waits for its turn.
//! A turn is one poll on a compute thread. If that poll has used up its slice, too, the job waits for the next turn.
//! Otherwise the future comes back, and the [`ComputeFuture`] polls it at once. So a wake that comes meanwhile is not
//! lost, although nobody takes notice of it: every turn is followed by another poll.

use super::cpu::{ComputeJob, ServiceCpu};
use super::cpu_slice::CpuSlice;
use crate::runtime::lock::lock;
use futures_util::task::AtomicWaker;
use std::any::Any;
use std::mem::replace;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tokio::runtime::Handle;

type BoxedFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The future of an instance of one service.
pub(crate) struct ComputeFuture {
    place: ComputeFuturePlace,
    slice: CpuSlice,
    cpu: Arc<ServiceCpu>,
}

/// Where the future is.
enum ComputeFuturePlace {
    Here(BoxedFuture),
    Away(Arc<GuestJob>),
    Ended,
}

/// A future that waits for its turn, or has it.
struct GuestJob {
    stage: Mutex<GuestJobStage>,
    slice: CpuSlice,
    /// Wakes the task that waits for the future to come back.
    waker: AtomicWaker,
    /// The runtime of that task: for the timers of the future.
    runtime: Option<Handle>,
}

enum GuestJobStage {
    Waiting(BoxedFuture),
    InTurn,
    /// It has not used up its last turn.
    Back(BoxedFuture),
    Ended(Result<(), Box<dyn Any + Send>>),
    /// Nobody wants it any more.
    Abandoned,
}

impl ComputeFuture {
    /// `slice`: that of the instance, whose service is that of `cpu`.
    pub(crate) fn new(
        future: impl Future<Output = ()> + Send + 'static,
        slice: CpuSlice,
        cpu: Arc<ServiceCpu>,
    ) -> Self {
        Self { place: ComputeFuturePlace::Here(Box::pin(future)), slice, cpu }
    }

    /// Lets `future` wait for its turn. It stays here if no thread could be started: then it computes here.
    fn leave(&mut self, future: BoxedFuture, context: &Context<'_>) {
        let (stage, waker) = (Mutex::new(GuestJobStage::Waiting(future)), AtomicWaker::new());
        waker.register(context.waker());
        let job = Arc::new(GuestJob { stage, slice: self.slice.clone(), waker, runtime: Handle::try_current().ok() });
        if !self.cpu.queue_up(Arc::clone(&job) as Arc<dyn ComputeJob>) {
            job.recall();
        }
        self.place = ComputeFuturePlace::Away(job);
    }
}

impl Future for ComputeFuture {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match replace(&mut self.place, ComputeFuturePlace::Ended) {
                ComputeFuturePlace::Here(mut future) => {
                    self.slice.begin(false);
                    self.slice.meter().begin_poll();
                    let polled = future.as_mut().poll(context);
                    self.slice.meter().end_poll();
                    if polled.is_ready() {
                        return Poll::Ready(());
                    }
                    if self.slice.is_over() {
                        self.leave(future, context);
                    } else {
                        self.place = ComputeFuturePlace::Here(future);
                    }
                    return Poll::Pending;
                }
                ComputeFuturePlace::Away(job) => {
                    // Before the stage is read: a turn that ends after the read wakes this task.
                    job.waker.register(context.waker());
                    let mut stage = lock(&job.stage);
                    match replace(&mut *stage, GuestJobStage::Abandoned) {
                        GuestJobStage::Back(future) => self.place = ComputeFuturePlace::Here(future),
                        GuestJobStage::Ended(Ok(())) => return Poll::Ready(()),
                        GuestJobStage::Ended(Err(panic)) => {
                            drop(stage);
                            resume_unwind(panic);
                        }
                        away => {
                            *stage = away;
                            drop(stage);
                            self.place = ComputeFuturePlace::Away(job);
                            return Poll::Pending;
                        }
                    }
                }
                ComputeFuturePlace::Ended => panic!("polled after its end"),
            }
        }
    }
}

impl Drop for ComputeFuture {
    /// The future goes at once, unless it has its turn: then it goes at the turn's end.
    fn drop(&mut self) {
        if let ComputeFuturePlace::Away(job) = &self.place {
            let stage = replace(&mut *lock(&job.stage), GuestJobStage::Abandoned);
            // Without the lock.
            drop(stage);
        }
    }
}

impl ComputeJob for GuestJob {
    /// Polls the future once.
    fn take_turn(&self) -> bool {
        let mut future = {
            let mut stage = lock(&self.stage);
            match replace(&mut *stage, GuestJobStage::InTurn) {
                GuestJobStage::Waiting(future) => future,
                gone => {
                    *stage = gone;
                    return false;
                }
            }
        };
        let _in_runtime = self.runtime.as_ref().map(Handle::enter);
        self.slice.begin(true);
        self.slice.meter().begin_poll();
        let mut context = Context::from_waker(Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)));
        self.slice.meter().end_poll();
        let result = match polled {
            Ok(Poll::Pending) if self.slice.is_over() => GuestJobStage::Waiting(future),
            Ok(Poll::Pending) => GuestJobStage::Back(future),
            Ok(Poll::Ready(())) => GuestJobStage::Ended(Ok(())),
            Err(panic) => {
                // It owns the senders of all answers that are due.
                drop(future);
                GuestJobStage::Ended(Err(panic))
            }
        };
        let computes_on = matches!(result, GuestJobStage::Waiting(_));
        let mut stage = lock(&self.stage);
        if matches!(*stage, GuestJobStage::Abandoned) {
            drop(stage);
            drop(result);
            return false;
        }
        *stage = result;
        drop(stage);
        if !computes_on {
            self.waker.wake();
        }
        computes_on
    }
}

impl GuestJob {
    /// Takes the future out of the queue, if it still waits there, and back to its task.
    fn recall(&self) {
        let mut stage = lock(&self.stage);
        *stage = match replace(&mut *stage, GuestJobStage::Abandoned) {
            GuestJobStage::Waiting(future) => GuestJobStage::Back(future),
            other => other,
        };
        drop(stage);
        self.waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ServiceName;
    use crate::runtime::capacity::cpu::CpuShares;
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc::{SyncSender, sync_channel};
    use std::time::Duration;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    const LONG: Duration = Duration::from_secs(60);

    fn service() -> Arc<ServiceCpu> {
        CpuShares::for_cores(2).service(&ServiceName::new("one").unwrap(), 1)
    }

    fn poll_once(guest: &mut ComputeFuture) -> Poll<()> {
        Pin::new(guest).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn on_compute_thread() -> bool {
        std::thread::current().name() == Some("compute")
    }

    /// A future whose polls use up their slices, so often; then one waits for `release`, and then it ends. It counts
    /// its polls on compute threads, and once more when it has begun to wait there.
    fn guest(slices: usize, mut release: oneshot::Receiver<()>, turns: &Arc<AtomicUsize>) -> ComputeFuture {
        let (slice, turns) = (CpuSlice::default(), Arc::clone(turns));
        let inner = slice.clone();
        let work = async move {
            for _ in 0..slices {
                inner.end().await;
                turns.fetch_add(on_compute_thread().into(), SeqCst);
            }
            let release = poll_fn(|context| {
                let polled = Pin::new(&mut release).poll(context);
                if polled.is_pending() {
                    turns.fetch_add(on_compute_thread().into(), SeqCst);
                }
                polled
            });
            let _ = release.await;
            assert!(!on_compute_thread(), "a guest that waits comes back");
            tokio::time::sleep(Duration::ZERO).await;
        };
        ComputeFuture::new(work, slice, service())
    }

    #[tokio::test]
    async fn a_guest_that_computes_does_so_in_turns_and_comes_back_to_wait() {
        let turns = Arc::<AtomicUsize>::default();
        let (release, released) = oneshot::channel();
        let guest = tokio::spawn(guest(1_000, released, &turns));
        let deadline = tokio::time::Instant::now() + LONG;
        // Until it waits: a release that came before would end it on the compute thread.
        while turns.load(SeqCst) < 1_001 {
            assert!(tokio::time::Instant::now() < deadline);
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
        timeout(LONG, guest).await.unwrap().unwrap();
        assert_eq!(turns.load(SeqCst), 1_001, "every slice but the first is a turn");
    }

    #[tokio::test]
    async fn a_guest_that_waits_more_than_it_computes_never_leaves() {
        let turns = Arc::<AtomicUsize>::default();
        let (release, released) = oneshot::channel();
        let mut guest = guest(0, released, &turns);
        let cpu = Arc::clone(&guest.cpu);
        assert!(poll_once(&mut guest).is_pending() && matches!(guest.place, ComputeFuturePlace::Here(_)));
        release.send(()).unwrap();
        timeout(LONG, guest).await.unwrap();
        assert_eq!(Arc::strong_count(&cpu), 1);
    }

    /// Its drop sends the name of the thread.
    struct Dropped(SyncSender<Option<String>>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send(std::thread::current().name().map(Into::into));
        }
    }

    #[tokio::test]
    async fn a_guest_that_is_given_up_in_its_turn_goes_at_the_turns_end() {
        let (dropped, was_dropped) = sync_channel(1);
        let (began, has_begun) = oneshot::channel();
        let (go_on, goes_on) = sync_channel(1);
        let slice = CpuSlice::default();
        let (inner, dropped) = (slice.clone(), Dropped(dropped));
        let work = async move {
            let _dropped = dropped;
            inner.end().await;
            began.send(()).unwrap();
            goes_on.recv().unwrap();
            std::future::pending::<()>().await;
        };
        let mut guest = ComputeFuture::new(work, slice, service());
        assert!(poll_once(&mut guest).is_pending());
        timeout(LONG, has_begun).await.unwrap().unwrap();
        drop(guest);
        assert!(was_dropped.try_recv().is_err());
        go_on.send(()).unwrap();
        assert_eq!(was_dropped.recv_timeout(LONG).unwrap().as_deref(), Some("compute"));
    }

    #[tokio::test]
    async fn a_guest_that_is_given_up_while_it_waits_for_its_turn_goes_at_once() {
        let cpu = service();
        let (go_on, goes_on) = sync_channel(1);
        let block = {
            let slice = CpuSlice::default();
            let inner = slice.clone();
            let work = async move {
                inner.end().await;
                goes_on.recv().unwrap();
            };
            ComputeFuture::new(work, slice, Arc::clone(&cpu))
        };
        let block = tokio::spawn(block);
        let (dropped, was_dropped) = sync_channel(1);
        let slice = CpuSlice::default();
        let (inner, dropped) = (slice.clone(), Dropped(dropped));
        let work = async move {
            let _dropped = dropped;
            inner.end().await;
        };
        let mut guest = ComputeFuture::new(work, slice, Arc::clone(&cpu));
        tokio::task::yield_now().await;
        assert!(poll_once(&mut guest).is_pending());
        drop(guest);
        assert_ne!(was_dropped.try_recv().unwrap().as_deref(), Some("compute"));
        go_on.send(()).unwrap();
        timeout(LONG, block).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_panic_in_a_turn_is_a_panic_of_the_task() {
        let slice = CpuSlice::default();
        let inner = slice.clone();
        let work = async move {
            inner.end().await;
            poll_fn(|_| if on_compute_thread() { panic!("on purpose") } else { Poll::Ready(()) }).await;
        };
        let task = tokio::spawn(ComputeFuture::new(work, slice, service()));
        assert!(timeout(LONG, task).await.unwrap().unwrap_err().is_panic());
    }
}
