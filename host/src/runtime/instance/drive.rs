//! A future that two can drive: a task of its own, and whoever waits for what it does next.
//!
//! To hand a call to another task costs more than most calls do: the scheduler is told, a thread may be woken, and the caller's guest is put
//! aside until it is woken in turn. So the caller takes the instance's next steps itself, in its own task, and between them takes what has come of
//! the answer. A quick call has its answer then; of any other the rest is done in the instance's own task, as if nothing had happened.
//!
//! An instance that serves one caller alone does not even have a task until then ([`begin`]).

use futures_util::task::AtomicWaker;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, fence};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// Steps that a caller takes at a time: one to the answer, one for each piece of its body that it reads, and the last finds out that nothing is
/// left to do. More are no quick call.
const STEPS: usize = 8;

/// A caller takes no further step after this long: who computes goes on in a task of its own, where it takes its turn among others.
const QUICK: Duration = Duration::from_millis(1);

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes the first steps of `future` here, and does `between` after each. What is left of it goes on in a task of its own, which is answered.
pub(super) fn begin(
    future: impl Future<Output = ()> + Send + 'static,
    mut between: impl FnMut(&mut Context<'_>),
) -> Option<AbortHandle> {
    let mut future: Boxed = Box::pin(future);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let began = Instant::now();
    for _ in 0..STEPS {
        woken.0.store(false, SeqCst);
        let ended = step(&mut future, &mut context);
        between(&mut context);
        if ended {
            return None;
        }
        if !woken.0.load(SeqCst) || began.elapsed() > QUICK {
            break;
        }
    }
    // Its first poll there finds whatever has woken it here meanwhile.
    Some(tokio::spawn(future).abort_handle())
}

/// One step; true when there is none left. A panic is an end, too: whoever waits for the future's work learns of it when it is dropped.
fn step(future: &mut Boxed, context: &mut Context<'_>) -> bool {
    !matches!(catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))), Ok(Poll::Pending))
}

/// Remembers that it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// The hold of callers on a future that has a task of its own. The task goes on without it.
#[derive(Clone)]
pub(super) struct InlinePoll(Arc<Shared>);

struct Shared {
    /// Gone when it has ended, or its task was aborted. Locked by whoever drives it.
    future: Mutex<Option<Boxed>>,
    /// Its own task.
    task: AtomicWaker,
    /// Somebody drives it, and will look at `woken` afterwards.
    driven: AtomicBool,
    woken: AtomicBool,
    /// Its own task is gone.
    aborted: AtomicBool,
}

impl InlinePoll {
    /// Starts `future` in a task of its own.
    pub(super) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> (Self, AbortHandle) {
        let shared = Arc::new(Shared {
            future: Mutex::new(Some(Box::pin(future))),
            task: AtomicWaker::new(),
            driven: AtomicBool::new(false),
            woken: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
        });
        let owner = Owner(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            poll_fn(|context| {
                owner.0.task.register(context.waker());
                owner.0.drive(1, || (), |_| ()).1
            })
            .await;
        });
        (Self(shared), task.abort_handle())
    }

    /// Does `prepare`, which wakes the future, and lets it take its next steps here, with `between` after each, unless it is driven already.
    pub(super) fn hand<T>(&self, prepare: impl FnOnce() -> T, between: impl FnMut(&mut Context<'_>)) -> T {
        self.0.drive(STEPS, prepare, between).0
    }
}

impl Shared {
    fn drive<T>(
        self: &Arc<Self>,
        steps: usize,
        prepare: impl FnOnce() -> T,
        mut between: impl FnMut(&mut Context<'_>),
    ) -> (T, Poll<()>) {
        let Ok(mut future) = self.future.try_lock() else {
            let prepared = prepare();
            self.wake_by_ref();
            return (prepared, Poll::Pending);
        };
        self.driven.store(true, SeqCst);
        let prepared = prepare();
        let waker = Waker::from(Arc::clone(self));
        let began = Instant::now();
        for _ in 0..steps {
            // Looked for first: whoever found the end has left its wake for the task, and nobody may swallow it.
            let Some(running) = future.as_mut() else { break };
            // Exchanged, not stored: what was done before a wake that is taken back here is seen by this step.
            self.woken.swap(false, SeqCst);
            let mut context = Context::from_waker(&waker);
            let ended = step(running, &mut context);
            between(&mut context);
            if ended || self.aborted.load(SeqCst) {
                *future = None;
                self.woken.store(true, SeqCst);
            } else if !self.woken.load(SeqCst) || began.elapsed() > QUICK {
                break;
            }
        }
        let ended = future.is_none();
        // Before the lock is free: who takes it next sets the mark for himself.
        self.driven.store(false, SeqCst);
        drop(future);
        // Pairs with the fence in `clear`: either it finds the lock free, or this finds its mark.
        fence(SeqCst);
        if self.aborted.load(SeqCst) {
            self.clear();
        }
        if self.woken.load(SeqCst) {
            self.task.wake();
        }
        (prepared, if ended { Poll::Ready(()) } else { Poll::Pending })
    }

    /// Drops the future, now or as soon as nobody drives it.
    fn clear(&self) {
        self.aborted.store(true, SeqCst);
        fence(SeqCst);
        if let Ok(mut future) = self.future.try_lock() {
            *future = None;
        }
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, SeqCst);
        if !self.driven.load(SeqCst) {
            self.task.wake();
        }
    }
}

/// The task's hold on the future: when the task ends, so does the future.
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use tokio::sync::{mpsc, oneshot};

    /// A future that answers each question with its square, and counts that it was dropped.
    fn squares(
        dropped: &Arc<AtomicUsize>,
    ) -> (mpsc::Sender<(u32, oneshot::Sender<u32>)>, impl Future<Output = ()> + use<>) {
        struct Count(Arc<AtomicUsize>);
        impl Drop for Count {
            fn drop(&mut self) {
                self.0.fetch_add(1, SeqCst);
            }
        }
        let (questions, mut asked) = mpsc::channel::<(u32, oneshot::Sender<u32>)>(64);
        let count = Count(Arc::clone(dropped));
        let future = async move {
            let _count = count;
            while let Some((number, answer)) = asked.recv().await {
                assert!(number != 13, "as the test asked");
                if number.is_multiple_of(2) {
                    tokio::task::yield_now().await;
                }
                let _ = answer.send(number * number);
            }
        };
        (questions, future)
    }

    async fn until(what: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !what() {
            assert!(Instant::now() < deadline, "it never came about");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_quick_answer_is_there_at_once() {
        let (questions, future) = squares(&Arc::default());
        let (drive, _task) = InlinePoll::spawn(future);
        let (sender, mut answer) = oneshot::channel();
        drive.hand(|| questions.try_send((3, sender)).unwrap(), |_| ());
        assert_eq!(answer.try_recv(), Ok(9), "no other task has run in between");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_callers_on_many_threads_all_get_their_answers() {
        let dropped = Arc::<AtomicUsize>::default();
        let (questions, future) = squares(&dropped);
        let (drive, _task) = InlinePoll::spawn(future);
        let callers = (0..8).map(|caller| {
            let (drive, questions) = (drive.clone(), questions.clone());
            tokio::spawn(async move {
                for number in (0..2000).map(|n| 100 + n * 8 + caller) {
                    let (sender, answer) = oneshot::channel();
                    drive.hand(|| questions.try_send((number, sender)).unwrap(), |_| ());
                    assert_eq!(answer.await, Ok(number * number));
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            tokio::time::timeout(Duration::from_secs(60), caller).await.expect("no wake is lost").unwrap();
        }
        drop(questions);
        until(|| dropped.load(SeqCst) == 1).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_aborted_future_goes_even_if_it_is_being_driven() {
        for _ in 0..200 {
            let dropped = Arc::<AtomicUsize>::default();
            let (questions, future) = squares(&dropped);
            let (drive, task) = InlinePoll::spawn(future);
            let aborter = tokio::spawn(async move { task.abort() });
            for number in 100..110 {
                let (sender, _answer) = oneshot::channel();
                let _ = drive.hand(|| questions.try_send((number, sender)), |_| ());
            }
            aborter.await.unwrap();
            // Another thread may be about to drop it: its parts go one by one.
            until(|| dropped.load(SeqCst) == 1 && questions.is_closed()).await;
        }
    }

    #[tokio::test]
    async fn a_panic_ends_the_future_and_not_its_caller() {
        let dropped = Arc::<AtomicUsize>::default();
        let (questions, future) = squares(&dropped);
        let (drive, _task) = InlinePoll::spawn(future);
        let (sender, answer) = oneshot::channel();
        drive.hand(|| questions.try_send((13, sender)).unwrap(), |_| ());
        assert!(answer.await.is_err());
        assert_eq!(dropped.load(SeqCst), 1);
    }
}
