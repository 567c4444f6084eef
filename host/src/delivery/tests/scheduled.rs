//! Schedules over the real store, with a clock that stands still while anything is under way. No test waits by itself:
//! each is driven by the firings alone, so that time never passes for another reason.

use super::*;
use crate::delivery::event_log::EventLog;
use crate::delivery::{Fire, NamedSchedule, ScheduledWork, Schedules, WallClock};
use crate::schedule::{MissedRule, Recurrence};
use crate::state::tests::doubtful::doubtful_store;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// 2026-11-28, 02:59:30.
const START: u64 = 1_795_834_770_000;

/// Answers calls with what a test has prepared, and tells it the time of each.
struct Bell {
    clock: WallClock,
    rings: mpsc::Sender<u64>,
    /// What the next calls do: how long each takes, and how it ends.
    ends: Mutex<Vec<(u64, TryEnd)>>,
    running: Mutex<usize>,
}

impl Fire for Bell {
    async fn fire(&self, service: &ServiceName, at: usize, payload: Option<&str>) -> TryEnd {
        assert_eq!((service.as_str(), at, payload), ("reports", 3, None));
        *self.running.lock().unwrap() += 1;
        assert_eq!(*self.running.lock().unwrap(), 1, "never two at once");
        let now = (self.clock)();
        let next = self.ends.lock().unwrap().pop();
        let end = match next {
            Some((millis, end)) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                end
            }
            None => TryEnd::Handled,
        };
        *self.running.lock().unwrap() -= 1;
        let _ = self.rings.try_send(now - START);
        end
    }
}

struct Tower {
    store: Store,
    clock: WallClock,
    bell: Arc<Bell>,
    rings: mpsc::Receiver<u64>,
}

/// The time, on the paused clock of tokio.
fn paused_clock() -> WallClock {
    let began = Instant::now();
    Arc::new(move || START + u64::try_from(began.elapsed().as_millis()).unwrap())
}

impl Tower {
    fn new(folder: &Path) -> Self {
        Self::on(store(folder))
    }

    fn on(store: Store) -> Self {
        let (clock, (rings, heard)) = (paused_clock(), mpsc::channel(64));
        let (ends, running) = (Mutex::default(), Mutex::default());
        let bell = Arc::new(Bell { clock: Arc::clone(&clock), rings, ends, running });
        Self { store, clock, bell, rings: heard }
    }

    fn start(&self, times: &Recurrence, missed: MissedRule, work: ScheduledWork) -> Schedules {
        let backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_millis(100) };
        let (name, text) = ("nightly".into(), String::new());
        let schedule = NamedSchedule { name, times: times.clone(), text, missed, tries: 2, backoff, work };
        Schedules::start(&self.store, vec![schedule], &self.bell, &self.clock)
    }

    /// The next ring, in milliseconds since [`START`], in whole tenths of a second.
    async fn ring(&mut self) -> u64 {
        self.rings.recv().await.unwrap() / 100 * 100
    }

    fn prepare(&self, ends: &[(u64, TryEnd)]) {
        *self.bell.ends.lock().unwrap() = ends.iter().rev().cloned().collect();
    }
}

/// Stops once nothing is under way. Until then it never lets the runtime rest: the paused clock would jump to the end
/// of the stop's patience while a commit is on its way to the disk.
async fn stop(schedules: &Schedules, settled: u64) {
    loop {
        let report = &schedules.report()[0];
        if report.done + report.given_up >= settled && report.under_way.is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    schedules.stop(TIMEOUT).await;
}

fn call() -> ScheduledWork {
    let service = ServiceName::new("reports").unwrap();
    ScheduledWork::Call { service, at: 3, function: "nightly".into(), payload: None }
}

fn every(seconds: u64) -> Recurrence {
    Recurrence::every(Duration::from_secs(seconds))
}

fn failed() -> TryEnd {
    TryEnd::Failed("no".into())
}

#[tokio::test(start_paused = true)]
async fn cron_and_intervals_fire_at_their_times_and_go_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut tower = Tower::new(folder.path());
    let nightly = Recurrence::cron("0 3 * * *", "UTC").unwrap();
    let schedules = tower.start(&nightly, MissedRule::Skip, call());
    assert_eq!((tower.ring().await, tower.ring().await), (30_000, 86_430_000));
    stop(&schedules, 2).await;
    let report = &schedules.report()[0];
    assert_eq!((report.done, report.failures, report.skipped), (2, 0, 0));
    // The next start does not fire again what has fired.
    let schedules = tower.start(&every(60), MissedRule::Latest, call());
    assert_eq!(tower.ring().await, 86_490_000);
    stop(&schedules, 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_while_the_host_was_away_follows_the_rule() {
    for (rule, rings, skipped) in [
        (MissedRule::Latest, vec![40_000, 40_000, 50_000], 1),
        (MissedRule::All, vec![40_000, 40_000, 40_000, 50_000], 0),
        (MissedRule::Skip, vec![40_000, 50_000], 2),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut tower = Tower::new(folder.path());
        let schedules = tower.start(&every(10), rule, call());
        assert_eq!((tower.ring().await, tower.ring().await), (10_000, 20_000));
        stop(&schedules, 2).await;
        // 30 s and 40 s pass while nobody keeps the times.
        tokio::time::advance(Duration::from_millis(20_500)).await;
        let schedules = tower.start(&every(10), rule, call());
        let mut heard = Vec::new();
        while heard.last() != Some(&50_000) {
            heard.push(tower.ring().await);
        }
        let late = heard.len() - 1;
        assert_eq!(late, rings.len() - 2, "{rule:?}: {heard:?}");
        stop(&schedules, heard.len() as u64).await;
        assert_eq!(schedules.report()[0].skipped, skipped, "{rule:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_firing_that_takes_long_is_never_joined_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let mut tower = Tower::new(folder.path());
    tower.prepare(&[(25_000, TryEnd::Handled)]);
    let schedules = tower.start(&every(10), MissedRule::Latest, call());
    // It begins at 10 s and ends at 35 s: 30 s fires late, 20 s never.
    assert_eq!((tower.ring().await, tower.ring().await, tower.ring().await), (10_000, 35_000, 40_000));
    stop(&schedules, 3).await;
    assert_eq!(schedules.report()[0].skipped, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_is_tried_again_and_given_up_and_one_that_cannot_be_made_waits() {
    let folder = tempfile::tempdir().unwrap();
    let mut tower = Tower::new(folder.path());
    let away = || (0, TryEnd::NotNow("away".into()));
    tower.prepare(&[(0, failed()), away(), away(), (0, failed()), away(), (0, TryEnd::Handled)]);
    let schedules = tower.start(&every(3600), MissedRule::All, call());
    let mut rings = Vec::new();
    for _ in 0..6 {
        rings.push(tower.ring().await);
    }
    // 03:00 has two failures, 04:00 is done; neither is lost while the service is away.
    assert!(rings[..4].iter().all(|ring| (30_000..35_000).contains(ring)), "{rings:?}");
    assert!(rings[4..].iter().all(|ring| (3_630_000..3_635_000).contains(ring)), "{rings:?}");
    stop(&schedules, 2).await;
    let report = &schedules.report()[0];
    assert_eq!((report.done, report.failures, report.given_up), (1, 2, 1));
    assert_eq!(report.last.as_ref().map(|last| (last.due, last.error.clone())), Some((START + 3_630_000, None)));
}

#[tokio::test(start_paused = true)]
async fn an_event_is_published_once_for_each_due_time() {
    let folder = tempfile::tempdir().unwrap();
    let (tower, topic, script) = (Tower::new(folder.path()), week(), Arc::new(Script::default()));
    let deliveries = start(&tower.store, &topic, quick(), &script).await;
    let (news, mut published) = mpsc::channel(64);
    let heard = week();
    heard.on_publish(move || news.try_send(()).expect("the test listens"));
    let work = ScheduledWork::Publish {
        topic: Arc::clone(&heard),
        key: Some("k".into()),
        payload: r#"{"kind":"tick"}"#.into(),
    };
    let schedules = tower.start(&every(10), MissedRule::Latest, work);
    for _ in 0..3 {
        published.recv().await.unwrap();
    }
    stop(&schedules, 1).await;
    let page = deliveries.events("orders.placed", 0, 10).await.unwrap();
    let records: Vec<_> = page.events.into_iter().map(|event| event.record.unwrap()).collect();
    assert!(records.len() >= 3 && records.iter().all(|record| record.source == "schedule nightly"), "{records:?}");
    assert_eq!((records[0].payload.as_str(), records[0].key.as_deref()), (r#"{"kind":"tick"}"#, Some("k")));
    assert!(records.is_sorted_by(|a, b| a.time / 10_000 < b.time / 10_000), "{records:?}");
    deliveries.stop(TIMEOUT).await;
}

#[tokio::test(start_paused = true)]
async fn a_time_that_failed_and_is_passed_by_a_newer_one_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut tower = Tower::new(folder.path());
    tower.prepare(&[(12_000, failed()), (12_000, failed()), (0, TryEnd::Handled)]);
    let schedules = tower.start(&every(10), MissedRule::Latest, call());
    // The time of 10 s has failed at 22 s, that of 20 s at 34 s; then a newer one is due.
    assert_eq!((tower.ring().await, tower.ring().await, tower.ring().await), (10_000, 22_000, 34_000));
    stop(&schedules, 3).await;
    let report = &schedules.report()[0];
    assert_eq!((report.done, report.failures, report.given_up, report.skipped), (1, 2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_commit_is_in_doubt_is_published_once() {
    let folder = tempfile::tempdir().unwrap();
    let (store, doubts) = doubtful_store(folder.path());
    let (tower, topic) = (Tower::on(store), week());
    let (news, mut told) = mpsc::channel(64);
    topic.on_publish(move || news.try_send(()).expect("the test listens"));
    let work = ScheduledWork::Publish { topic: Arc::clone(&topic), key: None, payload: "{}".into() };
    let schedules = tower.start(&every(10), MissedRule::All, work);
    told.recv().await.unwrap();
    // The second event is on disk, and the answer is that the disk has failed: deliveries look, and it is found there.
    doubts.store(1, Ordering::Relaxed);
    for _ in 0..3 {
        told.recv().await.unwrap();
    }
    stop(&schedules, 3).await;
    let page = EventLog::embedded(&tower.store, &topic).after(0, 10).await.unwrap();
    let times: Vec<_> =
        page.events.iter().map(|event| (event.record.as_ref().unwrap().time - START) / 10_000).collect();
    assert_eq!((times, topic.last()), (vec![1, 2, 3], 3));
}
