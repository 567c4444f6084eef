//! What a service is granted and how it is bounded, as `atoll inspect` shows it.

use crate::admin::GrantView;
use crate::app::assembly::load;
use crate::base::ServiceName;
use crate::rollout::ServiceSpec;
use crate::runtime::{Isolation, Link};
use std::path::Path;

/// The grants and bounds of a service with this specification, in the order of `atoll inspect`. `links` are the
/// imports of its component that other services answer. Of settings and secrets there are the names alone.
pub fn grant_views(spec: &ServiceSpec, links: &[Link]) -> Vec<GrantView> {
    let view = |what: &str, lines: Vec<String>| {
        let lines = if lines.is_empty() { vec!["none".to_owned()] } else { lines };
        GrantView { what: what.to_owned(), lines }
    };
    let joined = |names: Vec<&str>| if names.is_empty() { Vec::new() } else { vec![names.join(", ")] };
    let (limits, bulkhead) = (&spec.replicas.limits, &spec.traffic.bulkhead);
    let limits = format!(
        "{} for each instance, {:?} for each call; {} replicas, each with {} at a time; {} may wait, for {:?}",
        bytes(limits.memory),
        limits.timeout,
        spec.replicas.count,
        limits.concurrency,
        bulkhead.waiting,
        bulkhead.wait
    );
    let calls = spec.grants.calls.iter().map(|callee| {
        let linked = links.iter().filter(|link| link.service == *callee).map(|link| link.import.to_string());
        let linked: Vec<_> = linked.collect();
        format!("{callee}: {}", if linked.is_empty() { "only by HTTP".to_owned() } else { linked.join(", ") })
    });
    vec![
        view("limits", vec![limits]),
        view("isolation", vec![isolation(&spec.replicas.isolation)]),
        view("state", if spec.grants.state { vec!["its own data".to_owned()] } else { Vec::new() }),
        view("config", joined(spec.grants.config.keys().map(String::as_str).collect())),
        view("secrets", joined(spec.grants.secrets.names().collect())),
        view("env", joined(spec.grants.env.names().collect())),
        view("calls", calls.collect()),
    ]
}

/// What the manifest at `path` grants `service`; `None`: it has no such service, or is not right.
pub fn manifest_grants(path: &Path, service: &ServiceName) -> Option<Vec<GrantView>> {
    let draft = load::manifest(path).ok().filter(|draft| draft.errors().is_none())?;
    let service = draft.manifest.services.iter().find(|one| one.spec.name == *service)?;
    Some(grant_views(&service.spec, &[]))
}

fn isolation(isolation: &Isolation) -> String {
    match isolation {
        Isolation::Request => "request: each call has an instance of its own".to_owned(),
        Isolation::Reuse(reuse) => format!(
            "reuse: an instance serves up to {} calls, {} at a time, and is idle for {:?} at most",
            reuse.max_requests, reuse.max_concurrent, reuse.idle_timeout
        ),
    }
}

/// A size in the largest unit that divides it.
fn bytes(size: usize) -> String {
    const UNITS: [(usize, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fitting = UNITS.iter().find(|(unit, _)| size >= *unit && size.is_multiple_of(*unit));
    fitting.map_or_else(|| format!("{size} B"), |(unit, name)| format!("{} {name}", size / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_in_the_largest_unit_that_divides_it() {
        for (size, text) in
            [(0, "0 B"), (1000, "1000 B"), (1 << 16, "64 KiB"), (1536 << 20, "1536 MiB"), (2 << 30, "2 GiB")]
        {
            assert_eq!(bytes(size), text);
        }
    }
}
