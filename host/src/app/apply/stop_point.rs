//! Where a test ends the host, to see what a `kill -9` between two writes leaves.

use crate::archive::WriteHook;
use rustix::process::{Signal, getpid, kill_process};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What ends the host at the moment `at` of its writes, counted from 1: nothing is flushed, dropped or answered.
pub(super) fn stop_point(at: u64) -> WriteHook {
    tracing::warn!(at, "a test's kill switch is set: the host ends itself at a moment of its writes");
    let passed = AtomicU64::new(0);
    WriteHook::new(move || {
        if passed.fetch_add(1, Relaxed) + 1 == at {
            let killed = kill_process(getpid(), Signal::KILL);
            panic!("the host outlives its own kill: {killed:?}");
        }
    })
}
