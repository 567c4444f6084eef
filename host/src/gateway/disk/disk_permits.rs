//! How many steps for one folder are at its disk at a time.

use std::io;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// A disk that hangs must not take all of the threads that wait for disks and for the names of hosts: tokio has 512.
const AT_DISK: usize = 32;

/// The right to be at the disk.
#[derive(Debug, Clone)]
pub(in crate::gateway) struct DiskPermits(Arc<Semaphore>);

impl DiskPermits {
    pub(in crate::gateway) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_DISK)))
    }

    /// Does `work` on a thread that may wait, as soon as there is room at the disk. If the future is dropped, work that
    /// has begun goes on, and keeps its place until its end.
    pub(in crate::gateway) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let permit = Arc::clone(&self.0).acquire_owned().await.map_err(io::Error::other)?;
        let done = spawn_blocking(move || {
            let _at_disk = permit;
            work()
        });
        done.await.map_err(io::Error::other)?
    }
}
