//! The settings of the engine, and those of one service's instances.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of the engine, for all services together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Folder of compiled code, private to the host (mode 0700). Default: `.atoll/cache`.
    pub cache: PathBuf,
    /// Instances that the pool holds for all services together; 0 sizes it from the services (see [`Settings::slots`]).
    pub instances: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { cache: PathBuf::from(".atoll/cache"), instances: 0 }
    }
}

/// The most slots that the pool gets if the manifest names no number. A slot reserves address space (two memories of
/// 4 GiB, two stacks of 2 MiB with their guard pages), and the kernel allows a process 65,530 mappings by default.
const MOST_SLOTS: usize = 4096;

impl Settings {
    /// How many instances the pool must hold: the number in the manifest, or enough for two revisions of every service
    /// at full concurrency (a swap runs both for a while), but at most 4,096.
    ///
    /// `demand`: the replicas and the limits of each service.
    pub fn slots<'a>(&self, demand: impl Iterator<Item = (usize, &'a Limits)>) -> usize {
        let both = demand.map(|(replicas, limits)| 2 * replicas * limits.concurrency).sum::<usize>();
        let slots = if self.instances == 0 { both.clamp(64, MOST_SLOTS) } else { self.instances };
        if slots < both {
            tracing::warn!(
                slots,
                demand = both,
                "the pool holds fewer instances than all services may use at once: a flood of one can make others \
                 wait; raise `instances` in [runtime] or lower `concurrency`"
            );
        }
        slots
    }
}

/// Limits of one service's instances. They hold for each replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, all its memories together, in bytes. Default: 128 MiB.
    pub memory: usize,
    /// Time until the head of the answer, including the wait for an instance. After the head it is the longest that the
    /// answer's body may keep its reader waiting, and after the body it is the time in which the guest must end.
    /// Default: 10 s.
    pub timeout: Duration,
    /// Requests and calls at a time. Default: 256.
    pub concurrency: usize,
    /// How long a call may wait for slots of the engine's pool. Default: 100 ms.
    pub wait: Duration,
    /// The weight of the service when services share slots of the engine's pool. Default: 1.
    pub share: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 128 << 20,
            timeout: Duration::from_secs(10),
            concurrency: 256,
            wait: Duration::from_millis(100),
            share: 1,
        }
    }
}

/// How long an instance lives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Each request or call gets an instance of its own: nothing stays for the next one.
    #[default]
    Request,
    /// Requests and calls share instances: what a guest keeps in its memory stays there for the next one.
    ///
    /// A call with a stream or a future has an instance of its own all the same.
    Reuse(Reuse),
}

/// The bounds of an instance that serves several requests and calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reuse {
    /// Requests and calls that one instance serves in its life. Default: 1,000.
    pub max_requests: usize,
    /// Requests and calls that one instance serves at a time. A trap ends them all. Default: 1.
    pub max_concurrent: usize,
    /// How long an instance may be idle before it is given up. Default: 1 s.
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
    fn an_unset_pool_size_holds_two_revisions_of_every_service() {
        let limits = Limits { concurrency: 100, ..Limits::default() };
        let slots = |settings: &Settings, replicas| settings.slots(std::iter::repeat_n((replicas, &limits), 2));
        assert_eq!(slots(&Settings::default(), 2), 800);
        assert_eq!(slots(&Settings::default(), 64), MOST_SLOTS);
        assert_eq!(slots(&Settings { instances: 7, ..Settings::default() }, 2), 7);
    }
}
