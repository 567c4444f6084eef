//! The thirteen faults, and what shows an operator each of them.

use super::samples::Metric;
use std::fmt;

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Planted {
    UnreadLog,
    Chatter,
    FullDisk,
    Hurry,
    Crowd,
    Loops,
    Traps,
    Hunger,
    DeadUpstream,
    SilentUpstream,
    GarbledUpstream,
    SlowClients,
    Misfit,
}

/// Verbs of the command line, and what they must print.
#[derive(Debug, Clone, Copy)]
pub(super) struct Command {
    pub(super) verb: &'static [&'static str],
    /// Service, revision, endpoint and cause, as far as this verb names them.
    pub(super) prints: &'static [&'static str],
}

impl Planted {
    pub(super) const ALL: [Self; 13] = [
        Self::UnreadLog,
        Self::Chatter,
        Self::FullDisk,
        Self::Hurry,
        Self::Crowd,
        Self::Loops,
        Self::Traps,
        Self::Hunger,
        Self::DeadUpstream,
        Self::SilentUpstream,
        Self::GarbledUpstream,
        Self::SlowClients,
        Self::Misfit,
    ];

    /// The service that has the fault; `None`: the host has it.
    pub(super) fn service(self) -> Option<&'static str> {
        Some(match self {
            Self::UnreadLog => return None,
            Self::Chatter => "chatty",
            Self::FullDisk => "writer",
            Self::Hurry => "hasty",
            Self::Crowd => "slow",
            Self::Loops => "looping",
            Self::Traps => "traps",
            Self::Hunger => "hungry",
            Self::DeadUpstream => "dead",
            Self::SilentUpstream => "silent",
            Self::GarbledUpstream => "garbled",
            Self::SlowClients => "uploads",
            Self::Misfit => "swapped",
        })
    }

    /// The verb that names the cause, with the service and, where there is one, the revision. `atoll ps` has the
    /// endpoint of each.
    pub(super) fn command(self) -> Command {
        let (verb, prints): (&[&str], &[&str]) = match self {
            Self::UnreadLog => (&["changes", "--kind", "log-dropped"], &["log-dropped host: "]),
            Self::Chatter => (&["why", "chatty"], &["lines-left-out in chatty (revision "]),
            Self::FullDisk => (&["why", "writer"], &["store-unavailable in writer (revision "]),
            Self::Hurry => (&["why", "hasty"], &["deadline-too-short in hasty (revision ", "by the deadline `route`"]),
            Self::Crowd => (&["why", "slow"], &["pool-full in slow (revision ", "`slow` holds most"]),
            Self::Loops => (&["why", "looping"], &["timeout in looping (revision "]),
            Self::Traps => (&["why", "traps"], &["trap in traps (revision "]),
            Self::Hunger => (&["why", "hungry"], &["memory-limit in hungry (revision "]),
            Self::DeadUpstream => (&["why", "dead"], &["connect in dead"]),
            Self::SilentUpstream => (&["why", "silent"], &["timeout in silent"]),
            Self::GarbledUpstream => (&["why", "garbled"], &["bad-answer in garbled"]),
            Self::SlowClients => (&["why", "uploads"], &["bad-requests in uploads (revision "]),
            Self::Misfit => (&["changes", "--kind", "swap-refused"], &["swap-refused swapped: "]),
        };
        Command { verb, prints }
    }

    /// The metric that grows with the fault, and names service, endpoint and cause as far as it has them.
    pub(super) fn metric(self) -> Metric {
        let (name, label) = match self {
            Self::UnreadLog => ("atoll_log_lines_dropped_total", ""),
            Self::Chatter => ("atoll_log_lines_left_out_total", "service=\"chatty\""),
            Self::FullDisk => ("atoll_state_failed_commits_total", "cause=\"full\""),
            Self::Hurry => ("atoll_timeouts_total", "service=\"hasty\",deadline=\"route\""),
            Self::Crowd => ("atoll_pool_wait_seconds_count", "service=\"slow\""),
            Self::Loops => by_kind("service=\"looping\",endpoint=\"looping-0\",kind=\"timeout\""),
            Self::Traps => by_kind("service=\"traps\",endpoint=\"traps-0\",kind=\"trap\""),
            Self::Hunger => by_kind("service=\"hungry\",endpoint=\"hungry-0\",kind=\"memory-limit\""),
            Self::DeadUpstream => by_kind("service=\"dead\",endpoint=\"dead-url-0\",kind=\"connect\""),
            Self::SilentUpstream => by_kind("service=\"silent\",endpoint=\"silent-url-0\",kind=\"timeout\""),
            Self::GarbledUpstream => by_kind("service=\"garbled\",endpoint=\"garbled-url-0\",kind=\"bad-answer\""),
            Self::SlowClients => ("atoll_gateway_requests_total", "kind=\"slow-body\""),
            Self::Misfit => ("atoll_swaps_refused_total", "service=\"swapped\""),
        };
        Metric { name, label }
    }

    /// What must begin the name of its endpoint, and whether it has a revision: an address has none.
    pub(super) fn endpoint(self) -> Option<(String, bool)> {
        let service = self.service()?;
        let is_address = matches!(self, Self::DeadUpstream | Self::SilentUpstream | Self::GarbledUpstream);
        let infix = if is_address { "url-" } else { "" };
        Some((format!("{service}-{infix}0"), !is_address))
    }
}

fn by_kind(labels: &'static str) -> (&'static str, &'static str) {
    ("atoll_failures_by_kind_total", labels)
}

impl fmt::Display for Planted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnreadLog => "a log that nobody reads",
            Self::Chatter => "a service that prints without end",
            Self::FullDisk => "a full disk",
            Self::Hurry => "a route with a deadline of 5 ms",
            Self::Crowd => "80 slow requests of one service",
            Self::Loops => "ten endless loops",
            Self::Traps => "a service that traps",
            Self::Hunger => "a service that takes memory",
            Self::DeadUpstream => "an address that refuses",
            Self::SilentUpstream => "an address that never answers",
            Self::GarbledUpstream => "an address that speaks no HTTP",
            Self::SlowClients => "300 slow uploads and 300 slow readers",
            Self::Misfit => "a component that does not fit",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_a_verb_that_names_its_service_and_a_metric() {
        for fault in Planted::ALL {
            let Command { verb, prints } = fault.command();
            assert!(!verb.is_empty() && fault.metric().name.starts_with("atoll_"), "{fault}");
            assert!(prints[0].contains(fault.service().unwrap_or("host")), "{fault}: {prints:?}");
        }
        assert_eq!(Planted::DeadUpstream.endpoint(), Some(("dead-url-0".into(), false)));
        assert_eq!((Planted::Traps.endpoint(), Planted::UnreadLog.endpoint()), (Some(("traps-0".into(), true)), None));
    }
}
