//! The queue of an instance that is kept: callers put jobs in, and the instance takes them out.
//!
//! Each request passes through one, so it does no more than it must: one lock that nobody holds for long, and no
//! semaphore, since a caller that finds the queue full goes to another instance.

use super::job::Job;
use crate::runtime::lock::lock;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// What the two ends of a queue share.
#[derive(Default)]
struct JobQueue {
    jobs: VecDeque<Job>,
    /// The most jobs that may wait.
    most: usize,
    /// No more jobs will come.
    ended: bool,
    /// Nobody takes jobs any more.
    closed: bool,
    /// The instance, while it waits for a job.
    waiting: Option<Waker>,
}

/// The callers' end. No more jobs come once it is dropped.
pub(super) struct JobIntake(Arc<Mutex<JobQueue>>);

/// The instance's end. Jobs that it has not taken are dropped with it, so that their callers learn that no answer will
/// come.
pub(super) struct JobFeed(Arc<Mutex<JobQueue>>);

/// A queue in which at most `most` jobs wait.
pub(super) fn job_queue(most: usize) -> (JobIntake, JobFeed) {
    let queue = Arc::new(Mutex::new(JobQueue { most, ..JobQueue::default() }));
    (JobIntake(Arc::clone(&queue)), JobFeed(queue))
}

impl JobIntake {
    /// Puts `job` in, and wakes the instance. The job comes back if the queue is full, or the instance takes no more.
    #[expect(clippy::result_large_err, reason = "no error: the job comes back, to be submitted to another instance")]
    pub(super) fn submit(&self, job: Job) -> Result<(), Job> {
        let waiting = {
            let mut queue = lock(&self.0);
            if queue.closed || queue.jobs.len() >= queue.most {
                return Err(job);
            }
            queue.jobs.push_back(job);
            queue.waiting.take()
        };
        if let Some(instance) = waiting {
            instance.wake();
        }
        Ok(())
    }
}

impl Drop for JobIntake {
    fn drop(&mut self) {
        let waiting = {
            let mut queue = lock(&self.0);
            queue.ended = true;
            queue.waiting.take()
        };
        if let Some(instance) = waiting {
            instance.wake();
        }
    }
}

impl JobFeed {
    /// Takes the next job, when there is one; `None` when no more will come.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Job>> {
        let mut queue = lock(&self.0);
        // The queue is looked at and the waker left under one lock, so no job comes in between unseen.
        match queue.jobs.pop_front() {
            Some(job) => Poll::Ready(Some(job)),
            None if queue.ended => Poll::Ready(None),
            None => {
                match &mut queue.waiting {
                    Some(waiting) => waiting.clone_from(context.waker()),
                    none => *none = Some(context.waker().clone()),
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for JobFeed {
    fn drop(&mut self) {
        let left = {
            let mut queue = lock(&self.0);
            queue.closed = true;
            std::mem::take(&mut queue.jobs)
        };
        // Not under the lock: a job wakes its caller when it is dropped.
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{CallContext, RequestId};
    use crate::runtime::instance::job::{HttpAnswer, PendingAnswer, Work};
    use futures_util::FutureExt;
    use http_body_util::{BodyExt, Empty};
    use std::future::poll_fn;
    use std::time::{Duration, Instant};

    fn job(id: u128) -> (Job, PendingAnswer<HttpAnswer>) {
        let context = CallContext::new(RequestId::from_random(id), Instant::now(), Duration::from_secs(60));
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let (work, answer) = Work::request(http::Request::new(body));
        (Job { context, work }, answer)
    }

    fn id(job: &Job) -> &str {
        job.context.request_id.as_str()
    }

    #[tokio::test]
    async fn jobs_come_out_in_their_order_and_the_last_ones_after_the_end() {
        let (intake, mut feed) = job_queue(2);
        let (one, two, three) = (job(1).0, job(2).0, job(3).0);
        let ids = [id(&one).to_owned(), id(&two).to_owned()];
        assert!(intake.submit(one).is_ok() && intake.submit(two).is_ok());
        let back = intake.submit(three).unwrap_err();
        assert_eq!(id(&back), id(&job(3).0), "a full queue gives the job back");
        drop(intake);
        for expected in ids {
            assert_eq!(id(&poll_fn(|context| feed.poll_next(context)).await.unwrap()), expected);
        }
        assert!(poll_fn(|context| feed.poll_next(context)).await.is_none());
    }

    #[tokio::test]
    async fn a_waiting_instance_is_woken_by_a_job_and_by_the_end() {
        let (intake, mut feed) = job_queue(1);
        let taker = tokio::spawn(async move {
            let first = poll_fn(|context| feed.poll_next(context)).await.is_some();
            (first, poll_fn(|context| feed.poll_next(context)).await.is_some())
        });
        tokio::task::yield_now().await;
        assert!(intake.submit(job(1).0).is_ok());
        tokio::task::yield_now().await;
        drop(intake);
        assert_eq!(taker.await.unwrap(), (true, false));
    }

    #[test]
    fn an_instance_that_is_gone_takes_no_job_and_answers_none_that_it_has_not_taken() {
        let (intake, feed) = job_queue(2);
        let (left, answer) = job(1);
        assert!(intake.submit(left).is_ok());
        drop(feed);
        assert!(intake.submit(job(2).0).is_err());
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        let answer = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(async { answer.wait_until(deadline).now_or_never() });
        assert!(matches!(answer, Some(Ok(None))), "its caller learns at once that no answer will come");
    }
}
