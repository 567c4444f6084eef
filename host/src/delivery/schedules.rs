//! All schedules of the host: what starts and stops their tasks, and what operators ask of them.

use super::handler::Fire;
use super::schedule::{FiringEnd, NamedSchedule};
use super::timekeeper::{ScheduleStatus, Timekeeper};
use crate::state::Store;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Tells the time, in milliseconds since 1970. It may jump.
pub type WallClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The clock of the machine.
pub fn wall_clock() -> WallClock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// A schedule as operators see it.
#[derive(Debug, Clone)]
pub struct ScheduleReport {
    /// The schedule.
    pub schedule: Arc<NamedSchedule>,
    /// The next due time, in milliseconds since 1970; `None`: there is none, or it is not known yet.
    pub next: Option<u64>,
    /// The due time that is under way, or waits for its next try.
    pub under_way: Option<u64>,
    /// How the last due time ended since the start.
    pub last: Option<FiringEnd>,
    /// Due times whose work was done since the start.
    pub done: u64,
    /// Tries that failed since the start.
    pub failures: u64,
    /// Due times that were given up since the start.
    pub given_up: u64,
    /// Due times that were missed and do not fire, since the start.
    pub skipped: u64,
}

/// The schedules of the host.
pub struct Schedules {
    all: Vec<(Arc<NamedSchedule>, Arc<Mutex<ScheduleStatus>>)>,
    stop: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
}

impl Schedules {
    /// Begins to keep the times.
    pub fn start<F: Fire>(store: &Store, schedules: Vec<NamedSchedule>, fire: &Arc<F>, clock: &WallClock) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (mut tasks, mut all) = (JoinSet::new(), Vec::new());
        for schedule in schedules {
            let (schedule, status) = (Arc::new(schedule), Arc::default());
            let timekeeper = Timekeeper {
                bucket: store.bucket(&schedule.bucket()),
                schedule: Arc::clone(&schedule),
                fire: Arc::clone(fire),
                clock: Arc::clone(clock),
                stop: stopped.clone(),
                status: Arc::clone(&status),
            };
            tasks.spawn(timekeeper.run());
            all.push((schedule, status));
        }
        Self { all, stop, tasks: Mutex::new(tasks) }
    }

    /// Begins nothing more, and waits until what is under way has ended and is on disk, for `within` at most. What is
    /// cut off is done again at the next start.
    pub async fn stop(&self, within: Duration) {
        let _ = self.stop.send(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = timeout(within, async { while tasks.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!(target: "delivery", "calls of schedules were cut off: the next start makes them again");
        }
    }

    /// Every schedule, in the order of the manifest.
    pub fn report(&self) -> Vec<ScheduleReport> {
        let report = |(schedule, status): &(Arc<NamedSchedule>, Arc<Mutex<ScheduleStatus>>)| {
            let status = status.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let ScheduleStatus { next, under_way, last, done, failures, given_up, skipped } = status;
            let schedule = Arc::clone(schedule);
            ScheduleReport { schedule, next, under_way, last, done, failures, given_up, skipped }
        };
        self.all.iter().map(report).collect()
    }
}
