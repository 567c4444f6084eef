//! The protocol of inline polling under loom, and its mutants.
//!
//! `models.rs` has the properties of the protocol, each as a model. `sync.rs` has loom's types for the protocol: locks,
//! flags and wakers. `docs/inline-poll.md` explains the protocol and the models.

mod models;
mod sync;

use std::pin::Pin;

// The same source as in `build.rs`.
#[path = "../../../../host/src/runtime/instance/inline_poll/protocol.rs"]
mod host;
protocol!(host);

/// The mutants, as `build.rs` has written them.
mod mutants {
    include!(concat!(env!("OUT_DIR"), "/mutants.rs"));
}

/// The protocol as the models use it: the host's, or a mutant.
trait Protocol: Clone + 'static {
    /// The callers' handle on `future`, and its task.
    fn new(future: Pin<Box<dyn Future<Output = ()> + Send>>) -> (Self, Pin<Box<dyn Future<Output = ()>>>);

    fn submit_and(&self, enqueue: impl FnOnce(), after_each_poll: impl FnMut());

    fn submit(&self, enqueue: impl FnOnce()) {
        self.submit_and(enqueue, || ());
    }
}

/// Implements `Protocol` for a copy of the host's source: a macro, since each copy has a type of its own.
macro_rules! protocol {
    ($copy:ident) => {
        impl $crate::inline_poll::Protocol for $copy::InlinePoll {
            fn new(
                future: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
            ) -> (Self, std::pin::Pin<Box<dyn Future<Output = ()>>>) {
                let (callers, task) = Self::new(future);
                (callers, Box::pin(task))
            }

            fn submit_and(&self, enqueue: impl FnOnce(), mut after_each_poll: impl FnMut()) {
                self.submit(enqueue, |_| after_each_poll());
            }
        }
    };
}
use protocol;

#[test]
fn a_job_that_a_caller_submits_while_the_task_starts_is_done() {
    models::a_job_that_a_caller_submits_while_the_task_starts_is_done::<host::InlinePoll>();
}

#[test]
fn the_task_ends_when_a_caller_finds_the_end() {
    models::the_task_ends_when_a_caller_finds_the_end::<host::InlinePoll>();
}

#[test]
fn jobs_that_two_callers_submit_at_once_are_both_done() {
    models::jobs_that_two_callers_submit_at_once_are_both_done::<host::InlinePoll>();
}

#[test]
fn a_wake_during_an_inline_poll_reaches_the_sleeping_task() {
    models::a_wake_during_an_inline_poll_reaches_the_sleeping_task::<host::InlinePoll>();
}

#[test]
fn a_wake_while_the_task_and_a_caller_poll_reaches_one_of_them() {
    models::a_wake_while_the_task_and_a_caller_poll_reaches_one_of_them::<host::InlinePoll>();
}

#[test]
fn a_wake_by_the_caller_between_two_polls_reaches_the_task() {
    models::a_wake_by_the_caller_between_two_polls_reaches_the_task::<host::InlinePoll>();
}

#[test]
fn an_abort_while_a_caller_polls_drops_the_future() {
    models::an_abort_while_a_caller_polls_drops_the_future::<host::InlinePoll>();
}

#[test]
fn an_abort_while_two_callers_poll_drops_the_future() {
    models::an_abort_while_two_callers_poll_drops_the_future::<host::InlinePoll>();
}

#[test]
fn an_abort_while_the_future_ends_drops_it_once() {
    models::an_abort_while_the_future_ends_drops_it_once::<host::InlinePoll>();
}
