//! Routing: any rule is made or refused, and a table with it finds a route for any request without a panic. A rule
//! without parameters fits its own path.
//!
//! The text is six lines: the rule's path, its host, its rewrite, the prefix to strip; the request's host and path.
#![no_main]

use host::base::HostAndPort;
use host::route::{Path, RequestHead, RouteLookup, RoutingTable, Rule, RuleError, decode};
use http::{HeaderMap, Method};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n').chain(std::iter::repeat(""));
    let mut next = || lines.next().unwrap_or_default();
    let (path, host, rewrite, prefix) = (next(), next(), next(), next());
    let (request_host, request_path) = (next(), next());

    let rules = [Rule::exact(path), Rule::prefix(path), with_all(path, host, rewrite, prefix)];
    let table = RoutingTable::new(rules.into_iter().flatten().map(|rule| (rule, ())).collect());
    let own = table.routes().first().map(|(rule, ())| (rule.path(), rule.parameters().next().is_none()));
    if let Some((path, true)) = own
        && let Ok(path) = Path::parse(&path)
    {
        assert!(find(&table, None, path), "{:?} misses itself", path.as_str());
    }
    if let Ok(path) = Path::parse(request_path) {
        path.segments().for_each(|segment| drop(decode(segment)));
        find(&table, Some(request_host).filter(|host| !host.is_empty()), path);
    }
});

fn with_all(path: &str, host: &str, rewrite: &str, prefix: &str) -> Result<Rule, RuleError> {
    let rule = Rule::exact(path)?.with_methods(&["GET", "POST"])?.with_header("x-kind", "a")?.with_host(host)?;
    if rewrite.is_empty() { rule.with_strip_prefix(prefix) } else { rule.with_rewrite(rewrite) }
}

/// Whether the table has a route for a GET of this path.
fn find(table: &RoutingTable<()>, host: Option<&str>, path: Path) -> bool {
    let no_headers = HeaderMap::new();
    let head =
        RequestHead { host: host.and_then(HostAndPort::parse), method: &Method::GET, path, headers: &no_headers };
    matches!(table.find(&head), RouteLookup::Route(_))
}
