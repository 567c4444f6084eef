//! The least rates at which a peer sends a request's body and takes an answer.
//!
//! Only the time counts in which the host waits for the peer: a service that reads slowly, or a stream that is quiet,
//! makes no peer slow. That time is cut into windows as long as the grace period, and each window needs its bytes. An
//! average since the beginning would let a peer that began fast be as slow as it likes for minutes.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

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
        Self { rate, window: None }
    }

    /// Notes bytes that have arrived.
    pub(super) fn received(&mut self, count: usize) {
        let Some(window) = &mut self.window else { return };
        window.bytes += count as u64;
        if let Some(since) = window.since.take() {
            window.waited += since.elapsed();
        }
        if window.bytes >= self.rate.least {
            self.window = None;
        }
    }

    /// Polled while the host waits for the peer. Ready when the peer was too slow for too long.
    pub(super) fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let LeastRate { least, grace } = self.rate;
        if least == 0 {
            return Poll::Pending;
        }
        let new = || {
            let timer = Box::pin(sleep(grace));
            Box::new(UploadWindow { waited: Duration::ZERO, since: Some(Instant::now()), bytes: 0, timer })
        };
        let window = self.window.get_or_insert_with(new);
        if window.since.is_none() {
            let now = Instant::now();
            window.since = Some(now);
            window.timer.as_mut().reset(now + grace.saturating_sub(window.waited));
        }
        // A window that had its bytes is gone, so this one had too few.
        window.timer.as_mut().poll(context)
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
}
