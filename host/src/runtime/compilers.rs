//! The threads that compile: there as long as something is compiled, and gone with all the memory that they keep for their next allocation.
//!
//! Left to itself the engine compiles in threads of the process that never end. What the compiler had allocated there stayed with them: three times
//! what the idle shop needs.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// One thread for each core, shared by all who compile at a time.
#[derive(Default)]
pub(super) struct Compilers(Mutex<Weak<ThreadPool>>);

impl Compilers {
    /// Does `work` in these threads. Where none can be started it is done here, and slower.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match self.pool() {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    fn pool(&self) -> Option<Arc<ThreadPool>> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = shared.upgrade() {
            return Some(pool);
        }
        let pool = ThreadPoolBuilder::new().thread_name(|number| format!("compiler-{number}")).build().ok()?;
        let pool = Arc::new(pool);
        *shared = Arc::downgrade(&pool);
        Some(pool)
    }
}
