//! What the manifest says about the engine and about one service's instances.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of the engine, for all services together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Folder of compiled code, private to the host (mode 0700). Default `.atoll/cache`.
    pub cache: PathBuf,
    /// Instances that the pool holds for all services together; 0 sizes it from the services (see [`Settings::slots`]).
    pub instances: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { cache: PathBuf::from(".atoll/cache"), instances: 0 }
    }
}

/// Most slots that the pool gets without being told a number. A slot reserves address space (two 4 GiB memories, two 2 MiB stacks with
/// their guard pages), and the kernel allows 65,530 mappings to a process by default.
const MOST_SLOTS: usize = 4096;

impl Settings {
    /// How many instances the pool must hold: what the manifest says, or enough for two revisions of every service at full
    /// concurrency (a swap runs both for a while), but at most 4,096.
    ///
    /// `demand`: for each service its replicas and its limits.
    pub fn slots<'a>(&self, demand: impl Iterator<Item = (usize, &'a Limits)>) -> usize {
        let both = demand.map(|(replicas, limits)| 2 * replicas * limits.concurrency).sum::<usize>();
        let slots = if self.instances == 0 { both.clamp(64, MOST_SLOTS) } else { self.instances };
        if slots < both {
            tracing::warn!(
                slots,
                demand = both,
                "the pool holds fewer instances than all services may use at once: a flood of one can make others wait; raise \
                 `instances` in [runtime] or lower `concurrency`"
            );
        }
        slots
    }
}

/// Limits of one service's instances. They hold for each replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, all its memories together, in bytes. Default 128 MiB.
    pub memory: usize,
    /// Time until the head of the answer, waiting for an instance included; after the head, the longest that the answer's body may
    /// keep its reader waiting, and the time that the guest has left after the body's end. Default 10 s.
    pub timeout: Duration,
    /// Requests at a time. Default 256.
    pub concurrency: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 128 << 20, timeout: Duration::from_secs(10), concurrency: 256 }
    }
}

/// How long an instance lives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Each call gets an instance of its own: nothing is carried over from one to the next.
    #[default]
    Request,
    /// Requests and calls share instances: what a guest keeps in its memory stays there for the next one.
    ///
    /// A call with a stream or a future has an instance of its own all the same.
    Reuse(Reuse),
}

/// The bounds of an instance that is used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reuse {
    /// Requests and calls that one instance serves in its life. Default 1,000.
    pub max_requests: usize,
    /// Requests and calls that one instance serves at a time. A trap ends them all. Default 1.
    pub max_concurrent: usize,
    /// How long an instance may rest before it is given up. Default 1 s.
    pub idle_timeout: Duration,
}

impl Default for Reuse {
    fn default() -> Self {
        Self { max_requests: 1000, max_concurrent: 1, idle_timeout: Duration::from_secs(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_holds_two_revisions_of_every_service() {
        let limits = Limits { concurrency: 100, ..Limits::default() };
        let slots = |settings: &Settings, replicas| settings.slots(std::iter::repeat_n((replicas, &limits), 2));
        assert_eq!(slots(&Settings::default(), 2), 800);
        assert_eq!(slots(&Settings::default(), 64), MOST_SLOTS);
        assert_eq!(slots(&Settings { instances: 7, ..Settings::default() }, 2), 7);
    }
}
