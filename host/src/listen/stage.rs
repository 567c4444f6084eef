//! Where a connection stands between its requests, and how long it may stand there.
//!
//! hyper's own header timeout also covers the pause before a request, so it cannot tell a slow header section (10 s, answered) from an
//! idle connection (60 s, closed silently). The stages are therefore followed here: the socket reports bytes, the exchange reports that
//! a request was parsed and that it is over.

use super::Settings;
use futures_util::task::AtomicWaker;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its header section is being received, or it is new.
    Head = 0,
    /// A request was parsed, and its exchange is not over.
    Serving = 1,
    /// Its last exchange is over, and no byte of the next has come.
    Idle = 2,
}

/// The number of stage changes so far, and the stage, in one word: a change that is based on an older word is refused, so that the late end
/// of one exchange cannot end the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StageVersion(u64);

impl StageVersion {
    const FIRST: Self = Self(Stage::Head as u64);

    fn next(self, stage: Stage) -> Self {
        Self((((self.0 >> 2) + 1) << 2) | stage as u64)
    }

    fn stage(self) -> Stage {
        match self.0 & 3 {
            0 => Stage::Head,
            1 => Stage::Serving,
            _ => Stage::Idle,
        }
    }
}

/// The stage of one connection, shared by its socket, its exchanges and its timer.
#[derive(Debug)]
pub(super) struct Progress {
    turn: AtomicU64,
    timer: AtomicWaker,
    /// The connection's own task is at its exchanges, and will look at the timer when it has done what it can.
    busy: AtomicBool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { turn: AtomicU64::new(StageVersion::FIRST.0), timer: AtomicWaker::new(), busy: AtomicBool::new(false) }
    }

    fn turn(&self) -> StageVersion {
        StageVersion(self.turn.load(SeqCst))
    }

    fn change(&self, from: StageVersion, to: Stage) -> bool {
        self.turn.compare_exchange(from.0, from.next(to).0, SeqCst, SeqCst).is_ok()
    }

    /// Bytes have come from the peer: after a pause they begin a header section.
    pub(super) fn received(&self) {
        let turn = self.turn();
        if turn.stage() == Stage::Idle {
            self.change(turn, Stage::Head);
        }
    }

    /// The peer has taken bytes. hyper lets go of an answer when it has all of it in its buffer, which may be long before the peer has it:
    /// the pause between two requests begins with the last byte that was taken.
    pub(super) fn sent(&self) {
        let turn = self.turn();
        if turn.stage() == Stage::Idle {
            self.change(turn, Stage::Idle);
        }
    }

    /// A request was parsed. Returns the turn that [`Self::rest`] ends.
    pub(super) fn serve(&self) -> StageVersion {
        // Only the connection's own task comes here, but an older exchange may end on another task meanwhile: hence the loop.
        loop {
            let turn = self.turn();
            if self.change(turn, Stage::Serving) {
                return turn.next(Stage::Serving);
            }
        }
    }

    /// The exchange that began with `turn` is over; without effect if a later one has begun.
    pub(super) fn rest(&self, turn: StageVersion) {
        // The last to let go of an exchange may be a task of the service, so the connection's timer must be told. Its own task need not be:
        // either it finds the stage when it looks at the timer, or it has ceased to be busy before this looks (both are `SeqCst`).
        if self.change(turn, Stage::Idle) && !self.busy.load(SeqCst) {
            self.timer.wake();
        }
    }

    /// The connection's own task does `work`, and looks at the timer afterwards.
    pub(super) fn busy<T>(&self, work: impl FnOnce() -> T) -> T {
        self.busy.store(true, SeqCst);
        let done = work();
        self.busy.store(false, SeqCst);
        done
    }
}

/// The timer of a connection's stages.
pub(super) struct Patience {
    progress: Arc<Progress>,
    turn: StageVersion,
    /// When this turn has lasted long enough.
    end: Instant,
    /// Rings then, or earlier: it is set anew when it has rung, and not for each of the two turns of every request.
    sleep: Pin<Box<Sleep>>,
    header_timeout: Duration,
    idle_timeout: Duration,
}

impl Patience {
    pub(super) fn new(progress: Arc<Progress>, settings: &Settings) -> Self {
        Self {
            progress,
            turn: StageVersion::FIRST,
            end: Instant::now() + settings.header_timeout,
            sleep: Box::pin(sleep(settings.header_timeout)),
            header_timeout: settings.header_timeout,
            idle_timeout: settings.idle_timeout,
        }
    }

    /// Ready when the connection has stood longer in its stage than it may.
    pub(super) fn poll_exhausted(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // Registered before the turn is read: a change after the reading finds the waker.
        self.progress.timer.register(context.waker());
        let turn = self.progress.turn();
        let bound = match turn.stage() {
            Stage::Serving => return Poll::Pending,
            Stage::Head => self.header_timeout,
            Stage::Idle => self.idle_timeout,
        };
        if turn != self.turn {
            self.turn = turn;
            self.end = Instant::now() + bound;
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
        let progress = Progress::new();
        let first = progress.serve();
        let second = progress.serve();
        progress.rest(first);
        assert_eq!(progress.turn(), second);
        progress.received();
        assert_eq!(progress.turn().stage(), Stage::Serving);
        progress.rest(second);
        assert_eq!(progress.turn().stage(), Stage::Idle);
        progress.received();
        assert_eq!(progress.turn().stage(), Stage::Head);
    }

    #[tokio::test(start_paused = true)]
    async fn each_stage_has_its_own_bound() {
        let progress = Arc::new(Progress::new());
        let mut patience = Patience::new(progress.clone(), &settings());
        let began = Instant::now();
        poll_fn(|cx| patience.poll_exhausted(cx)).await;
        assert_eq!(began.elapsed().as_secs(), 10, "a new connection");

        let turn = progress.serve();
        let began = Instant::now();
        tokio::spawn({
            let progress = progress.clone();
            async move {
                sleep(Duration::from_secs(100)).await;
                progress.rest(turn);
            }
        });
        poll_fn(|cx| patience.poll_exhausted(cx)).await;
        assert_eq!(began.elapsed().as_secs(), 160, "served for 100 s, then idle");

        progress.rest(progress.serve());
        // As a connection's task does it: what it sends, it sends while it is polled.
        let began = Instant::now();
        let mut slow_reader = Some(Box::pin(sleep(Duration::from_secs(30))));
        poll_fn(|cx| {
            if slow_reader.as_mut().is_some_and(|reader| reader.as_mut().poll(cx).is_ready()) {
                slow_reader = None;
                progress.sent();
            }
            patience.poll_exhausted(cx)
        })
        .await;
        assert_eq!(began.elapsed().as_secs(), 90, "idle since the last byte was taken");
    }
}
