//! The pace at which a peer takes answers.

use super::least_rate::LeastRate;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// Why a peer is too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlowReader {
    /// It took no byte for the write timeout.
    Silent,
    /// It was below the least rate for a whole window.
    Slow,
}

/// The pace at which a peer takes answers. Only the time counts in which a write waits for the peer.
pub(super) struct AnswerPace {
    rate: LeastRate,
    /// How long the peer may take no byte.
    write_timeout: Duration,
    /// The bytes that the kernel has taken from the host.
    written: u64,
    /// `None` until a write first waits, and after a window that had its bytes.
    window: Option<Box<AnswerWindow>>,
}

struct AnswerWindow {
    /// How long writes have waited before the wait that runs now.
    waited: Duration,
    /// When the wait that runs now began.
    since: Option<Instant>,
    /// When the peer was last seen to take a byte, or the wait began.
    quiet_since: Instant,
    /// `written` when the window began.
    written: u64,
    /// The bytes that the peer had taken when the window began, and when it was last looked at.
    taken: Option<(u64, u64)>,
    timer: Pin<Box<Sleep>>,
}

impl AnswerPace {
    pub(super) fn new(rate: LeastRate, write_timeout: Duration) -> Self {
        Self { rate, write_timeout, written: 0, window: None }
    }

    /// Notes bytes that the kernel has taken. It takes them when the peer has made room.
    pub(super) fn wrote(&mut self, count: usize) {
        self.written += count as u64;
        let Some(window) = &mut self.window else { return };
        if let Some(since) = window.since.take() {
            window.waited += since.elapsed();
        }
        if self.written - window.written >= self.rate.least {
            self.window = None;
        }
    }

    /// Polled while a write waits. Ready when the peer is too slow.
    ///
    /// `unsent`: the bytes in the kernel that the peer has not taken, where the system tells. Without them no rate can
    /// be seen: the kernel takes bytes from the host in lumps, of a megabyte perhaps, and long after the peer has made
    /// the room. Then only a peer that takes nothing at all is too slow.
    pub(super) fn poll_slow(
        &mut self,
        context: &mut Context<'_>,
        unsent: impl Fn() -> Option<u64>,
    ) -> Poll<SlowReader> {
        let Self { rate, write_timeout, written, .. } = *self;
        let taken = || unsent().map(|unsent| written.saturating_sub(unsent));
        let window = self.window.get_or_insert_with(|| Box::new(AnswerWindow::begin(written, taken())));
        if window.since.is_none() {
            let now = Instant::now();
            (window.since, window.quiet_since) = (Some(now), now);
            window.set_timer(rate, write_timeout);
        }
        loop {
            ready!(window.timer.as_mut().poll(context));
            if let Some(slow) = window.review(Instant::now(), written, taken(), rate, write_timeout) {
                return Poll::Ready(slow);
            }
            window.set_timer(rate, write_timeout);
        }
    }
}

impl AnswerWindow {
    fn begin(written: u64, taken: Option<u64>) -> Self {
        Self {
            waited: Duration::ZERO,
            since: None,
            quiet_since: Instant::now(),
            written,
            taken: taken.map(|taken| (taken, taken)),
            timer: Box::pin(sleep(Duration::ZERO)),
        }
    }

    /// When the wait that runs now will have filled the window; `None` if no rate is asked for, or none can be seen.
    fn end(&self, LeastRate { least, grace }: LeastRate) -> Option<Instant> {
        let since = self.since.filter(|_| least > 0 && self.taken.is_some())?;
        Some(since + grace.saturating_sub(self.waited))
    }

    fn set_timer(&mut self, rate: LeastRate, write_timeout: Duration) {
        let quiet = self.quiet_since + write_timeout;
        let next = self.end(rate).map_or(quiet, |end| end.min(quiet));
        self.timer.as_mut().reset(next);
    }

    /// Looks at what the peer has `taken` until `now`, and begins the next window after one that had its bytes.
    fn review(
        &mut self,
        now: Instant,
        written: u64,
        taken: Option<u64>,
        rate: LeastRate,
        write_timeout: Duration,
    ) -> Option<SlowReader> {
        if let (Some((_, last)), Some(taken)) = (&mut self.taken, taken)
            && taken > *last
        {
            (*last, self.quiet_since) = (taken, now);
        }
        if now.duration_since(self.quiet_since) >= write_timeout {
            return Some(SlowReader::Silent);
        }
        if self.end(rate).is_some_and(|end| now >= end)
            && let Some((first, last)) = &mut self.taken
        {
            if *last - *first < rate.least {
                return Some(SlowReader::Slow);
            }
            (*first, self.written, self.waited, self.since) = (*last, written, Duration::ZERO, Some(now));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    const SECOND: Duration = Duration::from_secs(1);
    /// What the kernel has taken from the host, and the peer not yet from the kernel.
    const QUEUED: u64 = 1 << 20;

    /// How many seconds a write may wait for a peer that takes `bytes` each second, and how that ends. `told`: whether
    /// the system tells what the peer has taken.
    async fn ended(rate: u64, bytes: u64, told: bool) -> (u64, SlowReader) {
        let mut pace = AnswerPace::new(LeastRate::new(rate, 5 * SECOND), 60 * SECOND);
        pace.wrote(1 << 20);
        let began = Instant::now();
        let unsent = || told.then(|| QUEUED.saturating_sub(began.elapsed().as_secs() * bytes));
        let end = poll_fn(|context| pace.poll_slow(context, unsent)).await;
        (began.elapsed().as_secs(), end)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_below_the_rate_lasts_for_one_window_and_another_for_as_long_as_there_are_bytes() {
        let cases = [
            (240, 0, true, (5, SlowReader::Slow)),
            (240, 1, true, (5, SlowReader::Slow)),
            (240, 239, true, (5, SlowReader::Slow)),
            // It takes the megabyte within 1,049 s, and then nothing in the last of the windows.
            (240, 1000, true, (1055, SlowReader::Slow)),
            (0, 0, true, (60, SlowReader::Silent)),
            // It takes the last byte within 1,049 s, which is seen at the next look.
            (0, 1000, true, (1140, SlowReader::Silent)),
            (240, 0, false, (60, SlowReader::Silent)),
        ];
        for (rate, bytes, told, end) in cases {
            assert_eq!(ended(rate, bytes, told).await, end, "{rate} {bytes} {told}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_time_counts_in_which_a_write_waits() {
        let mut pace = AnswerPace::new(LeastRate::new(240, 5 * SECOND), 60 * SECOND);
        for _ in 0..100 {
            let mut waits = Box::pin(poll_fn(|context| pace.poll_slow(context, || Some(0))));
            assert!(tokio::time::timeout(SECOND / 25, &mut waits).await.is_err());
            drop(waits);
            pace.wrote(1);
            // A stream that is quiet.
            tokio::time::sleep(3600 * SECOND).await;
        }
    }
}
