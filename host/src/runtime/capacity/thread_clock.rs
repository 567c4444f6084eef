//! The processor time of a thread.

use rustix::time::{ClockId, clock_gettime};

/// The thread's processor time in nanoseconds.
pub(super) fn thread_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).expect("the processor time of a thread is never negative")
}
