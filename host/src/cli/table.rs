//! What the admin tells, as tables for people.

use crate::admin::{RouteView, ServiceView};

/// Where a column puts its cells.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

use Side::{Left, Right};

/// Services with their endpoints, one endpoint a row.
pub(super) fn services(services: &[ServiceView]) -> String {
    const COLUMNS: [(&str, Side); 8] = [
        ("SERVICE", Left),
        ("REVISION", Left),
        ("AGE", Right),
        ("ENDPOINT", Left),
        ("PLACE", Left),
        ("BREAKER", Left),
        ("REQUESTS", Right),
        ("FAILURES", Right),
    ];
    if services.is_empty() {
        return "no services\n".into();
    }
    let mut table = lay_out(COLUMNS, services.iter().flat_map(rows));
    if services.iter().any(|service| service.differs_from_manifest) {
        table.push_str("\n* differs from the manifest: it was swapped, and lasts until the host restarts\n");
    }
    table
}

/// A service's rows; what is the same for all of its endpoints stands in the first alone.
fn rows(service: &ServiceView) -> Vec<[String; 8]> {
    let mark = if service.differs_from_manifest { "*" } else { "" };
    let revision = service.revision.as_ref().map_or_else(none, |revision| format!("{revision}{mark}"));
    let mut first = [service.name.clone(), revision, service.age_seconds.map_or_else(none, age)];
    if service.endpoints.is_empty() {
        let [name, revision, age] = first;
        return vec![[name, revision, age, none(), none(), none(), none(), none()]];
    }
    let row = |endpoint: &crate::admin::EndpointView| {
        let [name, revision, age] = std::mem::take(&mut first);
        let (requests, failures) = (endpoint.requests.to_string(), endpoint.failures.to_string());
        let (id, place) = (endpoint.id.clone(), endpoint.place.clone());
        [name, revision, age, id, place, endpoint.breaker.to_string(), requests, failures]
    };
    service.endpoints.iter().map(row).collect()
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

/// A cell that has nothing to say.
fn none() -> String {
    "-".into()
}

/// How long something has been there, in the largest unit that fits.
fn age(seconds: u64) -> String {
    const UNITS: [(u64, char); 3] = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
    let fitting = UNITS.iter().find(|(length, _)| seconds >= *length);
    fitting.map_or_else(|| format!("{seconds}s"), |(length, unit)| format!("{}{unit}", seconds / length))
}

/// The rows under their headings, in columns as wide as their widest cell, two spaces apart.
fn lay_out<const N: usize>(columns: [(&str, Side); N], rows: impl Iterator<Item = [String; N]>) -> String {
    let headings = columns.map(|(heading, _)| heading.to_owned());
    let rows: Vec<[String; N]> = std::iter::once(headings).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(columns).zip(widths).map(|((cell, (_, side)), width)| match side {
            Left => format!("{cell:<width$}"),
            Right => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Operations;
    use crate::admin::fake::Fake;

    #[test]
    fn services_stand_in_columns() {
        let expected = "\
SERVICE  REVISION       AGE  ENDPOINT  PLACE                  BREAKER    REQUESTS  FAILURES
legacy   -                -  legacy-0  http://127.0.0.1:5001  open              3         3
users    aaaaaaaaaaaa*   2h  users-0   instance               closed         1200         0
                             users-1   instance               half-open         9         3

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
        assert_eq!(cells, ["legacy", "-", "-", "-", "-", "-", "-", "-"]);
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
    fn an_age_is_in_the_largest_unit_that_fits() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (86_399, "23h"), (864_000, "10d")]
        {
            assert_eq!(age(seconds), text);
        }
    }
}
