//! Inline polling: a caller polls an instance's future in its own task, and so needs no other task for a quick call.
//!
//! To pass a call to another task costs more than most calls do: the scheduler queues the task, perhaps wakes a
//! thread, and the caller's guest is suspended until the answer wakes it. So the caller polls the instance itself,
//! and after each poll takes what has arrived of the answer. A quick call has its whole answer then. Whatever is left
//! of a slower call runs in the instance's own task.
//!
//! [`start_inline`] is for an instance that serves one caller alone: it has no task before its first polls are over.
//! [`InlinePoll`] is for an instance that serves several callers: it has a task from the start, and two threads may
//! want to poll it at once. `docs/inline-poll.md` explains how they agree.

mod protocol;
mod sync;

pub(super) use self::protocol::InlinePoll;

use self::protocol::{INLINE_POLLS, INLINE_TIME, poll_once};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::task::{Context, Wake, Waker};
use std::time::Instant;
use tokio::task::AbortHandle;

/// Polls `future` here, with `after_each_poll` after each poll, while it is woken at once and no limit is reached.
/// `None` if the future has ended; otherwise it goes on in a task of its own, and the handle aborts that task.
pub(super) fn start_inline(
    mut future: impl Future<Output = ()> + Send + Unpin + 'static,
    mut after_each_poll: impl FnMut(&mut Context<'_>),
) -> Option<AbortHandle> {
    let flag = Arc::new(WakeFlag::default());
    let waker = Waker::from(Arc::clone(&flag));
    let mut context = Context::from_waker(&waker);
    let began = Instant::now();
    for _ in 0..INLINE_POLLS {
        // Swap, not store: it synchronises with the wake that it clears, so this poll sees what preceded that wake.
        flag.0.swap(false, Acquire);
        let ended = poll_once(&mut future, &mut context);
        after_each_poll(&mut context);
        if ended {
            return None;
        }
        if !flag.0.load(Relaxed) || began.elapsed() > INLINE_TIME {
            break;
        }
    }
    // A wake that comes between the last poll here and the first poll of the task is not lost: every task is polled
    // when it starts.
    Some(tokio::spawn(future).abort_handle())
}

/// A waker that only remembers that it was woken.
#[derive(Default)]
struct WakeFlag(AtomicBool);

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // A swap, too: a wake that finds the flag set must pass on what preceded the wake that set it.
        self.0.swap(true, Release);
    }
}

impl InlinePoll {
    /// Starts `future` in a task of its own, and returns the callers' handle. The other handle aborts the task, and
    /// with it the future.
    pub(super) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> (Self, AbortHandle) {
        let (callers, task) = Self::new(Box::pin(future));
        (callers, tokio::spawn(task).abort_handle())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;
    use std::time::Duration;
    use tokio::sync::{mpsc, oneshot};

    /// A future that answers each number with its square, and counts in `dropped` how often it was dropped.
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
                assert!(number != 13, "13 makes the future panic");
                if number.is_multiple_of(2) {
                    tokio::task::yield_now().await;
                }
                let _ = answer.send(number * number);
            }
        };
        (questions, future)
    }

    /// Waits until `condition` holds, and fails after a minute.
    async fn until(condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !condition() {
            assert!(Instant::now() < deadline, "the condition never held");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_quick_answer_is_there_when_submit_returns() {
        let (questions, future) = squares(&Arc::default());
        let (callers, _task) = InlinePoll::spawn(future);
        let (sender, mut answer) = oneshot::channel();
        callers.submit(|| questions.try_send((3, sender)).unwrap(), |_| ());
        assert_eq!(answer.try_recv(), Ok(9), "no other task has run meanwhile");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn callers_on_many_threads_all_get_their_answers() {
        let dropped = Arc::<AtomicUsize>::default();
        let (questions, future) = squares(&dropped);
        let (callers, _task) = InlinePoll::spawn(future);
        let tasks = (0..8).map(|caller| {
            let (callers, questions) = (callers.clone(), questions.clone());
            tokio::spawn(async move {
                for number in (0..2000).map(|n| 100 + n * 8 + caller) {
                    let (sender, answer) = oneshot::channel();
                    callers.submit(|| questions.try_send((number, sender)).unwrap(), |_| ());
                    assert_eq!(answer.await, Ok(number * number));
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            tokio::time::timeout(Duration::from_secs(60), task).await.expect("no wake is lost").unwrap();
        }
        drop(questions);
        until(|| dropped.load(SeqCst) == 1).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_abort_drops_the_future_even_while_a_caller_polls_it() {
        for _ in 0..200 {
            let dropped = Arc::<AtomicUsize>::default();
            let (questions, future) = squares(&dropped);
            let (callers, task) = InlinePoll::spawn(future);
            let aborter = tokio::spawn(async move { task.abort() });
            for number in 100..110 {
                let (sender, _answer) = oneshot::channel();
                let _ = callers.submit(|| questions.try_send((number, sender)), |_| ());
            }
            aborter.await.unwrap();
            // Another thread may be dropping the future: its parts are dropped one after the other.
            until(|| dropped.load(SeqCst) == 1 && questions.is_closed()).await;
        }
    }

    #[tokio::test]
    async fn a_panic_in_a_poll_ends_the_future_and_not_the_caller() {
        let dropped = Arc::<AtomicUsize>::default();
        let (questions, future) = squares(&dropped);
        let (callers, _task) = InlinePoll::spawn(future);
        let (sender, answer) = oneshot::channel();
        callers.submit(|| questions.try_send((13, sender)).unwrap(), |_| ());
        assert!(answer.await.is_err());
        assert_eq!(dropped.load(SeqCst), 1);
    }
}
