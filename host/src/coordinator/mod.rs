//! Floor 6: sagas at work.
//!
//! Owns the journal of every saga (in a bucket of `state`), the task of each saga that has not ended, the calls of its
//! steps, the events that it waits for, its lock, and what operators decide about sagas.
//!
//! What always holds:
//! - An entry is on disk before anything follows from it: a start before it is acknowledged, a step's beginning before
//!   its action is called, a turn before the first compensation.
//! - The commit of a turn writes a tombstone, and each commit by an action of the saga demands that there is none
//!   (`base/commit_guard.rs`). So an action that is late, since its answer was lost or its call was cut off, changes
//!   nothing that its compensation does not see.
//! - An event begins at most one saga of a definition: the note of it is in the commit of the start.
//! - A wait is ended by the first event that fits, of those since the saga began, whether it came before the wait or
//!   after it. No event goes from a topic that a saga on its way to its pivot may still ask for.
//! - Of the sagas with one lock one goes on at a time, until it has ended or its time is over.
//! - One task works on a saga. After a restart it goes on where the journal ends.
//! - A start whose commit is in doubt is looked for until the store says whether it is there; until then it has its
//!   place, its lock and its events.
//! - A compensation is never cut off by a deadline or an operator, and never given up: it is tried until it succeeds,
//!   or waits for a person.
//! - How many sagas there are, how long their journals are, and how many steps are called at once is bounded.
//!
//! Never: decides what comes next (`saga` does), knows how a call is made (the mesh does).
//!
//! Tests: `tests/`, with services of their own over the real store.

mod driver;
mod error;
mod event_inbox;
mod journal;
mod live_saga;
mod lock_table;
mod pending_start;
mod performer;
mod plan;
mod recovery;
mod saga_coordinator;
mod start_key;
mod started_saga;
mod status;
#[cfg(test)]
mod tests;
mod topic_log;
mod topic_tail;
mod unix_time;
mod wait_end;

pub use error::SagaError;
pub use journal::SagaJournal;
pub use live_saga::SagaOrder;
pub use lock_table::LockHolder;
pub use performer::{CallEnd, MeshPerformer, Perform, PlannedCall};
pub use plan::{SagaPlan, SagaSettings, StepTargets};
pub use saga_coordinator::Coordinator;
pub use start_key::SagaStarter;
pub use started_saga::StartedSaga;
pub use status::{LockStatus, SagaCounts, SagaStatus, StepStatus};
pub use topic_log::{TopicEvent, TopicFuture, TopicLog, WaitedTopic};
