//! What has changed in the host: circuits, readiness, faults on purpose, revisions. Each change is an entry of a
//! bounded memory and a count, beside the line of the log that its room writes.

use super::numbered_ring::NumberedRing;
use super::operator::operator;
use crate::base::{log_safe, mask_secrets};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// How many changes are kept: a day of a host that is in trouble, in half a megabyte.
const MOST: usize = 2_000;
/// The longest reason that is kept, in characters.
const LONGEST_REASON: usize = 300;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostChange {
    /// When it happened.
    pub time: SystemTime,
    /// What changed.
    pub kind: ChangeKind,
    /// The service that it concerns; empty for the host itself.
    pub service: String,
    /// The endpoint, or the host outside, if it concerns one of several.
    pub endpoint: Option<String>,
    /// Why, in one line.
    pub reason: String,
    /// The operator who ordered it; `None`: the host did it by itself.
    pub by: Option<Arc<str>>,
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// The host serves all that it can.
    HostStarted,
    /// The host was told to stop.
    HostDraining,
    /// A circuit opened by itself.
    CircuitOpened,
    /// A circuit closed by itself.
    CircuitClosed,
    /// An operator opened, closed or reset a circuit.
    CircuitOrdered,
    /// An endpoint gets no calls for a while: it fails more often than the others.
    Ejected,
    /// An endpoint gets calls again after it was ejected.
    Returned,
    /// An endpoint passes its health checks again.
    Ready,
    /// An endpoint does not pass its health checks.
    Unready,
    /// A fault on purpose begins.
    FaultBegun,
    /// A fault on purpose ends.
    FaultEnded,
    /// Another revision serves.
    Swapped,
    /// The revision before serves again.
    RolledBack,
    /// A swap was refused.
    SwapRefused,
    /// A rollback was refused.
    RollbackRefused,
    /// A service is left out: it cannot be served.
    LeftOut,
    /// A service begins or ends to have instances on this node of the cluster.
    Moved,
    /// Another manifest is served.
    ManifestApplied,
    /// A name behind `urls` has other addresses.
    AddressesChanged,
    /// The broker of the events does not do what it is asked.
    BrokerLost,
    /// The broker of the events does all that it is asked again.
    BrokerBack,
    /// Lines of the log are dropped: nobody reads it, or it cannot be written.
    LogDropped,
    /// The log takes all lines again.
    LogBack,
}

static CHANGES: NumberedRing<HostChange> = NumberedRing::new(MOST);
/// By service and kind. Both are bounded by the manifest.
static COUNTS: Mutex<BTreeMap<(String, ChangeKind), u64>> = Mutex::new(BTreeMap::new());

impl ChangeKind {
    /// Whether it may be a cause. The others are symptoms: a circuit that opens, an ejection or a failed check follows
    /// from how a service fares, which is told with its service.
    pub fn is_deed(self) -> bool {
        use ChangeKind::{CircuitClosed, CircuitOpened, Ejected, Ready, Returned, Unready};
        !matches!(self, CircuitOpened | CircuitClosed | Ejected | Returned | Ready | Unready)
    }
    /// All of them, in their order.
    #[rustfmt::skip]
    pub const ALL: [Self; 23] = [
        Self::HostStarted, Self::HostDraining, Self::CircuitOpened, Self::CircuitClosed, Self::CircuitOrdered,
        Self::Ejected, Self::Returned, Self::Ready, Self::Unready, Self::FaultBegun, Self::FaultEnded, Self::Swapped,
        Self::RolledBack, Self::SwapRefused, Self::RollbackRefused, Self::LeftOut, Self::Moved, Self::ManifestApplied,
        Self::AddressesChanged, Self::BrokerLost, Self::BrokerBack, Self::LogDropped, Self::LogBack,
    ];

    /// A stable name: kebab-case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HostStarted => "host-started",
            Self::HostDraining => "host-draining",
            Self::CircuitOpened => "circuit-opened",
            Self::CircuitClosed => "circuit-closed",
            Self::CircuitOrdered => "circuit-ordered",
            Self::Ejected => "ejected",
            Self::Returned => "returned",
            Self::Ready => "ready",
            Self::Unready => "unready",
            Self::FaultBegun => "fault-begun",
            Self::FaultEnded => "fault-ended",
            Self::Swapped => "swapped",
            Self::RolledBack => "rolled-back",
            Self::SwapRefused => "swap-refused",
            Self::RollbackRefused => "rollback-refused",
            Self::LeftOut => "left-out",
            Self::Moved => "moved",
            Self::ManifestApplied => "manifest-applied",
            Self::AddressesChanged => "addresses-changed",
            Self::BrokerLost => "broker-lost",
            Self::BrokerBack => "broker-back",
            Self::LogDropped => "log-dropped",
            Self::LogBack => "log-back",
        }
    }
}

/// The changes of this process, the newest two thousand.
pub fn changes() -> &'static NumberedRing<HostChange> {
    &CHANGES
}

/// Remembers and counts a change that happens now, with the operator for whom this task works. `reason` may be a
/// stranger's text: it is made safe, masked and cut.
pub fn note_change(kind: ChangeKind, service: &str, endpoint: Option<&str>, reason: &str) {
    let line = reason.lines().next().unwrap_or_default();
    let line: String = line.chars().take(LONGEST_REASON).collect();
    let reason = mask_secrets(&log_safe(&line)).into_owned();
    let (service, endpoint) = (service.to_owned(), endpoint.map(str::to_owned));
    *COUNTS.lock().unwrap_or_else(PoisonError::into_inner).entry((service.clone(), kind)).or_default() += 1;
    CHANGES.push(1, HostChange { time: SystemTime::now(), kind, service, endpoint, reason, by: operator() });
}

/// How many changes there were, by service and kind.
pub(super) fn change_counts() -> Vec<((String, ChangeKind), u64)> {
    COUNTS.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(key, count)| (key.clone(), *count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_listed_once_in_its_order() {
        for (place, kind) in ChangeKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place, "{kind:?}");
        }
        assert_eq!(ChangeKind::ALL.len(), ChangeKind::LogBack as usize + 1);
    }

    #[test]
    fn a_change_is_remembered_and_counted_with_a_reason_of_one_safe_line() {
        note_change(ChangeKind::Unready, "of-this-test", Some("of-this-test-0"), "token=abc\u{1b}[2J\nforged");
        let kept = changes().newest(10, |change| change.service == "of-this-test");
        let (_, change) = &kept.entries[0];
        assert_eq!((change.kind, change.by.clone()), (ChangeKind::Unready, None));
        assert_eq!(change.endpoint.as_deref(), Some("of-this-test-0"));
        assert!(!change.reason.contains("abc") && !change.reason.contains(['\u{1b}', '\n']), "{}", change.reason);
        let count = change_counts().into_iter().find(|((service, _), _)| service == "of-this-test");
        assert_eq!(count.unwrap().1, 1);
    }
}
