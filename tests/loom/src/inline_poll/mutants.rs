//! Mutants of the inline-poll protocol: copies of it with one place changed. Each of them loses a race that the changed
//! line wins in the host.
//!
//! `build.rs` reads this table. For each mutant it copies the host's source, changes the one place, and writes a test,
//! which passes if the model that the mutant names fails with the copy. If you change the protocol, change its mutants
//! too: the test of a mutant whose line is not found fails.

/// A changed copy of the protocol.
pub(crate) struct Mutant {
    /// What is wrong with the copy; the name of its module.
    pub(crate) name: &'static str,
    /// The lines in the host's source that are changed: whole lines, without comments and indentation. They must be
    /// there exactly once; otherwise the test fails.
    pub(crate) original: &'static str,
    /// The lines that replace them in the copy.
    pub(crate) mutated: &'static str,
    /// The model in `models.rs` that fails.
    pub(crate) caught_by: &'static str,
    /// A part of the failure's text.
    pub(crate) failure: &'static str,
}

/// Somebody sleeps for ever: loom's text.
const LOST_WAKE: &str = "deadlock";
/// The text of `models.rs`.
const NOT_DROPPED: &str = "the future is dropped once";

const TASK_STARTS: &str = "a_job_that_a_caller_submits_while_the_task_starts_is_done";
const CALLER_FINDS_THE_END: &str = "the_task_ends_when_a_caller_finds_the_end";
const TASK_SLEEPS: &str = "a_wake_during_an_inline_poll_reaches_the_sleeping_task";
const BETWEEN_POLLS: &str = "a_wake_by_the_caller_between_two_polls_reaches_the_task";
const ABORT: &str = "an_abort_while_a_caller_polls_drops_the_future";

const WAKE: &str = "self.woken.swap(true, AcqRel);";
const TAKE: &str = "self.woken.swap(false, Acquire)";
const LAST_TAKE: &str = "if self.take_wake() || ended {";
const FIRST_TAKE: &str = "self.take_wake();\nlet ended = poll_once(running, &mut context);";
const LAST_STEPS: &str = "\
self.being_polled.store(false, Relaxed);
drop(future);
fence(SeqCst);
if self.aborted.load(Relaxed) {
self.abort();
}
if self.take_wake() || ended {
self.task.wake();
}";
const ABORT_STEPS: &str = "\
self.aborted.store(true, Relaxed);
fence(SeqCst);
if let Ok(mut future) = self.future.try_lock() {
*future = None;
}";

pub(crate) const MUTANTS: [Mutant; 18] = [
    // `wake_by_ref`
    Mutant {
        name: "a_wake_stores",
        original: WAKE,
        mutated: "self.woken.store(true, std::sync::atomic::Ordering::Release);",
        caught_by: TASK_SLEEPS,
        failure: LOST_WAKE,
    },
    Mutant {
        name: "a_wake_does_not_acquire",
        original: WAKE,
        mutated: "self.woken.swap(true, std::sync::atomic::Ordering::Release);",
        caught_by: TASK_SLEEPS,
        failure: LOST_WAKE,
    },
    Mutant {
        name: "a_wake_does_not_release",
        original: WAKE,
        mutated: "self.woken.swap(true, Acquire);",
        caught_by: TASK_SLEEPS,
        failure: LOST_WAKE,
    },
    // `take_wake`
    Mutant {
        name: "a_take_does_not_acquire",
        original: TAKE,
        mutated: "self.woken.swap(false, Relaxed)",
        caught_by: TASK_SLEEPS,
        failure: LOST_WAKE,
    },
    Mutant {
        name: "a_take_loads_and_then_stores",
        original: TAKE,
        mutated: "\
let woken = self.woken.load(Acquire);
self.woken.store(false, std::sync::atomic::Ordering::Release);
woken",
        caught_by: TASK_SLEEPS,
        failure: LOST_WAKE,
    },
    // `poll`
    Mutant {
        name: "a_refused_poll_leaves_no_wake",
        original: "let enqueued = enqueue();\nself.wake_by_ref();",
        mutated: "let enqueued = enqueue();",
        caught_by: BETWEEN_POLLS,
        failure: LOST_WAKE,
    },
    Mutant {
        name: "a_wake_is_taken_after_the_poll_and_not_before",
        original: FIRST_TAKE,
        mutated: "let ended = poll_once(running, &mut context);\nself.take_wake();",
        caught_by: TASK_SLEEPS,
        failure: LOST_WAKE,
    },
    Mutant {
        name: "being_polled_is_never_cleared",
        original: "self.being_polled.store(false, Relaxed);",
        mutated: "",
        caught_by: TASK_SLEEPS,
        failure: LOST_WAKE,
    },
    Mutant {
        name: "being_polled_is_cleared_after_the_last_take",
        original: LAST_STEPS,
        mutated: "\
drop(future);
fence(SeqCst);
if self.aborted.load(Relaxed) {
self.abort();
}
if self.take_wake() || ended {
self.task.wake();
}
self.being_polled.store(false, Relaxed);",
        caught_by: TASK_SLEEPS,
        failure: LOST_WAKE,
    },
    Mutant {
        name: "no_fence_after_the_unlock_loses_an_abort",
        original: "drop(future);\nfence(SeqCst);",
        mutated: "drop(future);",
        caught_by: ABORT,
        failure: NOT_DROPPED,
    },
    Mutant {
        name: "no_fence_after_the_unlock_loses_a_wake",
        original: "drop(future);\nfence(SeqCst);",
        mutated: "drop(future);",
        caught_by: TASK_SLEEPS,
        failure: LOST_WAKE,
    },
    Mutant {
        name: "aborted_is_not_read_after_the_unlock",
        original: "if self.aborted.load(Relaxed) {\nself.abort();\n}",
        mutated: "",
        caught_by: ABORT,
        failure: NOT_DROPPED,
    },
    Mutant {
        name: "the_last_take_is_missing",
        original: LAST_TAKE,
        mutated: "if ended {",
        caught_by: TASK_SLEEPS,
        failure: LOST_WAKE,
    },
    Mutant {
        name: "the_last_take_only_loads",
        original: LAST_TAKE,
        mutated: "if self.woken.load(Acquire) || ended {",
        caught_by: TASK_SLEEPS,
        failure: LOST_WAKE,
    },
    Mutant {
        name: "the_end_does_not_wake_the_task",
        original: LAST_TAKE,
        mutated: "if self.take_wake() {",
        caught_by: CALLER_FINDS_THE_END,
        failure: LOST_WAKE,
    },
    // `OwnerTask::poll`
    Mutant {
        name: "the_task_registers_after_its_poll",
        original: "self.0.task.register(context.waker());\nself.0.poll(1, || (), |_| ()).1",
        mutated: "let polled = self.0.poll(1, || (), |_| ()).1;\nself.0.task.register(context.waker());\npolled",
        caught_by: TASK_STARTS,
        failure: LOST_WAKE,
    },
    // `abort`
    Mutant {
        name: "no_fence_in_abort",
        original: "self.aborted.store(true, Relaxed);\nfence(SeqCst);",
        mutated: "self.aborted.store(true, Relaxed);",
        caught_by: ABORT,
        failure: NOT_DROPPED,
    },
    Mutant {
        name: "aborted_is_set_after_the_lock_was_tried",
        original: ABORT_STEPS,
        mutated: "\
if let Ok(mut future) = self.future.try_lock() {
*future = None;
}
self.aborted.store(true, Relaxed);
fence(SeqCst);",
        caught_by: ABORT,
        failure: NOT_DROPPED,
    },
];
