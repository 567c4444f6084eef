//! The least rates at which a peer sends a request's body and takes an answer.
//!
//! Only the time counts in which the host waits for the peer: a service that reads slowly, or a stream that is quiet,
//! makes no peer slow. That time is cut into windows as long as the grace period, and each window needs its bytes. An
//! average since the beginning would let a peer that began fast be as slow as it likes for minutes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// Whoever waits for the peer polls within this time after the end of a window, also on a busy machine.
const AWAY: Duration = Duration::from_secs(1);

/// A least rate, and how long a peer may be below it.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeastRate {
    /// Bytes in each window; 0 if any rate is good enough.
    pub(super) least: u64,
    /// How long a window is.
    pub(super) grace: Duration,
}

impl LeastRate {
    /// At least `rate` bytes a second, over each `grace`. 0: any rate is good enough.
    pub(super) fn new(rate: u64, grace: Duration) -> Self {
        let bytes = u128::from(rate) * grace.as_millis() / 1000;
        let least = if rate == 0 { 0 } else { u64::try_from(bytes).unwrap_or(u64::MAX).max(1) };
        Self { least, grace }
    }
}

/// The pace at which the body of a request arrives.
pub(super) struct UploadPace {
    rate: LeastRate,
    /// `None` until the host first waits for the peer, and after a window that had its bytes.
    window: Option<Box<UploadWindow>>,
    /// The bytes that have arrived since the host last began to wait: the peer's last burst.
    burst: u64,
    /// The bytes that count in the next window from its beginning on, fewer than a window needs. A window begins right
    /// after a burst. If that burst counted nowhere, a peer that sends in bursts would have to be faster than the rate.
    before: u64,
}

struct UploadWindow {
    /// How long the host has waited before the wait that runs now.
    waited: Duration,
    /// When the wait that runs now began.
    since: Option<Instant>,
    bytes: u64,
    timer: Pin<Box<Sleep>>,
}

impl UploadPace {
    pub(super) fn new(rate: LeastRate) -> Self {
        Self { rate, window: None, burst: 0, before: 0 }
    }

    /// Notes bytes that have arrived.
    pub(super) fn received(&mut self, count: usize) {
        let LeastRate { least, grace } = self.rate;
        self.burst = self.burst.saturating_add(count as u64);
        // What is too much for the end of one window counts in the next, up to a burst; but a burst that fills a window
        // by itself does not, or a fast beginning would be of use later.
        let Some(window) = &mut self.window else {
            self.before = self.before.saturating_add(count as u64);
            if self.before >= least {
                self.before = 0;
            }
            return;
        };
        window.bytes = window.bytes.saturating_add(count as u64);
        if let Some(since) = window.since.take() {
            window.waited += since.elapsed();
        }
        if window.waited >= grace {
            // The timer would have ended this wait, had the host waited all the time.
            (self.before, self.window) = (0, None);
        } else if window.bytes >= least {
            let due = u128::from(least) * window.waited.as_nanos() / grace.as_nanos().max(1);
            let beyond = window.bytes.saturating_sub(u64::try_from(due).unwrap_or(u64::MAX));
            let before = beyond.min(self.burst);
            (self.before, self.window) = (if before < least { before } else { 0 }, None);
        }
    }

    /// Polled while the host waits for the peer. Ready when the peer was too slow for too long.
    pub(super) fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let LeastRate { least, grace } = self.rate;
        if least == 0 {
            return Poll::Pending;
        }
        if self.window.as_ref().is_none_or(|window| window.since.is_none()) {
            self.burst = 0;
        }
        let before = self.before;
        let new = || {
            let timer = Box::pin(sleep(grace));
            Box::new(UploadWindow { waited: Duration::ZERO, since: Some(Instant::now()), bytes: before, timer })
        };
        let window = self.window.get_or_insert_with(new);
        if window.since.is_none() {
            let now = Instant::now();
            window.since = Some(now);
            window.timer.as_mut().reset(now + grace.saturating_sub(window.waited));
        }
        ready!(window.timer.as_mut().poll(context));
        // A window that had its bytes is gone, so this one had too few.
        if window.timer.deadline().elapsed() < AWAY {
            return Poll::Ready(());
        }
        // Nobody has polled when the timer ended: the service did something else. How long it waited for the peer
        // before, nobody knows, so the peer has a new window.
        (self.before, self.window) = (0, None);
        self.poll_too_slow(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::time::timeout;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_sends_less_than_the_rate_lasts_for_one_window() {
        // Bytes each second, and whether the peer lasts.
        for (bytes, lasts) in [(0, false), (1, false), (239, false), (300, true), (100_000, true)] {
            let mut pace = UploadPace::new(LeastRate::new(240, 5 * SECOND));
            // A fast beginning is of no use later.
            pace.received(1 << 20);
            let mut seconds = 0;
            while seconds < 100 {
                match timeout(SECOND, poll_fn(|context| pace.poll_too_slow(context))).await {
                    Ok(()) => break,
                    Err(_) => pace.received(bytes),
                }
                seconds += 1;
            }
            assert_eq!(seconds, if lasts { 100 } else { 4 }, "{bytes} bytes a second");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_reads_slowly_makes_no_peer_slow() {
        let mut pace = UploadPace::new(LeastRate::new(240, 5 * SECOND));
        for _ in 0..100 {
            assert!(timeout(SECOND / 25, poll_fn(|context| pace.poll_too_slow(context))).await.is_err());
            pace.received(1);
            tokio::time::sleep(3600 * SECOND).await;
        }
        let mut any = UploadPace::new(LeastRate::new(0, 5 * SECOND));
        assert!(timeout(3600 * SECOND, poll_fn(|context| any.poll_too_slow(context))).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_sends_bursts_above_the_rate_is_not_slow() {
        // The bytes of each burst, the milliseconds from one to the next, and whether that is enough (240 a second).
        for (bytes, pause, enough) in [(290, 1150, true), (900, 3700, true), (600, 4900, false), (270, 1150, false)] {
            let mut pace = UploadPace::new(LeastRate::new(240, 5 * SECOND));
            let mut bursts = 0;
            while bursts < 200 {
                pace.received(bytes);
                bursts += 1;
                let wait = poll_fn(|context| pace.poll_too_slow(context));
                if timeout(Duration::from_millis(pause), wait).await.is_ok() {
                    break;
                }
            }
            assert_eq!(bursts == 200, enough, "{bytes} bytes each {pause} ms: {bursts}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_goes_away_while_it_waits_makes_no_peer_slow() {
        let mut pace = UploadPace::new(LeastRate::new(240, 5 * SECOND));
        for _ in 0..10 {
            // It waits for a moment, does something else for an hour, and waits again: the peer has its window anew.
            assert!(timeout(SECOND, poll_fn(|context| pace.poll_too_slow(context))).await.is_err());
            tokio::time::sleep(3600 * SECOND).await;
            assert!(timeout(4 * SECOND, poll_fn(|context| pace.poll_too_slow(context))).await.is_err());
            pace.received(1200);
        }
        assert!(timeout(6 * SECOND, poll_fn(|context| pace.poll_too_slow(context))).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_is_busy_makes_no_peer_slow() {
        let mut pace = UploadPace::new(LeastRate::new(240, 5 * SECOND));
        for _ in 0..10 {
            // It begins to wait, does something else for an hour, and reads only then what came long ago.
            assert!(timeout(SECOND / 25, poll_fn(|context| pace.poll_too_slow(context))).await.is_err());
            tokio::time::sleep(3600 * SECOND).await;
            pace.received(1);
            assert!(timeout(4 * SECOND, poll_fn(|context| pace.poll_too_slow(context))).await.is_err());
            pace.received(1200);
        }
    }
}
