//! The rules: from facts to causes.

use super::cause::{CauseKind, ServiceCause};
use super::service_facts::{CircuitFacts, EndpointFacts, FailureFacts, ServiceFacts};
use crate::base::counted;
use std::collections::{BTreeMap, BTreeSet};

/// What tries fail by, in the order of explanation.
pub(super) const FAILURES: [CauseKind; 9] = [
    CauseKind::Trap,
    CauseKind::MemoryLimit,
    CauseKind::Instantiation,
    CauseKind::Connect,
    CauseKind::BadAnswer,
    CauseKind::Reset,
    CauseKind::Timeout,
    CauseKind::Answered5xx,
    CauseKind::FunctionError,
];
/// Of a failure this many seconds ago the counts of the last minute know nothing any more.
const RECENT: u64 = 60;

/// Why the service `name` does not fare well: the first cause comes first. Empty if nothing is wrong that is known,
/// `None` if there is no such service.
pub fn why(name: &str, all: &[ServiceFacts]) -> Option<Vec<ServiceCause>> {
    let by_name = by_name(all);
    let reached = CallGraph::from(name, &by_name)?;
    let causes = reached.found.iter().enumerate();
    let causes = causes.flat_map(|(at, (facts, _))| causes_of(facts, all, &reached.path(at)));
    let mut causes: Vec<_> = causes.collect();
    // A cause that lies deeper explains those above it; of one service, the kinds are in the order of explanation. What
    // is on purpose explains everything.
    causes.sort_by_key(|cause| {
        let symptom = matches!(cause.kind, CauseKind::CircuitOpen | CauseKind::BadRequests | CauseKind::LinesLeftOut);
        let decided = matches!(cause.kind, CauseKind::FaultOnPurpose | CauseKind::OutOfService);
        (!decided, symptom, std::cmp::Reverse(cause.path.len()), cause.kind)
    });
    causes.dedup();
    Some(causes)
}

/// What is wrong with each service that does not fare well. Those that explain the others come first; of a service that
/// calls one of these, over others perhaps, the first cause is the one there.
pub fn why_all(all: &[ServiceFacts]) -> Vec<(String, Vec<ServiceCause>)> {
    let by_name = by_name(all);
    let own = |facts: &ServiceFacts| {
        let mut causes = causes_of(facts, all, std::slice::from_ref(&facts.name));
        causes.sort_by_key(|cause| cause.kind);
        (facts.name.clone(), causes)
    };
    let own: BTreeMap<String, Vec<ServiceCause>> = all.iter().map(own).filter(|(_, own)| !own.is_empty()).collect();
    let whole = own.iter().map(|(name, causes)| {
        let decided = matches!(causes[0].kind, CauseKind::FaultOnPurpose | CauseKind::OutOfService);
        let elsewhere = CallGraph::from(name, &by_name).filter(|_| !decided);
        let elsewhere = elsewhere.and_then(|reached| {
            let last = reached.found.iter().skip(1).rposition(|(facts, _)| own.contains_key(&facts.name))? + 1;
            let path = reached.path(last);
            let first = path.last().and_then(|callee| own.get(callee)).and_then(|causes| causes.first());
            let first = first.expect("the path leads to a service with causes");
            // The cause itself may lie in a host outside, beyond that service.
            let path = path.iter().chain(&first.path[1..]).cloned().collect();
            Some(ServiceCause { path, ..first.clone() })
        });
        let explained = elsewhere.is_some();
        (explained, name.clone(), elsewhere.into_iter().chain(causes.iter().cloned()).collect::<Vec<_>>())
    });
    let mut whole: Vec<_> = whole.collect();
    whole.sort_by_key(|(explained, _, causes)| (*explained, causes[0].kind));
    whole.into_iter().map(|(_, name, causes)| (name, causes)).collect()
}

fn by_name(all: &[ServiceFacts]) -> BTreeMap<&str, &ServiceFacts> {
    all.iter().map(|facts| (facts.name.as_str(), facts)).collect()
}

/// A service and those that it calls, over others perhaps: each once, however many ways lead there, and the nearer ones
/// first.
struct CallGraph<'a> {
    /// With the place of the caller by which it is reached first. The first one is its own caller.
    found: Vec<(&'a ServiceFacts, usize)>,
}

impl<'a> CallGraph<'a> {
    /// `None` if there is no service of this name.
    fn from(name: &str, by_name: &BTreeMap<&'a str, &'a ServiceFacts>) -> Option<Self> {
        let first = *by_name.get(name)?;
        let (mut found, mut known, mut next) = (vec![(first, 0)], BTreeSet::from([first.name.as_str()]), 0);
        while let Some(&(caller, _)) = found.get(next) {
            let callees = caller.calls.iter().filter_map(|callee| by_name.get(callee.as_str()));
            found.extend(callees.filter(|callee| known.insert(&callee.name)).map(|callee| (*callee, next)));
            next += 1;
        }
        Some(Self { found })
    }

    /// The shortest way by calls to the service at this place.
    fn path(&self, at: usize) -> Vec<String> {
        let way = std::iter::successors(Some(at), |at| (*at > 0).then(|| self.found[*at].1));
        let mut path: Vec<_> = way.map(|at| self.found[at].0.name.clone()).collect();
        path.reverse();
        path
    }
}

/// What is wrong with the service at the end of `path`, and with the hosts outside that it uses.
fn causes_of(facts: &ServiceFacts, all: &[ServiceFacts], path: &[String]) -> Vec<ServiceCause> {
    let own = own_causes(facts, all).into_iter().map(|(kind, detail, (next, reads_log))| {
        // After a swap or a rollback, what failed may not be what serves.
        let failed = facts.last_of(kind.as_str()).and_then(|last| last.revision.clone());
        let revision = failed.or_else(|| facts.revision.clone());
        ServiceCause { kind, path: path.to_vec(), revision, detail, next, reads_log }
    });
    let outside = facts.outside.iter().filter_map(|outside| {
        let (kind, detail) = outside_cause(outside)?;
        let path = path.iter().cloned().chain([outside.id.clone()]).collect();
        let (next, reads_log) = logs(&format!("{} --level warn", facts.name));
        Some(ServiceCause { kind, path, revision: None, detail, next, reads_log })
    });
    own.chain(outside).collect()
}

/// With what is wrong, and with the command that shows more and whether it reads lines of the log.
type OwnCause = (CauseKind, String, (String, bool));

/// What is wrong with one service itself.
fn own_causes(facts: &ServiceFacts, all: &[ServiceFacts]) -> Vec<OwnCause> {
    let mut causes = Vec::new();
    decided(facts, &mut causes);
    failures(facts, &mut causes);
    endpoints(facts, &mut causes);
    saturation(facts, all, &mut causes);
    refusals(facts, &mut causes);
    if facts.left_out_lines > 0 {
        let lines = counted(facts.left_out_lines, "line", "lines");
        let are = verb(facts.left_out_lines, "is", "are");
        let detail = format!("{lines} about or by `{}` in the last minute {are} only counted", facts.name);
        causes.push((CauseKind::LinesLeftOut, detail, logs(&facts.name)));
    }
    causes
}

/// What somebody has decided, and what the start has found.
fn decided(facts: &ServiceFacts, causes: &mut Vec<OwnCause>) {
    let name = &facts.name;
    for fault in &facts.faults {
        causes.push((CauseKind::FaultOnPurpose, fault.clone(), other(format!("atoll fault clear {name}"))));
    }
    if let Some(reason) = &facts.left_out {
        causes.push((CauseKind::LeftOut, format!("`{name}` is not served: {reason}"), other("atoll check")));
    }
    let starting = facts.endpoints.iter().filter(|endpoint| endpoint.starting).count();
    if starting > 0 {
        let (all, wait) = (facts.endpoints.len(), verb(starting as u64, "waits", "wait"));
        let detail = format!("`{name}` is being compiled: {starting} of {all} endpoints {wait}");
        causes.push((CauseKind::Starting, detail, other("atoll ps")));
    }
    let held: Vec<_> = facts.endpoints.iter().filter(|one| one.circuit == CircuitFacts::HeldOpen).collect();
    if !held.is_empty() {
        let circuit = verb(held.len() as u64, "circuit", "circuits");
        let detail = format!("an operator holds open the {circuit} of {}", ids(&held));
        causes.push((CauseKind::OutOfService, detail, other(format!("atoll breaker reset {name}"))));
    }
    if let Some(reason) = &facts.store {
        causes.push((CauseKind::StoreUnavailable, reason.clone(), logs("--level error")));
    }
}

/// The failures of the last minute, by kind; of a circuit that is open since before, those that opened it.
fn failures(facts: &ServiceFacts, causes: &mut Vec<OwnCause>) {
    let lasting = facts.endpoints.iter().filter(|endpoint| endpoint.circuit == CircuitFacts::Open || endpoint.unready);
    let lasting: Vec<_> = lasting.filter_map(EndpointFacts::last).collect();
    for kind in FAILURES {
        let word = kind.as_str();
        let count = facts.failed.get(word).copied().unwrap_or(0);
        let before = lasting.iter().find(|last| last.kind == word);
        if count == 0 && before.is_none() {
            continue;
        }
        let mut detail = match count {
            0 => format!("the last calls of `{}` failed by {word}", facts.name),
            count => {
                format!("{count} of {} tries of `{}` in the last minute failed by {word}", facts.requests, facts.name)
            }
        };
        let answers = matches!(kind, CauseKind::Answered5xx | CauseKind::FunctionError);
        let guests = matches!(kind, CauseKind::Trap | CauseKind::MemoryLimit | CauseKind::Instantiation);
        if let Some(last) = facts.last_of(word) {
            detail.push_str(&format!(": {}", described(last)));
        }
        if let Some(swap) = facts.newest_swap.as_ref().filter(|_| guests || answers) {
            detail.push_str(&format!(" ({swap})"));
        }
        let next = if guests {
            other(format!("atoll traps {}", facts.name))
        } else {
            logs(&format!("{} --level warn --since 5m", facts.name))
        };
        causes.push((kind, detail, next));
    }
    let short: Vec<_> = ["route", "total", "caller"]
        .into_iter()
        .filter_map(|owner| Some((owner, facts.timeouts.get(owner).copied().filter(|count| *count > 0)?)))
        .collect();
    if !short.is_empty() {
        let by = short.iter().map(|(owner, count)| format!("{count} by the deadline `{owner}`"));
        let detail = format!("calls of `{}` got too little time: {}", facts.name, by.collect::<Vec<_>>().join(", "));
        causes.push((CauseKind::DeadlineTooShort, detail, other("atoll routes")));
    }
}

/// The endpoints that get no calls.
fn endpoints(facts: &ServiceFacts, causes: &mut Vec<OwnCause>) {
    let all = facts.endpoints.len();
    let named = |meant: fn(&&EndpointFacts) -> bool| facts.endpoints.iter().filter(meant).collect::<Vec<_>>();
    let states = [
        (
            CauseKind::NotReady,
            named(|one| one.unready),
            ["does not pass its health checks", "do not pass their health checks"],
        ),
        (
            CauseKind::Ejected,
            named(|one| one.ejected),
            ["is ejected: it fails more often than the others", "are ejected: they fail more often than the others"],
        ),
        (
            CauseKind::CircuitOpen,
            named(|one| one.circuit == CircuitFacts::Open),
            ["has an open circuit", "have an open circuit"],
        ),
    ];
    for (kind, meant, [one, more]) in states {
        if meant.is_empty() {
            continue;
        }
        let what = verb(meant.len() as u64, one, more);
        let mut detail = format!("{} of {all} endpoints {what}: {}", meant.len(), ids(&meant));
        if let Some(last) = meant.iter().find_map(|endpoint| endpoint.last()) {
            detail.push_str(&format!("; the last failure: {}", described(last)));
        }
        causes.push((kind, detail, other(format!("atoll changes --service {}", facts.name))));
    }
}

/// What is used up.
fn saturation(facts: &ServiceFacts, all: &[ServiceFacts], causes: &mut Vec<OwnCause>) {
    let name = &facts.name;
    if facts.pool.waiting > 0 {
        let most =
            all.iter().max_by_key(|other| other.pool.held).map_or((name.as_str(), 0), |one| (&one.name, one.pool.held));
        let (calls, wait) = (counted(facts.pool.waiting, "call", "calls"), verb(facts.pool.waiting, "waits", "wait"));
        let slots = counted(most.1, "slot", "slots");
        let detail =
            format!("{calls} of `{name}` {wait} for the engine's pool, of which `{}` holds most, {slots}", most.0);
        causes.push((CauseKind::PoolFull, detail, other("atoll ps")));
    }
    let refused = facts.refused.get("overloaded").copied().unwrap_or(0);
    let (in_flight, most) = facts.in_flight;
    let full = most > 0 && in_flight >= most;
    if refused > 0 || (full && facts.waiting.0 > 0) {
        let detail = format!(
            "`{name}` has {in_flight} of {most} calls under way and {} of {} waiting, by its `limits`; {refused} {} \
             refused in the last minute",
            facts.waiting.0,
            facts.waiting.1,
            verb(refused, "was", "were")
        );
        causes.push((CauseKind::Overloaded, detail, other("atoll top")));
    }
}

/// What was refused before the service got it.
fn refusals(facts: &ServiceFacts, causes: &mut Vec<OwnCause>) {
    const REFUSALS: [(CauseKind, &[&str], [&str; 2]); 5] = [
        (
            CauseKind::RefusedByPolicy,
            &["unauthenticated", "forbidden", "auth-unavailable"],
            ["lacked a credential or a scope"; 2],
        ),
        (CauseKind::RateLimited, &["quota-exceeded"], ["was over its rate", "were over their rate"]),
        (CauseKind::Denied, &["denied"], ["went where its service may not", "went where their service may not"]),
        (
            CauseKind::TooDeep,
            &["too-deep"],
            ["was nested too deep, perhaps in a circle", "were nested too deep, perhaps in a circle"],
        ),
        (
            CauseKind::BadRequests,
            &[
                "body-too-large",
                "slow-body",
                "bad-json",
                "invalid",
                "bad-parameter",
                "unsupported-media-type",
                "client-gone",
            ],
            [
                "was wrong, too large or too slow, or its client went away",
                "were wrong, too large or too slow, or their client went away",
            ],
        ),
    ];
    for (kind, words, [one, more]) in REFUSALS {
        let count_in = |counts: &BTreeMap<String, u64>, word: &str| counts.get(word).copied().unwrap_or(0);
        // The gateway counts what the mesh refused too.
        let count = |word: &&&str| count_in(&facts.at_gateway, word).max(count_in(&facts.refused, word));
        let kinds: Vec<_> = words.iter().map(|word| (*word, count(&word))).filter(|(_, count)| *count > 0).collect();
        if kinds.is_empty() {
            continue;
        }
        let sum: u64 = kinds.iter().map(|(_, count)| count).sum();
        let by = kinds.iter().map(|(word, count)| format!("{word} {count}")).collect::<Vec<_>>().join(", ");
        let (requests, what) = (counted(sum, "request", "requests"), verb(sum, one, more));
        let detail = format!("{requests} to `{}` in the last minute {what}: {by}", facts.name);
        causes.push((kind, detail, logs(&facts.name)));
    }
}

/// What is wrong with a host outside.
fn outside_cause(outside: &EndpointFacts) -> Option<(CauseKind, String)> {
    let (EndpointFacts { id, circuit, .. }, last) = (outside, outside.last());
    let recent = last.filter(|last| last.seconds_ago < RECENT);
    let open = *circuit != CircuitFacts::Closed;
    if !open && recent.is_none() {
        return None;
    }
    let state = if open { "has an open circuit" } else { "fails" };
    let kind = last.map_or(CauseKind::CircuitOpen, |last| match last.kind.as_str() {
        "connect" => CauseKind::Connect,
        "timeout" => CauseKind::Timeout,
        "reset" => CauseKind::Reset,
        "bad-answer" => CauseKind::BadAnswer,
        _ => CauseKind::Answered5xx,
    });
    let detail = last.map_or_else(String::new, |last| format!(": {}", described(last)));
    Some((kind, format!("the host outside `{id}` {state}{detail}")))
}

fn described(FailureFacts { kind, detail, seconds_ago, count, .. }: &FailureFacts) -> String {
    let often = if *count > 1 { format!(", {count} times") } else { String::new() };
    format!("{kind} {seconds_ago} s ago{often}: {detail}")
}

fn ids(endpoints: &[&EndpointFacts]) -> String {
    endpoints.iter().map(|endpoint| endpoint.id.as_str()).collect::<Vec<_>>().join(", ")
}

/// The lines of the log that these arguments choose.
fn logs(arguments: &str) -> (String, bool) {
    (format!("atoll logs {arguments}"), true)
}

/// A command that needs nothing of the host.
fn other(command: impl Into<String>) -> (String, bool) {
    (command.into(), false)
}

/// The words that go with a number of things.
fn verb<'a>(number: u64, one: &'a str, more: &'a str) -> &'a str {
    if number == 1 { one } else { more }
}
