//! Which processors the load and the servers use.

use anyhow::Context;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// How long [`Pauses::now`] looks at each processor.
const LOOK: Duration = Duration::from_secs(2);

/// What is longer was a pause, and no interrupt.
const PAUSE: Duration = Duration::from_micros(200);

/// How many this program may use.
pub(crate) fn count() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// The number of the last one, which the load has.
pub(crate) fn last() -> usize {
    count() - 1
}

/// This thread, and all processes that it starts, keep off the last processor until this is dropped. On a machine that has no other it is
/// without effect.
#[derive(Debug)]
pub(crate) struct ButTheLast(CpuSet);

impl ButTheLast {
    /// Keeps off it.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(crate) fn keep() -> anyhow::Result<Self> {
        let before = sched_getaffinity(None).context("the processors of this program")?;
        let mut others = before;
        others.unset(last());
        if others.count() > 0 {
            sched_setaffinity(None, &others).context("a thread may choose its processors")?;
        }
        Ok(Self(before))
    }
}

impl Drop for ButTheLast {
    fn drop(&mut self) {
        let _ = sched_setaffinity(None, &self.0); // it was allowed before
    }
}

/// What a thread that does nothing but look at the clock is kept from: the kernel's own work, and other machines on the same processors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pauses {
    /// Of each 1,000, over all processors.
    share: f64,
    most: Duration,
}

impl Pauses {
    /// Looks at all processors, for two seconds.
    pub(crate) fn now() -> Self {
        let looks: Vec<_> = (0..count()).map(|processor| std::thread::spawn(move || look(processor))).collect();
        let looks: Vec<_> = looks.into_iter().filter_map(|look| look.join().ok()).collect();
        let sum: Duration = looks.iter().map(|(sum, _)| *sum).sum();
        let whole = LOOK.as_secs_f64() * looks.len().max(1) as f64;
        let most = looks.iter().map(|(_, most)| *most).max().unwrap_or_default();
        Self { share: sum.as_secs_f64() / whole * 1e3, most }
    }
}

impl std::fmt::Display for Pauses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} ms of a second, and for {:.1} ms at a time", self.share, self.most.as_secs_f64() * 1e3)
    }
}

/// The sum and the longest of the pauses on one processor.
fn look(processor: usize) -> (Duration, Duration) {
    let mut only = CpuSet::new();
    only.set(processor);
    let _ = sched_setaffinity(None, &only); // else it looks where it happens to be
    let (start, mut sum, mut most) = (Instant::now(), Duration::ZERO, Duration::ZERO);
    let mut before = start;
    while before.duration_since(start) < LOOK {
        let now = Instant::now();
        let pause = now - before;
        if pause > PAUSE {
            sum += pause;
            most = most.max(pause);
        }
        before = now;
    }
    (sum, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_is_kept_off_for_a_while() {
        let before = count();
        let kept = ButTheLast::keep().unwrap();
        assert_eq!(count(), (before - 1).max(1));
        drop(kept);
        assert_eq!(count(), before);
    }
}
