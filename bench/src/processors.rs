//! Which processors the load and the servers use.

use anyhow::Context;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long [`Pauses::now`] watches each processor.
const WATCH_TIME: Duration = Duration::from_secs(2);

/// A longer gap between two readings of the clock is a pause and not an interrupt.
const PAUSE: Duration = Duration::from_micros(200);

/// The processors that this program may use, as it was started. There is at least one.
fn all() -> &'static [usize] {
    static ALL: OnceLock<Vec<usize>> = OnceLock::new();
    ALL.get_or_init(|| {
        let set = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
        let all: Vec<_> = (0..CpuSet::MAX_CPU).filter(|processor| set.is_set(*processor)).collect();
        if all.is_empty() { vec![0] } else { all }
    })
}

/// How many processors there are.
pub(crate) fn count() -> usize {
    all().len()
}

/// The last processor, which the load uses.
pub(crate) fn last() -> usize {
    all()[count() - 1]
}

/// The first `count` processors, in the form that `taskset` takes.
pub(crate) fn first(count: usize) -> String {
    let first: Vec<_> = all().iter().take(count).map(usize::to_string).collect();
    first.join(",")
}

/// While this exists, this thread and all processes that it starts keep off the last processor. On a machine with one
/// processor it has no effect. It stays on its thread.
#[derive(Debug)]
pub(crate) struct ButTheLast(PhantomData<*const ()>);

impl ButTheLast {
    /// Keeps off the last processor.
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

/// Lets this thread run only on these processors.
fn use_only(processors: &[usize]) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    processors.iter().for_each(|processor| set.set(*processor));
    sched_setaffinity(None, &set).context("a thread cannot be bound to its processors")
}

/// How long a thread that only reads the clock is kept from its processor: by the kernel's own work, and by other
/// machines on the same processor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pauses {
    /// Milliseconds of each second, over all processors.
    share: f64,
    most: Duration,
}

impl Pauses {
    /// Watches all processors for two seconds.
    pub(crate) fn now() -> Self {
        let watches: Vec<_> = all().iter().map(|processor| std::thread::spawn(|| watch(*processor))).collect();
        let watches: Vec<_> = watches.into_iter().filter_map(|watch| watch.join().ok()).collect();
        let sum: Duration = watches.iter().map(|(sum, _)| *sum).sum();
        let whole = WATCH_TIME.as_secs_f64() * watches.len().max(1) as f64;
        let most = watches.iter().map(|(_, most)| *most).max().unwrap_or_default();
        Self { share: sum.as_secs_f64() / whole * 1e3, most }
    }
}

impl std::fmt::Display for Pauses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} ms of a second, and for {:.1} ms at a time", self.share, self.most.as_secs_f64() * 1e3)
    }
}

/// The sum and the longest of the pauses on one processor.
fn watch(processor: usize) -> (Duration, Duration) {
    let _ = use_only(&[processor]); // without this it watches the processor where it happens to be
    let (start, mut sum, mut most) = (Instant::now(), Duration::ZERO, Duration::ZERO);
    let mut before = start;
    while before.duration_since(start) < WATCH_TIME {
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
    fn the_last_processor_is_kept_free_while_the_guard_exists() {
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
