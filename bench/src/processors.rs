//! Which processors the load and the servers use.

use anyhow::Context;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long [`Pauses::now`] looks at each processor.
const LOOK: Duration = Duration::from_secs(2);

/// What is longer was a pause, and no interrupt.
const PAUSE: Duration = Duration::from_micros(200);

/// The processors that this program may use, as it began; there is one at least.
fn all() -> &'static [usize] {
    static ALL: OnceLock<Vec<usize>> = OnceLock::new();
    ALL.get_or_init(|| {
        let set = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
        let all: Vec<_> = (0..CpuSet::MAX_CPU).filter(|processor| set.is_set(*processor)).collect();
        if all.is_empty() { vec![0] } else { all }
    })
}

/// How many there are.
pub(crate) fn count() -> usize {
    all().len()
}

/// The last one, which the load has.
pub(crate) fn last() -> usize {
    all()[count() - 1]
}

/// The first so many, as `taskset` takes them.
pub(crate) fn first(count: usize) -> String {
    let first: Vec<_> = all().iter().take(count).map(usize::to_string).collect();
    first.join(",")
}

/// This thread, and all processes that it starts, keep off the last processor until this is dropped. On a machine that has no other it is
/// without effect. It stays on its thread.
#[derive(Debug)]
pub(crate) struct ButTheLast(PhantomData<*const ()>);

impl ButTheLast {
    /// Keeps off it.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(crate) fn keep() -> anyhow::Result<Self> {
        let others = all().split_last().map_or(all(), |(_, others)| others);
        use_only(if others.is_empty() { all() } else { others })?;
        Ok(Self(PhantomData))
    }
}

impl Drop for ButTheLast {
    fn drop(&mut self) {
        let _ = use_only(all()); // it was allowed before
    }
}

/// Lets this thread run on these alone.
fn use_only(processors: &[usize]) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    processors.iter().for_each(|processor| set.set(*processor));
    sched_setaffinity(None, &set).context("a thread may choose its processors")
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
        let looks: Vec<_> = all().iter().map(|processor| std::thread::spawn(|| look(*processor))).collect();
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
    let _ = use_only(&[processor]); // else it looks where it happens to be
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
        let used =
            || (0..CpuSet::MAX_CPU).filter(|it| sched_getaffinity(None).unwrap().is_set(*it)).collect::<Vec<_>>();
        let before = used();
        assert_eq!((before.last(), before.len()), (Some(&last()), count()));
        let kept = ButTheLast::keep().unwrap();
        assert_eq!(used().contains(&last()), before.len() == 1);
        drop(kept);
        assert_eq!(used(), before);
    }
}
