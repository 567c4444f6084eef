//! The admin's answers as tables.

use super::layout::Side::{Left, Right};
use super::layout::{Side, age, exact, lay_out, none};
use crate::admin::{
    EndpointView, FaultView, KeyView, OriginView, OutsideView, PoolView, RouteView, ServiceView, SourceView,
};
use std::time::SystemTime;

/// How many columns the table of services has.
const SERVICES: usize = 10;

/// The services, with one row for each endpoint, and notes below them. Headings are single words and new columns come
/// last, because scripts cut the table into columns.
pub(super) fn services(services: &[ServiceView]) -> String {
    const COLUMNS: [(&str, Side); SERVICES] = [
        ("SERVICE", Left),
        ("REVISION", Left),
        ("AGE", Right),
        ("ENDPOINT", Left),
        ("PLACE", Left),
        ("BREAKER", Left),
        ("REQUESTS", Right),
        ("FAILURES", Right),
        ("IN-FLIGHT", Right),
        ("STATE", Left),
    ];
    if services.is_empty() {
        return "no services\n".into();
    }
    let mut text = lay_out(COLUMNS, services.iter().flat_map(rows));
    let notes = notes(services);
    if !notes.is_empty() {
        text.push_str(&format!("\n{}\n", notes.join("\n")));
    }
    text
}

/// The rows of a service. What is the same for all of its endpoints is only in the first row.
fn rows(service: &ServiceView) -> Vec<[String; SERVICES]> {
    let mark = if service.differs_from_manifest { "*" } else { "" };
    let revision = service.revision.as_ref().map_or_else(none, |revision| format!("{revision}{mark}"));
    let mut first = [service.name.clone(), revision, service.age_seconds.map_or_else(none, age)];
    if service.endpoints.is_empty() {
        let [name, revision, age] = first;
        return vec![[name, revision, age, none(), none(), none(), none(), none(), none(), none()]];
    }
    let row = |endpoint: &EndpointView| {
        let [name, revision, age] = std::mem::take(&mut first);
        let (id, place) = (endpoint.id.clone(), endpoint.place.clone());
        let counts = [endpoint.requests, endpoint.failures, endpoint.in_flight];
        let [requests, failures, in_flight] = counts.map(|count| count.to_string());
        [name, revision, age, id, place, breaker(endpoint), requests, failures, in_flight, state(endpoint)]
    };
    service.endpoints.iter().map(row).collect()
}

/// Whether the balancer gives the endpoint calls, apart from its circuit.
fn state(endpoint: &EndpointView) -> String {
    let state = match (endpoint.ready, endpoint.ejected) {
        _ if endpoint.starting => "starting",
        (true, false) => "ready",
        (true, true) => "ejected",
        (false, false) => "unready",
        (false, true) => "unready, ejected",
    };
    state.into()
}

fn breaker(endpoint: &EndpointView) -> String {
    let mark = if endpoint.forced { " (forced)" } else { "" };
    format!("{}{mark}", endpoint.breaker)
}

/// One line for each fault, for waiting calls, for the engine's pool if it is used up, and for a swapped revision.
fn notes(services: &[ServiceView]) -> Vec<String> {
    let faults = services.iter().flat_map(|service| &service.faults).map(|one| format!("! {}", fault(one)));
    let waiting = services.iter().filter(|service| service.waiting > 0).map(|service| match service.waiting {
        1 => format!("~ {}: 1 call waits", service.name),
        more => format!("~ {}: {more} calls wait", service.name),
    });
    let swapped = services.iter().find(|service| service.differs_from_manifest).map(|service| {
        let lasts = if service.of_cluster {
            "all nodes of the cluster serve it, after restarts too"
        } else if service.lasts {
            "lasts: `atoll adopt` makes it the manifest's"
        } else {
            "lasts until the host restarts"
        };
        format!("* differs from the manifest: it was swapped, and {lasts}")
    });
    let canaries = services.iter().filter_map(|service| service.canary.as_ref());
    let canaries =
        canaries.map(|canary| format!("> {}: canary {}: {}", canary.service, canary.revision, canary.sentence));
    let left_out = services.iter().filter_map(|service| Some((&service.name, service.left_out.as_ref()?)));
    let left_out = left_out.map(|(name, reason)| format!("x {name} is left out: {reason}"));
    let sources = services.iter().flat_map(|service| service.sources.iter().filter_map(|one| source(service, one)));
    let notes = faults.chain(canaries).chain(waiting).chain(pool(services)).chain(sources);
    notes.chain(left_out).chain(swapped).collect()
}

/// A source whose last answer is not good: `! users: consul://c/users: it does not answer in time (3 endpoints as of
/// 40s ago)`.
fn source(service: &ServiceView, source: &SourceView) -> Option<String> {
    let error = source.error.as_ref()?;
    let known = match (source.endpoints, source.age_seconds) {
        (_, None) => "it has never named an endpoint".to_owned(),
        (1, Some(seconds)) => format!("1 endpoint as of {} ago", age(seconds)),
        (count, Some(seconds)) => format!("{count} endpoints as of {} ago", age(seconds)),
    };
    Some(format!("! {}: {}: {error} ({known})", service.name, source.address))
}

/// If a call waits for the engine's pool: one line for each service that holds slots of the pool or waits for some.
fn pool(services: &[ServiceView]) -> Vec<String> {
    let pools: Vec<_> = services.iter().filter_map(|service| Some((&service.name, service.pool?))).collect();
    if pools.iter().all(|(_, pool)| pool.waiting == 0) {
        return Vec::new();
    }
    let line = |(name, PoolView { held, waiting, longest_wait_ms }): (&String, PoolView)| {
        let held = if held == 1 { "1 slot".into() } else { format!("{held} slots") };
        let holds = format!("~ {name}: holds {held} of the engine's pool");
        match waiting {
            0 => holds,
            1 => format!("{holds}, and 1 call has waited for one for {}", exact(longest_wait_ms)),
            more => format!("{holds}, and {more} calls wait for one, the first for {}", exact(longest_wait_ms)),
        }
    };
    pools.into_iter().filter(|(_, pool)| pool.held + pool.waiting > 0).map(line).collect()
}

/// An active fault: `products: +200ms, 10% errors, 1% traps on purpose, 4m left`.
pub(super) fn fault(fault: &FaultView) -> String {
    let latency = (fault.latency_ms > 0).then(|| format!("+{}", latency(fault)));
    let error = more_than_none(&fault.error).map(|share| format!("{share} errors"));
    let trap = more_than_none(&fault.trap).map(|share| format!("{share} traps"));
    let effect = [latency, error, trap].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let end = match (fault.seconds_left, fault.origin) {
        (Some(seconds), _) => format!("{} left", age(seconds)),
        (None, OriginView::Manifest) => "by the manifest".into(),
        (None, OriginView::Operator) => "until it is cleared".into(),
    };
    format!("{}: {effect} on purpose, {end}", fault.service)
}

/// The share, if it is not 0%.
fn more_than_none(share: &str) -> Option<&str> {
    (share != "0%").then_some(share)
}

/// A latency, and how many calls have it: `200ms`, `200ms of 30%`.
fn latency(fault: &FaultView) -> String {
    let latency = exact(fault.latency_ms);
    if fault.latency_share == "100%" { latency } else { format!("{latency} of {}", fault.latency_share) }
}

/// The active faults, one in each row.
pub(super) fn faults(faults: &[FaultView]) -> String {
    const COLUMNS: [(&str, Side); 7] = [
        ("ID", Right),
        ("SERVICE", Left),
        ("LATENCY", Right),
        ("ERROR", Right),
        ("TRAP", Right),
        ("LEFT", Right),
        ("ORIGIN", Left),
    ];
    if faults.is_empty() {
        return "no faults\n".into();
    }
    let row = |fault: &FaultView| {
        let latency = if fault.latency_ms > 0 { latency(fault) } else { none() };
        let [error, trap] =
            [&fault.error, &fault.trap].map(|share| more_than_none(share).map_or_else(none, Into::into));
        let left = fault.seconds_left.map_or_else(none, age);
        [fault.id.to_string(), fault.service.clone(), latency, error, trap, left, fault.origin.to_string()]
    };
    lay_out(COLUMNS, faults.iter().map(row))
}

/// The outside hosts that services called, one in each row.
pub(super) fn outside(hosts: &[OutsideView]) -> String {
    const COLUMNS: [(&str, Side); 6] = [
        ("SERVICE", Left),
        ("OUTSIDE", Left),
        ("BREAKER", Left),
        ("REQUESTS", Right),
        ("FAILURES", Right),
        ("IN-FLIGHT", Right),
    ];
    let row = |outside: &OutsideView| {
        let OutsideView { service, host, breaker, .. } = outside;
        let counts = [outside.requests, outside.failures, outside.in_flight];
        let [requests, failures, in_flight] = counts.map(|count| count.to_string());
        [service.clone(), host.clone(), breaker.to_string(), requests, failures, in_flight]
    };
    lay_out(COLUMNS, hosts.iter().map(row))
}

/// The routes, in the order of the manifest.
pub(super) fn routes(routes: &[RouteView]) -> String {
    const COLUMNS: [(&str, Side); 4] = [("MATCHES", Left), ("SERVICE", Left), ("CALL", Left), ("REWRITE", Left)];
    if routes.is_empty() {
        return "no routes\n".into();
    }
    let row = |route: &RouteView| {
        let RouteView { matches, call, rewrite, .. } = route.clone();
        [matches, answering(route), call.unwrap_or_else(none), rewrite.unwrap_or_else(none)]
    };
    // Without a policy in the manifest there is nothing to say of them.
    let closed = routes.iter().any(|route| route.auth.is_some());
    let mut text = if closed { guarded_routes(routes) } else { lay_out(COLUMNS, routes.iter().map(row)) };
    let left_out = routes.iter().filter_map(|route| Some((&route.matches, route.left_out.as_ref()?)));
    let notes: String =
        left_out.map(|(matches, reason)| format!("x {matches} is answered with 503: {reason}\n")).collect();
    if !notes.is_empty() {
        text.push_str(&format!("\n{notes}"));
    }
    text
}

/// The service of a route, or what the gateway answers with itself, in parentheses.
fn answering(route: &RouteView) -> String {
    let own = || route.answer.as_ref().map(|answer| format!("({answer})"));
    route.service.clone().or_else(own).unwrap_or_else(none)
}

/// The routes with those whom they let in. `none` marks a route that lets everybody in.
fn guarded_routes(routes: &[RouteView]) -> String {
    const COLUMNS: [(&str, Side); 6] =
        [("MATCHES", Left), ("SERVICE", Left), ("CALL", Left), ("REWRITE", Left), ("AUTH", Left), ("DEMANDS", Left)];
    let row = |route: &RouteView| {
        let RouteView { matches, call, rewrite, auth, scopes, claims, .. } = route.clone();
        let auth = auth.map_or_else(|| "none".into(), |policies| policies.join(","));
        let demands: Vec<_> = scopes.into_iter().chain(claims.iter().map(|claim| format!("claim:{claim}"))).collect();
        let demands = if demands.is_empty() { none() } else { demands.join(",") };
        [matches, answering(route), call.unwrap_or_else(none), rewrite.unwrap_or_else(none), auth, demands]
    };
    lay_out(COLUMNS, routes.iter().map(row))
}

/// The API keys, one in each row.
pub(super) fn keys(keys: &[KeyView]) -> String {
    const COLUMNS: [(&str, Side); 6] =
        [("ID", Left), ("NAME", Left), ("POLICY", Left), ("AGE", Right), ("LEFT", Right), ("SCOPES", Left)];
    if keys.is_empty() {
        return "no keys\n".into();
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let row = |key: &KeyView| {
        let KeyView { id, name, policy, scopes, created, expires, expired } = key.clone();
        let left = match expires {
            Some(_) if expired => "expired".into(),
            Some(end) => age(end.saturating_sub(now)),
            None => none(),
        };
        let scopes = if scopes.is_empty() { none() } else { scopes.join(",") };
        [id, name, policy, age(now.saturating_sub(created)), left, scopes]
    };
    lay_out(COLUMNS, keys.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fake::Fake;
    use crate::admin::{BreakerView, Operations, OriginView};
    use std::collections::BTreeMap;

    #[test]
    fn services_are_shown_with_one_row_for_each_endpoint() {
        let expected = "\
SERVICE  REVISION       AGE  ENDPOINT  PLACE                  BREAKER    REQUESTS  FAILURES  IN-FLIGHT  STATE
legacy   -                -  legacy-0  http://127.0.0.1:5001  open              3         3          3  ready
users    aaaaaaaaaaaa*   2h  users-0   instance               closed         1200         0          0  ready
                             users-1   instance               half-open         9         3          3  ready

* differs from the manifest: it was swapped, and lasts until the host restarts
";
        assert_eq!(services(&Fake::default().services()), expected);
    }

    #[test]
    fn the_note_about_swapped_revisions_is_shown_only_with_its_mark() {
        let mut all = Fake::default().services();
        for service in &mut all {
            service.differs_from_manifest = false;
        }
        assert!(!services(&all).contains('*'));
    }

    #[test]
    fn an_absent_value_is_shown_as_a_dash() {
        assert_eq!(services(&[]), "no services\n");
        assert_eq!(routes(&[]), "no routes\n");
        let mut all = Fake::default().services();
        all[0].endpoints.clear();
        let table = services(&all[..1]);
        let cells: Vec<_> = table.lines().nth(1).expect("a row").split_whitespace().collect();
        assert_eq!(cells, ["legacy", "-", "-", "-", "-", "-", "-", "-", "-", "-"]);
    }

    #[test]
    fn routes_are_shown_one_in_each_row() {
        let expected = "\
MATCHES       SERVICE  CALL  REWRITE
/legacy/{id}  legacy   -     /users/{id}
/api/users/*  users    -     -
";
        assert_eq!(routes(&Fake::default().routes()), expected);
    }

    #[test]
    fn whom_routes_let_in_is_shown_once_one_of_them_is_closed() {
        let mut all = Fake::default().routes();
        (all[0].auth, all[0].scopes) = (Some(vec!["staff".into(), "partner".into()]), vec!["users:read".into()]);
        all[0].claims = vec!["tenant".into()];
        let expected = "\
MATCHES       SERVICE  CALL  REWRITE      AUTH           DEMANDS
/legacy/{id}  legacy   -     /users/{id}  staff,partner  users:read,claim:tenant
/api/users/*  users    -     -            none           -
";
        assert_eq!(routes(&all), expected);
    }

    #[test]
    fn keys_are_shown_one_in_each_row() {
        let key = |id: &str, expires, expired| KeyView {
            id: id.into(),
            name: "acme".into(),
            policy: "partner".into(),
            scopes: vec!["a".into(), "b".into()],
            created: u64::MAX,
            expires,
            expired,
        };
        let expected = "\
ID  NAME  POLICY   AGE     LEFT  SCOPES
k1  acme  partner   0s        -  a,b
k2  acme  partner   0s  expired  a,b
";
        assert_eq!(keys(&[key("k1", None, false), key("k2", Some(5), true)]), expected);
        assert_eq!(keys(&[]), "no keys\n");
    }

    #[test]
    fn endpoints_without_calls_are_marked() {
        let mut all = Fake::default().services();
        let [first, second] = &mut all[1].endpoints[..] else { panic!("two endpoints") };
        (first.ready, first.forced) = (false, true);
        second.ejected = true;
        let table = services(&all);
        let start = |heading: &str| table.find(heading).expect("a heading");
        let (breaker, requests, state) = (start("BREAKER"), start("REQUESTS"), start("STATE"));
        let circuits: Vec<_> = table.lines().skip(1).take(3).map(|row| row[breaker..requests].trim()).collect();
        // The counts are right-aligned, and none is as wide as its heading.
        assert_eq!(circuits, ["open", "closed (forced)", "half-open"]);
        let states: Vec<_> = table.lines().skip(1).take(3).map(|row| &row[state..]).collect();
        assert_eq!(states, ["ready", "unready", "ejected"]);
        all[1].endpoints[0].ejected = true;
        assert!(services(&all).contains("  unready, ejected\n"));
        all[1].endpoints[0].starting = true;
        assert!(services(&all).contains("  starting\n"));
    }

    fn active(service: &str, latency_ms: u64, error: &str, trap: &str, seconds_left: Option<u64>) -> FaultView {
        let (error, trap) = (error.into(), trap.into());
        FaultView {
            latency_share: "100%".into(),
            id: 7,
            service: service.into(),
            latency_ms,
            error,
            trap,
            seconds_left,
            origin: OriginView::Operator,
        }
    }

    #[test]
    fn faults_and_waiting_calls_are_shown_below_the_table() {
        let mut all = Fake::default().services();
        assert!(!services(&all).contains('!'));
        all[0].waiting = 4;
        all[0].faults = vec![
            active("legacy", 200, "10%", "1%", Some(250)),
            FaultView { origin: OriginView::Manifest, ..active("legacy", 0, "0%", "0.5%", None) },
        ];
        let of_30 = FaultView { latency_share: "30%".into(), ..active("users", 2000, "0%", "0%", None) };
        all[1].faults = vec![of_30];
        all[1].pool = Some(PoolView { held: 14, waiting: 26, longest_wait_ms: 90 });
        let table = services(&all);
        let (_, below) = table.split_once("\n\n").expect("a line between");
        let expected = "\
! legacy: +200ms, 10% errors, 1% traps on purpose, 4m left
! legacy: 0.5% traps on purpose, by the manifest
! users: +2s of 30% on purpose, until it is cleared
~ legacy: 4 calls wait
~ users: holds 14 slots of the engine's pool, and 26 calls wait for one, the first for 90ms
* differs from the manifest: it was swapped, and lasts until the host restarts
";
        assert_eq!(below, expected);
    }

    #[test]
    fn sources_that_do_not_answer_are_shown_below_the_table() {
        let mut all = Fake::default().services();
        let source = |endpoints, age_seconds, error: Option<&str>| SourceView {
            address: "consul://c/legacy".into(),
            endpoints,
            zones: BTreeMap::new(),
            unhealthy: 0,
            unusable: 0,
            age_seconds,
            failures: 1,
            error: error.map(Into::into),
        };
        let late = Some("it does not answer in time");
        all[0].sources = vec![source(2, Some(3), None), source(2, Some(40), late), source(0, None, late)];
        let table = services(&all);
        let lines: Vec<_> = table.lines().filter(|line| line.starts_with('!')).collect();
        let start = "! legacy: consul://c/legacy: it does not answer in time";
        let expected =
            [format!("{start} (2 endpoints as of 40s ago)"), format!("{start} (it has never named an endpoint)")];
        assert_eq!(lines, expected);
    }

    #[test]
    fn faults_are_shown_one_in_each_row() {
        let expected = "\
ID  SERVICE   LATENCY  ERROR  TRAP  LEFT  ORIGIN
 7  products    200ms    10%    1%    4m  operator
 7  users           -      -  0.5%     -  operator
";
        let all = [active("products", 200, "10%", "1%", Some(240)), active("users", 0, "0%", "0.5%", None)];
        assert_eq!(faults(&all), expected);
        assert_eq!(faults(&[]), "no faults\n");
    }

    #[test]
    fn outside_hosts_are_shown_one_in_each_row() {
        let expected = "\
SERVICE  OUTSIDE                  BREAKER    REQUESTS  FAILURES  IN-FLIGHT
users    https://api.example.com  half-open        20         3          1
";
        let (service, host) = ("users".into(), "https://api.example.com".into());
        let one =
            OutsideView { service, host, breaker: BreakerView::HalfOpen, requests: 20, failures: 3, in_flight: 1 };
        assert_eq!(outside(&[one]), expected);
    }
}
