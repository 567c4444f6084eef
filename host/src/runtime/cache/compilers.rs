//! The threads that compile. They end when nothing is left to compile, and the memory that they keep for their next
//! allocation goes too.
//!
//! Without this, the engine compiles in threads of the process that never end. What the compiler had allocated stayed
//! with those threads: three times what the idle shop needs.

use crate::runtime::lock::lock;
use crate::runtime::niceness::yield_to_others;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::thread::available_parallelism;

/// The niceness of these threads. For 10 the kernel gives a thread a ninth of what it gives one of niceness 0 on the
/// same core, and a third of what a guest's computing gets (`sched_prio_to_weight` in `kernel/sched/core.c`: 110 of
/// 1024, and of 335): requests are answered as if nothing was compiled, and a host whose cores are all in use still
/// ends a compilation.
const NICENESS: i32 = 10;

/// The threads, shared by all compilations that are under way: one for each core while the host starts, and one less
/// from then on.
#[derive(Default)]
pub(super) struct Compilers {
    shared: Mutex<Weak<ThreadPool>>,
    beside_traffic: AtomicBool,
}

impl Compilers {
    /// Leaves a core to those who call, from the next compilation on. Under full load niceness is not enough: each
    /// thread that compiles takes its slice on some core before a request gets it back.
    pub(super) fn leave_a_core(&self) {
        self.beside_traffic.store(true, Relaxed);
    }

    /// Does `work` in these threads. If no thread can be started, the calling thread does it, which is slower.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match self.pool() {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    fn pool(&self) -> Option<Arc<ThreadPool>> {
        let mut shared = lock(&self.shared);
        if let Some(pool) = shared.upgrade() {
            return Some(pool);
        }
        let threads = self.threads(available_parallelism().map_or(1, usize::from));
        let named = ThreadPoolBuilder::new().num_threads(threads).thread_name(|number| format!("compiler-{number}"));
        let pool = named.start_handler(|_| yield_to_others(NICENESS)).build().ok()?;
        let pool = Arc::new(pool);
        *shared = Arc::downgrade(&pool);
        Some(pool)
    }

    /// How many there are of so many cores.
    fn threads(&self, cores: usize) -> usize {
        if self.beside_traffic.load(Relaxed) { cores.saturating_sub(1).max(1) } else { cores }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_serves_keeps_a_core_for_those_who_call() {
        let compilers = Compilers::default();
        assert_eq!([1, 2, 8].map(|cores| compilers.threads(cores)), [1, 2, 8]);
        compilers.leave_a_core();
        assert_eq!([1, 2, 8].map(|cores| compilers.threads(cores)), [1, 1, 7]);
        let compiling = compilers.run(rayon::current_num_threads);
        assert_eq!(compiling, compilers.threads(available_parallelism().map_or(1, usize::from)));
    }
}
