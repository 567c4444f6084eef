//! Threads that let others go first.

/// Gives this thread a niceness (Linux: 0 is that of all threads, 19 the highest; elsewhere a thread has none of its
/// own). Without others that want the same core it changes nothing.
pub(super) fn yield_to_others(niceness: i32) {
    // An error means that a sandbox forbids the call: then the thread has the priority of all.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), niceness);
    #[cfg(not(target_os = "linux"))]
    let _ = niceness;
}
