//! The commits that wait for the one writer of a database, and their answers.

use super::backend_future::BackendFuture;
use super::error::StateError;
use super::fair_queue::{FairQueue, LaneBound, PushError};
use super::transaction::{Committed, Transaction, limit};
use crate::base::ServiceName;
use tokio::sync::oneshot;

/// The cost in bytes of a waiting commit on top of its own size, so that the number of small commits is bounded too.
const COMMIT_COST: usize = 1024;

/// A batch takes no further commit beyond this many bytes: a longer sync would delay the next batch for longer than it
/// saves.
const BATCH_BYTES: usize = 4 * limit::BYTES;

/// A queue of commits, with a bound for each service.
pub(super) struct CommitQueue {
    queue: FairQueue<CommitJob>,
    max_batch: usize,
}

/// A commit that waits for the writer, and the channel for its answer.
struct CommitJob {
    transaction: Transaction,
    answer: oneshot::Sender<Result<Committed, StateError>>,
}

/// Commits that are written together.
pub(super) struct WaitingCommits {
    /// At least one.
    pub(super) batch: Vec<(ServiceName, Transaction)>,
    waiting: Vec<oneshot::Sender<Result<Committed, StateError>>>,
}

impl CommitQueue {
    /// An empty queue. `bound`: the most bytes of one service's commits that wait; `max_batch`: the most commits that
    /// are written together.
    pub(super) fn new(bound: usize, max_batch: usize) -> Self {
        Self { queue: FairQueue::new(bound), max_batch }
    }

    /// Has the writer commit `transaction`.
    pub(super) fn commit<'a>(
        &'a self,
        bucket: &'a ServiceName,
        transaction: Transaction,
        bound: LaneBound,
    ) -> BackendFuture<'a, Committed> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let cost = transaction.size() + COMMIT_COST;
            let pushed = self.queue.push(bucket, CommitJob { transaction, answer }, cost, bound);
            pushed.map_err(|refused| match refused {
                PushError::Full => StateError::Overloaded,
                PushError::Closed => StateError::Closed,
            })?;
            answered.await.unwrap_or(Err(StateError::Closed))
        })
    }

    /// Waits for commits, and takes those that wait. `None` once the queue is closed and empty. Blocks.
    pub(super) fn take(&self) -> Option<WaitingCommits> {
        loop {
            let jobs = self.queue.take(self.max_batch, BATCH_BYTES)?;
            let (mut batch, mut waiting) = (Vec::with_capacity(jobs.len()), Vec::with_capacity(jobs.len()));
            // A closed channel means that the caller's deadline passed or the client went away: such a commit is not
            // written.
            for (bucket, job) in jobs.into_iter().filter(|(_, job)| !job.answer.is_closed()) {
                batch.push((bucket, job.transaction));
                waiting.push(job.answer);
            }
            if !batch.is_empty() {
                return Some(WaitingCommits { batch, waiting });
            }
        }
    }

    /// Refuses further commits. Those that wait are still taken.
    pub(super) fn close(&self) {
        self.queue.close();
    }
}

impl WaitingCommits {
    /// The batch, and what takes one answer for each of its transactions.
    pub(super) fn split(self) -> (Vec<(ServiceName, Transaction)>, CommitAnswers) {
        (self.batch, CommitAnswers(self.waiting))
    }
}

/// The callers that wait for their answers, in the order of the batch.
pub(super) struct CommitAnswers(Vec<oneshot::Sender<Result<Committed, StateError>>>);

impl CommitAnswers {
    /// Answers each. A caller may have gone away in the meantime. Its commit is on disk all the same.
    pub(super) fn send(self, answers: Vec<Result<Committed, StateError>>) {
        for (answer, channel) in answers.into_iter().zip(self.0) {
            let _ = channel.send(answer);
        }
    }
}
