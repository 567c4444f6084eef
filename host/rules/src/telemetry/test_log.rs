//! A log for one test, beside tests on other threads.

use std::sync::OnceLock;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Subscriber};

/// Makes `subscriber` that of this thread until the guard is dropped. The test must stay on its thread.
///
/// While a process has a single subscriber, tracing-core 0.1.36 asks only the thread that reaches a place of the code
/// first whether its lines are wanted (`Rebuilder::JustOne` in its `callsite.rs`). If a test beside this one was first,
/// the place would be silent here, too. So there is a second subscriber, which wants nothing.
pub fn log_of_this_thread(subscriber: impl Subscriber + Send + Sync) -> DefaultGuard {
    static SECOND: OnceLock<Dispatch> = OnceLock::new();
    SECOND.get_or_init(|| Dispatch::new(NoSubscriber::default()));
    tracing::subscriber::set_default(subscriber)
}
