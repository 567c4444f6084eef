//! The idle connections to one address or host.

use super::http_connection::HttpConnection;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{MissedTickBehavior, interval};

/// The most idle connections that are kept. A further one is closed.
const MOST_IDLE: usize = 256;
/// How often connections are closed that lay idle for too long, or that the server has closed.
const ROUND: Duration = Duration::from_secs(10);
/// How many rounds an idle connection is kept: up to a minute, which is less than the minute and more after which
/// servers close theirs (nginx 75 s).
const ROUNDS: u32 = 6;
/// The most shelves. More threads share them.
const MOST_SHELVES: usize = 16;

/// Idle connections, one shelf for each worker thread. A thread takes the connection that it put back last: what that
/// connection touches is still in the processor's cache. If its own shelf is empty it looks at the others.
pub(super) struct ConnectionPool {
    shelves: Box<[Shelf]>,
    /// How many rounds have gone by.
    round: AtomicU32,
    /// Whether the task that goes its rounds has begun.
    swept: AtomicBool,
}

/// A line of the processor's cache each: threads do not slow each other down.
#[repr(align(64))]
struct Shelf {
    /// The last one put back is the last one here.
    idle: Mutex<Vec<IdleConnection>>,
    /// How many there are, to be read without the lock.
    count: AtomicUsize,
}

struct IdleConnection {
    connection: HttpConnection,
    /// The round in which it was put back.
    since: u32,
}

impl ConnectionPool {
    pub(super) fn new() -> Arc<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let shelf = || Shelf { idle: Mutex::default(), count: AtomicUsize::new(0) };
        let shelves = std::iter::repeat_with(shelf).take(threads.min(MOST_SHELVES)).collect();
        Arc::new(Self { shelves, round: AtomicU32::new(0), swept: AtomicBool::new(false) })
    }

    /// The idle connection that is most probably still open: the one that was put back last, if this thread put one
    /// back.
    pub(super) fn take(&self) -> Option<HttpConnection> {
        self.nearest_first().find_map(Shelf::take)
    }

    /// Keeps an idle connection for the next request. One that has ended is dropped.
    pub(super) fn put(self: &Arc<Self>, mut connection: HttpConnection) {
        connection.reused = true;
        if connection.forget_task().is_ready() || !connection.is_idle() {
            return;
        }
        let mut idle = IdleConnection { connection, since: self.round.load(Relaxed) };
        let most = MOST_IDLE / self.shelves.len();
        for shelf in self.nearest_first() {
            match shelf.put(idle, most) {
                Ok(()) => return self.ensure_swept(),
                Err(back) => idle = back,
            }
        }
        idle.connection.close();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shelves.iter().map(|shelf| shelf.count.load(Relaxed)).sum()
    }

    /// All shelves, that of this thread first.
    fn nearest_first(&self) -> impl Iterator<Item = &Shelf> {
        let (before, from) = self.shelves.split_at(seat() % self.shelves.len());
        from.iter().chain(before)
    }

    /// Begins the rounds, once. They end with the pool.
    fn ensure_swept(self: &Arc<Self>) {
        if self.swept.load(Relaxed) || self.swept.swap(true, Relaxed) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            self.swept.store(false, Relaxed);
            return;
        };
        let pool = Arc::downgrade(self);
        runtime.spawn(async move {
            let mut rounds = interval(ROUND);
            rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first tick comes at once.
            rounds.tick().await;
            loop {
                rounds.tick().await;
                match pool.upgrade() {
                    Some(pool) => pool.sweep(),
                    None => return,
                }
            }
        });
    }

    /// Closes what lay idle for too long, and what the server has closed: no descriptor stays open for nothing.
    pub(super) fn sweep(&self) {
        let now = self.round.fetch_add(1, Relaxed).wrapping_add(1);
        for shelf in &self.shelves {
            for idle in shelf.take_old(now) {
                idle.connection.close();
            }
        }
        self.drop_ended();
    }

    pub(super) fn drop_ended(&self) {
        self.shelves.iter().for_each(Shelf::drop_ended);
    }
}

impl Shelf {
    fn take(&self) -> Option<HttpConnection> {
        if self.count.load(Relaxed) == 0 {
            return None;
        }
        let mut idle = self.lock();
        let taken = idle.pop();
        self.count.store(idle.len(), Relaxed);
        taken.map(|idle| idle.connection)
    }

    /// Puts a connection on the shelf, or gives it back if the shelf holds `most` already.
    fn put(&self, connection: IdleConnection, most: usize) -> Result<(), IdleConnection> {
        let mut idle = self.lock();
        if idle.len() >= most {
            return Err(connection);
        }
        idle.push(connection);
        self.count.store(idle.len(), Relaxed);
        Ok(())
    }

    /// Takes out what has lain here for too long by the round `now`.
    fn take_old(&self, now: u32) -> Vec<IdleConnection> {
        let mut idle = self.lock();
        let old = idle.extract_if(.., |idle| now.wrapping_sub(idle.since) >= ROUNDS).collect();
        self.count.store(idle.len(), Relaxed);
        old
    }

    fn drop_ended(&self) {
        let mut idle = self.lock();
        idle.retain_mut(|idle| idle.connection.poll_unheard().is_pending());
        self.count.store(idle.len(), Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<IdleConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number for this thread. Threads that begin one after the other have different shelves.
fn seat() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SEAT: Cell<Option<usize>> = const { Cell::new(None) };
    }
    SEAT.with(|seat| {
        seat.get().unwrap_or_else(|| {
            let next = NEXT.fetch_add(1, Relaxed);
            seat.set(Some(next));
            next
        })
    })
}
