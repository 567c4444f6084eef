//! What the admin tells, as tables for people.

use super::layout::Side::{Left, Right};
use super::layout::{Side, age, exact, lay_out, none};
use crate::admin::{EndpointView, FaultView, OriginView, OutsideView, RouteView, ServiceView};

/// How many columns the table of services has.
const SERVICES: usize = 10;

/// Services with their endpoints, one endpoint a row; below them what is not as usual. Headings are single words and new columns come last,
/// for those who cut the table up.
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

/// A service's rows; what is the same for all of its endpoints stands in the first alone.
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

/// Whether the balancer gives it calls, apart from its circuit.
fn state(endpoint: &EndpointView) -> String {
    let state = match (endpoint.ready, endpoint.ejected) {
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

/// What is not as usual, a line each.
fn notes(services: &[ServiceView]) -> Vec<String> {
    let faults = services.iter().flat_map(|service| &service.faults).map(|one| format!("! {}", fault(one)));
    let waiting = services.iter().filter(|service| service.waiting > 0).map(|service| match service.waiting {
        1 => format!("~ {}: 1 call waits for its turn", service.name),
        more => format!("~ {}: {more} calls wait for their turn", service.name),
    });
    let swapped = services.iter().any(|service| service.differs_from_manifest);
    let swapped =
        swapped.then(|| "* differs from the manifest: it was swapped, and lasts until the host restarts".into());
    faults.chain(waiting).chain(swapped).collect()
}

/// A fault that stands: `products: +200ms, 10% errors, 1% traps on purpose, 4m left`.
pub(super) fn fault(fault: &FaultView) -> String {
    let latency = (fault.latency_ms > 0).then(|| format!("+{}", exact(fault.latency_ms)));
    let error = harmful(&fault.error).map(|share| format!("{share} errors"));
    let trap = harmful(&fault.trap).map(|share| format!("{share} traps"));
    let harm = [latency, error, trap].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let end = match (fault.seconds_left, fault.origin) {
        (Some(seconds), _) => format!("{} left", age(seconds)),
        (None, OriginView::Manifest) => "by the manifest".into(),
        (None, OriginView::Operator) => "until it is cleared".into(),
    };
    format!("{}: {harm} on purpose, {end}", fault.service)
}

/// The share, if it is one of any call.
fn harmful(share: &str) -> Option<&str> {
    (share != "0%").then_some(share)
}

/// The faults that stand, one a row.
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
        let latency = if fault.latency_ms > 0 { exact(fault.latency_ms) } else { none() };
        let [error, trap] = [&fault.error, &fault.trap].map(|share| harmful(share).map_or_else(none, Into::into));
        let left = fault.seconds_left.map_or_else(none, age);
        [fault.id.to_string(), fault.service.clone(), latency, error, trap, left, fault.origin.to_string()]
    };
    lay_out(COLUMNS, faults.iter().map(row))
}

/// The outside hosts that services called, one a row.
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

/// Routes in the order of the manifest.
pub(super) fn routes(routes: &[RouteView]) -> String {
    const COLUMNS: [(&str, Side); 4] = [("MATCHES", Left), ("SERVICE", Left), ("CALL", Left), ("REWRITE", Left)];
    if routes.is_empty() {
        return "no routes\n".into();
    }
    let row = |route: &RouteView| {
        let RouteView { matches, service, call, rewrite } = route.clone();
        [matches, service, call.unwrap_or_else(none), rewrite.unwrap_or_else(none)]
    };
    lay_out(COLUMNS, routes.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fake::Fake;
    use crate::admin::{BreakerView, Operations, OriginView};

    #[test]
    fn services_stand_in_columns() {
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
    fn the_footnote_comes_only_with_its_mark() {
        let mut all = Fake::default().services();
        for service in &mut all {
            service.differs_from_manifest = false;
        }
        assert!(!services(&all).contains('*'));
    }

    #[test]
    fn what_is_not_there_is_a_dash() {
        assert_eq!(services(&[]), "no services\n");
        assert_eq!(routes(&[]), "no routes\n");
        let mut all = Fake::default().services();
        all[0].endpoints.clear();
        let table = services(&all[..1]);
        let cells: Vec<_> = table.lines().nth(1).expect("a row").split_whitespace().collect();
        assert_eq!(cells, ["legacy", "-", "-", "-", "-", "-", "-", "-", "-", "-"]);
    }

    #[test]
    fn routes_stand_in_columns() {
        let expected = "\
MATCHES       SERVICE  CALL  REWRITE
/legacy/{id}  legacy   -     /users/{id}
/api/users/*  users    -     -
";
        assert_eq!(routes(&Fake::default().routes()), expected);
    }

    #[test]
    fn who_gets_no_calls_is_marked() {
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
    }

    fn standing(service: &str, latency_ms: u64, error: &str, trap: &str, seconds_left: Option<u64>) -> FaultView {
        let (error, trap) = (error.into(), trap.into());
        FaultView {
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
    fn a_fault_on_purpose_is_a_line_below_the_table() {
        let mut all = Fake::default().services();
        assert!(!services(&all).contains('!'));
        all[0].waiting = 4;
        all[0].faults = vec![
            standing("legacy", 200, "10%", "1%", Some(250)),
            FaultView { origin: OriginView::Manifest, ..standing("legacy", 0, "0%", "0.5%", None) },
        ];
        all[1].faults = vec![standing("users", 2000, "0%", "0%", None)];
        let table = services(&all);
        let (_, below) = table.split_once("\n\n").expect("a line between");
        let expected = "\
! legacy: +200ms, 10% errors, 1% traps on purpose, 4m left
! legacy: 0.5% traps on purpose, by the manifest
! users: +2s on purpose, until it is cleared
~ legacy: 4 calls wait for their turn
* differs from the manifest: it was swapped, and lasts until the host restarts
";
        assert_eq!(below, expected);
    }

    #[test]
    fn faults_stand_in_columns() {
        let expected = "\
ID  SERVICE   LATENCY  ERROR  TRAP  LEFT  ORIGIN
 7  products    200ms    10%    1%    4m  operator
 7  users           -      -  0.5%     -  operator
";
        let all = [standing("products", 200, "10%", "1%", Some(240)), standing("users", 0, "0%", "0.5%", None)];
        assert_eq!(faults(&all), expected);
        assert_eq!(faults(&[]), "no faults\n");
    }

    #[test]
    fn outside_hosts_stand_in_columns() {
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
