//! The stage of a connection, and how long it may last.
//!
//! hyper's own header timeout also covers the pause before a request, so it cannot distinguish a slow header section
//! (10 s, answered with 408) from an idle connection (60 s, closed silently). The stages are therefore tracked here:
//! the socket reports bytes, and the exchange reports that a request was parsed and that it has ended. (hyper discusses
//! a timeout of its own for idle connections in hyperium/hyper#3185 and #3828.)

use super::settings::Settings;
use futures_util::task::AtomicWaker;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// The stage of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// A header section is being received.
    Head = 0,
    /// A request was parsed, and its exchange has not ended.
    Serving = 1,
    /// The connection is new, or the last exchange has ended; no byte of the next request has arrived.
    Idle = 2,
    /// It was idle, and is closed to make room for a new connection, unless a byte of a request has arrived.
    Closing = 3,
}

/// The stage, and the number of stage changes so far, in one word. A change that is based on an older word is refused,
/// so that the late end of one exchange cannot end the next exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StageVersion(u64);

impl StageVersion {
    /// That of a new connection: it is idle, and makes room, until it sends a byte of a request.
    const FIRST: Self = Self(Stage::Idle as u64);

    fn next(self, stage: Stage) -> Self {
        Self((((self.0 >> 2) + 1) << 2) | stage as u64)
    }

    fn stage(self) -> Stage {
        match self.0 & 3 {
            0 => Stage::Head,
            1 => Stage::Serving,
            2 => Stage::Idle,
            _ => Stage::Closing,
        }
    }
}

/// The stage of one connection, shared by its socket, its exchanges and its timer.
#[derive(Debug)]
pub(super) struct StageTracker {
    /// A [`StageVersion`].
    version: AtomicU64,
    /// Wakes the task that polls the [`StageTimer`]: the connection's own task.
    timer: AtomicWaker,
    /// Whether the connection's own task is inside of [`Self::busy`]: it polls its exchanges now, and its
    /// [`StageTimer`] right afterwards. So a stage change in the meantime need not wake this task for the timer.
    busy: AtomicBool,
    began: Instant,
    /// When the connection last became idle: nanoseconds since `began`, when it was accepted.
    idle_since: AtomicU64,
    /// The version that `idle_since` belongs to. The timer stores it after the time, when it is first polled in a new
    /// version; until then the time is that of an earlier pause.
    idle_version: AtomicU64,
    /// Whether bytes of an answer wait until the peer takes them. hyper drops an answer's body, and so ends the
    /// exchange, once all of the body is in hyper's buffer.
    write_waits: AtomicBool,
}

impl StageTracker {
    pub(super) fn new() -> Self {
        Self {
            version: AtomicU64::new(StageVersion::FIRST.0),
            timer: AtomicWaker::new(),
            busy: AtomicBool::new(false),
            began: Instant::now(),
            idle_since: AtomicU64::new(0),
            idle_version: AtomicU64::new(StageVersion::FIRST.0),
            write_waits: AtomicBool::new(false),
        }
    }

    /// Since when the connection is idle, if it is, and the version that [`Self::make_room`] takes. A connection whose
    /// answer is still being sent is not idle.
    pub(super) fn idle(&self) -> Option<(Instant, StageVersion)> {
        let version = self.version();
        let known = self.idle_version.load(SeqCst) == version.0;
        let since = self.began + Duration::from_nanos(self.idle_since.load(SeqCst));
        (version.stage() == Stage::Idle && known && !self.write_waits()).then_some((since, version))
    }

    /// Reports whether bytes of an answer wait until the peer takes them.
    pub(super) fn set_write_waits(&self, waits: bool) {
        // Only the connection's own task stores, and a load is cheaper than a store that changes nothing.
        if self.write_waits() != waits {
            self.write_waits.store(waits, SeqCst);
        }
    }

    /// Whether bytes of an answer wait: an end of the connection would cut the answer off.
    pub(super) fn write_waits(&self) -> bool {
        self.write_waits.load(SeqCst)
    }

    /// Has the connection closed, if it is idle still.
    pub(super) fn make_room(&self, version: StageVersion) {
        if self.change(version, Stage::Closing) {
            self.timer.wake();
        }
    }

    fn version(&self) -> StageVersion {
        StageVersion(self.version.load(SeqCst))
    }

    /// Changes the stage to `to`, unless another thread has changed the stage since `from` was read. Returns whether
    /// the stage was changed.
    fn change(&self, from: StageVersion, to: Stage) -> bool {
        self.version.compare_exchange(from.0, from.next(to).0, SeqCst, SeqCst).is_ok()
    }

    /// Whether an exchange runs.
    pub(super) fn is_serving(&self) -> bool {
        self.version().stage() == Stage::Serving
    }

    /// Reports bytes from the peer: on an idle connection they begin a header section.
    pub(super) fn received(&self) {
        let version = self.version();
        if matches!(version.stage(), Stage::Idle | Stage::Closing) {
            self.change(version, Stage::Head);
        }
    }

    /// Reports bytes that the peer has taken. hyper drops an answer's body, and so ends the exchange, once all of the
    /// body is in hyper's buffer. The peer may take it much later. So the idle timeout starts again whenever the peer
    /// takes bytes.
    pub(super) fn sent(&self) {
        let version = self.version();
        if version.stage() == Stage::Idle {
            self.change(version, Stage::Idle);
        }
    }

    /// Reports that a request was parsed. Returns the version that [`Self::rest`] takes when the exchange ends.
    pub(super) fn serve(&self) -> StageVersion {
        // A loop, because an older exchange may end at the same time on another task (`rest`) and so make the change
        // fail. No other call of `serve` can interfere: only the connection's own task calls it.
        loop {
            let version = self.version();
            if self.change(version, Stage::Serving) {
                return version.next(Stage::Serving);
            }
        }
    }

    /// Reports that the exchange that began with `version` has ended. It has no effect if a later exchange has begun.
    pub(super) fn rest(&self, version: StageVersion) {
        // The last reference to an exchange may be dropped by a task of the service. The connection's task must then be
        // woken, or its timer would never begin the idle timeout. The wake is not needed while that task is busy: it
        // polls the timer afterwards. This races with `busy`, which clears the flag and then polls the timer. Both
        // sides are `SeqCst`, so either this reads the cleared flag and wakes, or the poll of the timer reads the
        // changed stage.
        if self.change(version, Stage::Idle) && !self.busy.load(SeqCst) {
            self.timer.wake();
        }
    }

    /// Does `work` on the connection's own task, which must poll the timer afterwards. While `work` runs, the end of an
    /// exchange does not wake this task.
    pub(super) fn busy<T>(&self, work: impl FnOnce() -> T) -> T {
        self.busy.store(true, SeqCst);
        let done = work();
        self.busy.store(false, SeqCst);
        done
    }
}

/// The timer of a connection's stages.
pub(super) struct StageTimer {
    tracker: Arc<StageTracker>,
    /// The version that `end` was set for.
    version: StageVersion,
    /// When the stage of this version will have lasted for its bound.
    end: Instant,
    /// Ends at `end` or earlier. If it ends earlier, it is reset to `end` then. That is cheaper than a reset at each
    /// stage change, of which every request has at least two.
    sleep: Pin<Box<Sleep>>,
    header_timeout: Duration,
    idle_timeout: Duration,
}

impl StageTimer {
    pub(super) fn new(tracker: Arc<StageTracker>, settings: &Settings) -> Self {
        Self {
            tracker,
            version: StageVersion::FIRST,
            end: Instant::now() + settings.header_timeout,
            sleep: Box::pin(sleep(settings.header_timeout)),
            header_timeout: settings.header_timeout,
            idle_timeout: settings.idle_timeout,
        }
    }

    /// Ready when the connection makes room for a new one, whatever the bound of its stage.
    pub(super) fn poll_made_room(&self, context: &mut Context<'_>) -> Poll<()> {
        // As in `poll_expired`: first register, then read.
        self.tracker.timer.register(context.waker());
        if self.tracker.version().stage() == Stage::Closing { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The stage that it watches.
    pub(super) fn tracker(&self) -> Arc<StageTracker> {
        Arc::clone(&self.tracker)
    }

    /// When the connection was last seen to become idle.
    pub(super) fn idle_since(&self) -> Instant {
        self.tracker.began + Duration::from_nanos(self.tracker.idle_since.load(SeqCst))
    }

    /// Ready when the stage has lasted longer than its bound.
    pub(super) fn poll_expired(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // Register before reading the version: a change (`rest`) after the read then finds the waker. In the other
        // order, a change between the two would wake nobody, and the idle timeout would not begin.
        self.tracker.timer.register(context.waker());
        let version = self.tracker.version();
        let bound = match version.stage() {
            Stage::Serving => return Poll::Pending,
            // The bound is that of the write (`AnswerPace`). Its last byte changes the version (`sent`).
            Stage::Idle if self.tracker.write_waits() => return Poll::Pending,
            Stage::Head => self.header_timeout,
            // A new connection wants to send a request, so it may be idle for less long.
            Stage::Idle if version == StageVersion::FIRST => self.header_timeout,
            Stage::Idle => self.idle_timeout,
            Stage::Closing => return Poll::Ready(()),
        };
        if version != self.version {
            let now = Instant::now();
            if version.stage() == Stage::Idle {
                let since = u64::try_from((now - self.tracker.began).as_nanos()).unwrap_or(u64::MAX);
                self.tracker.idle_since.store(since, SeqCst);
                self.tracker.idle_version.store(version.0, SeqCst);
            }
            self.version = version;
            self.end = now + bound;
            if self.end < self.sleep.deadline() {
                self.sleep.as_mut().reset(self.end);
            }
        }
        ready!(self.sleep.as_mut().poll(context));
        if self.end > self.sleep.deadline() {
            self.sleep.as_mut().reset(self.end);
            return self.sleep.as_mut().poll(context);
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    fn settings() -> Settings {
        Settings {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            ..Settings::default()
        }
    }

    #[test]
    fn the_late_end_of_one_exchange_does_not_end_the_next() {
        let tracker = StageTracker::new();
        let first = tracker.serve();
        let second = tracker.serve();
        tracker.rest(first);
        assert_eq!(tracker.version(), second);
        tracker.received();
        assert_eq!(tracker.version().stage(), Stage::Serving);
        tracker.rest(second);
        assert_eq!(tracker.version().stage(), Stage::Idle);
        tracker.received();
        assert_eq!(tracker.version().stage(), Stage::Head);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_answer_waits_for_its_peer_is_not_idle() {
        let tracker = Arc::new(StageTracker::new());
        let mut timer = StageTimer::new(tracker.clone(), &settings());
        tracker.rest(tracker.serve());
        tracker.set_write_waits(true);
        let expired = tokio::time::timeout(Duration::from_secs(600), poll_fn(|cx| timer.poll_expired(cx))).await;
        assert!(expired.is_err(), "the bound is that of the write");
        assert!(tracker.idle().is_none());
        tracker.sent();
        tracker.set_write_waits(false);
        let began = Instant::now();
        poll_fn(|cx| timer.poll_expired(cx)).await;
        assert_eq!(began.elapsed().as_secs(), 60);
        assert!(tracker.idle().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_just_answered_is_not_idle_since_its_last_pause() {
        let tracker = Arc::new(StageTracker::new());
        let mut timer = StageTimer::new(tracker.clone(), &settings());
        let mut idle_after_poll = || {
            assert!(timer.poll_expired(&mut Context::from_waker(std::task::Waker::noop())).is_pending());
            tracker.idle().expect("it is idle").0.elapsed()
        };
        tracker.rest(tracker.serve());
        assert_eq!(idle_after_poll(), Duration::ZERO);
        sleep(Duration::from_secs(30)).await;
        assert_eq!(idle_after_poll().as_secs(), 30);
        tracker.rest(tracker.serve());
        assert!(tracker.idle().is_none(), "the timer does not know yet that it answered");
        assert_eq!(idle_after_poll(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn each_stage_has_its_own_bound() {
        let tracker = Arc::new(StageTracker::new());
        let mut timer = StageTimer::new(tracker.clone(), &settings());
        let began = Instant::now();
        poll_fn(|cx| timer.poll_expired(cx)).await;
        assert_eq!(began.elapsed().as_secs(), 10, "a new connection");

        let exchange = tracker.serve();
        let began = Instant::now();
        tokio::spawn({
            let tracker = tracker.clone();
            async move {
                sleep(Duration::from_secs(100)).await;
                tracker.rest(exchange);
            }
        });
        poll_fn(|cx| timer.poll_expired(cx)).await;
        assert_eq!(began.elapsed().as_secs(), 160, "served for 100 s, then idle");

        tracker.rest(tracker.serve());
        // As in a connection's task, bytes are sent within the poll.
        let began = Instant::now();
        let mut slow_reader = Some(Box::pin(sleep(Duration::from_secs(30))));
        poll_fn(|cx| {
            if slow_reader.as_mut().is_some_and(|reader| reader.as_mut().poll(cx).is_ready()) {
                slow_reader = None;
                tracker.sent();
            }
            timer.poll_expired(cx)
        })
        .await;
        assert_eq!(began.elapsed().as_secs(), 90, "idle since the peer took the last byte");
    }
}
