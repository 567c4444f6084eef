//! The threads that compile. They end when nothing is left to compile, and the memory that they keep for their next
//! allocation goes too.
//!
//! Without this, the engine compiles in threads of the process that never end. What the compiler had allocated stayed
//! with those threads: three times what the idle shop needs.

use crate::runtime::lock::lock;
use crate::runtime::niceness::yield_to_others;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::{Arc, Mutex, Weak};

/// The niceness of these threads. For 10 the kernel gives a thread a ninth of what it gives one of niceness 0 on the
/// same core, and a third of what a guest's computing gets (`sched_prio_to_weight` in `kernel/sched/core.c`: 110 of
/// 1024, and of 335): requests are answered as if nothing was compiled, and a host whose cores are all in use still
/// ends a compilation.
const NICENESS: i32 = 10;

/// One thread for each core, shared by all compilations that are under way.
#[derive(Default)]
pub(super) struct Compilers(Mutex<Weak<ThreadPool>>);

impl Compilers {
    /// Does `work` in these threads. If no thread can be started, the calling thread does it, which is slower.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match self.pool() {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    fn pool(&self) -> Option<Arc<ThreadPool>> {
        let mut shared = lock(&self.0);
        if let Some(pool) = shared.upgrade() {
            return Some(pool);
        }
        let named = ThreadPoolBuilder::new().thread_name(|number| format!("compiler-{number}"));
        let pool = named.start_handler(|_| yield_to_others(NICENESS)).build().ok()?;
        let pool = Arc::new(pool);
        *shared = Arc::downgrade(&pool);
        Some(pool)
    }
}
