//! The table against a naive model that scans all rules and sorts the matching ones by precedence; and the paths in
//! both directions.

use super::*;
use crate::base::HostAndPort;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use std::cmp::Reverse;

/// The parts of which rules and requests are made here: few, so that they match often.
#[derive(Debug, Clone)]
struct Parts {
    host: Option<&'static str>,
    methods: Vec<&'static str>,
    path: String,
    headers: Vec<(&'static str, &'static str)>,
}

fn rule(parts: &Parts, prefix: bool) -> Result<Rule, RuleError> {
    let mut rule = if prefix { Rule::prefix(&parts.path) } else { Rule::exact(&parts.path) }?;
    if let Some(host) = parts.host {
        rule = rule.with_host(host)?;
    }
    for (name, value) in &parts.headers {
        rule = rule.with_header(name, value)?;
    }
    rule.with_methods(&parts.methods)
}

fn table(routes: &[(&str, &'static str)]) -> RoutingTable<&'static str> {
    let rule =
        |path: &str| if let Some(prefix) = path.strip_suffix('*') { Rule::prefix(prefix) } else { Rule::exact(path) };
    RoutingTable::new(routes.iter().map(|(path, target)| (rule(path).expect("a rule"), *target)).collect())
}

/// The target for a `GET` of `path`.
fn get(table: &RoutingTable<&'static str>, path: &str) -> Option<&'static str> {
    let path = Path::parse(path).expect("a path");
    let head = RequestHead { host: None, method: &Method::GET, path, headers: &HeaderMap::new() };
    match table.find(&head) {
        RouteLookup::Route(found) => Some(*found.target),
        _ => None,
    }
}

/// The result of `check` for the match of `path` with the only rule of a table.
fn matched<R>(rule: Result<Rule, RuleError>, path: &str, check: impl FnOnce(Match<'_, ()>) -> R) -> R {
    let table = RoutingTable::new(vec![(rule.expect("a rule"), ())]);
    let path = Path::parse(path).expect("a path");
    let head = RequestHead { host: None, method: &Method::GET, path, headers: &HeaderMap::new() };
    match table.find(&head) {
        RouteLookup::Route(found) => check(found),
        other => panic!("{other:?} for {path:?}"),
    }
}

#[test]
fn a_prefix_matches_whole_segments() {
    let table = table(&[("/api/users*", "users"), ("/*", "rest")]);
    for path in ["/api/users", "/api/users/", "/api/users/7", "/%61pi/users", "/api/user%73/7"] {
        assert_eq!(get(&table, path), Some("users"), "{path}");
    }
    for path in ["/", "/api", "/api/usersx", "/API/users", "//api/users", "/api//users"] {
        assert_eq!(get(&table, path), Some("rest"), "{path}");
    }
}

#[test]
fn an_exact_path_matches_the_whole_path_only() {
    let table = table(&[("/a/{x}", "one"), ("/a/{x}/", "slash"), ("/", "root")]);
    let cases = [
        ("/a/7", Some("one")),
        ("/a/7/", Some("slash")),
        ("/a/", None),
        ("/a", None),
        ("/", Some("root")),
        ("//", None),
    ];
    for (path, target) in cases {
        assert_eq!(get(&table, path), target, "{path}");
    }
}

#[test]
fn a_literal_goes_before_a_parameter_and_the_walk_falls_back_to_the_parameter() {
    let table = table(&[("/{x}/b/{y}", "late literal"), ("/a/{x}/c", "early literal"), ("/{x}/{y}/d", "parameters")]);
    let cases =
        [("/a/b/c", "early literal"), ("/a/b/x", "late literal"), ("/a/b/d", "late literal"), ("/a/x/d", "parameters")];
    for (path, target) in cases {
        assert_eq!(get(&table, path), Some(target), "{path}");
    }
}

#[test]
fn a_wrong_method_is_distinguished_from_no_route() {
    let rule =
        |path, methods: &[&str]| (Rule::prefix(path).and_then(|rule| rule.with_methods(methods)).expect("a rule"), ());
    let table = RoutingTable::new(vec![rule("/a", &["PUT", "GET"]), rule("/a/b", &["GET", "DELETE"])]);
    let allowed = |path| {
        let path = Path::parse(path).expect("a path");
        match table.find(&RequestHead { host: None, method: &Method::POST, path, headers: &HeaderMap::new() }) {
            RouteLookup::MethodNotAllowed(allowed) => Some(allowed),
            RouteLookup::None => None,
            found @ RouteLookup::Route(_) => panic!("{found:?}"),
        }
    };
    assert_eq!(allowed("/a/b"), Some(vec![Method::DELETE, Method::GET, Method::HEAD, Method::PUT]));
    assert_eq!(allowed("/a"), Some(vec![Method::GET, Method::HEAD, Method::PUT]));
    assert_eq!(allowed("/b"), None);
}

#[test]
fn a_header_sent_twice_matches_by_either_value() {
    let rule = Rule::prefix("/").and_then(|rule| rule.with_header("x-a", "1"));
    let table = RoutingTable::new(vec![(rule.expect("a rule"), ())]);
    let finds = |values: &[&'static str]| {
        let name = HeaderName::from_static("x-a");
        let headers: HeaderMap = values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect();
        let path = Path::parse("/").expect("a path");
        matches!(
            table.find(&RequestHead { host: None, method: &Method::GET, path, headers: &headers }),
            RouteLookup::Route(_)
        )
    };
    assert!(finds(&["1"]) && finds(&["2", "1"]));
    assert!(!finds(&[]) && !finds(&["2"]) && !finds(&["1, 2"]));
}

#[test]
fn a_stripped_prefix_is_added_to_locations_again() {
    let rule = || Rule::prefix("/api").and_then(|rule| rule.with_strip_prefix("/api"));
    let cases =
        [("/api/users/7", "/users/7"), ("/api", "/"), ("/api/", "/"), ("/%61pi/a%20b", "/a%20b"), ("/api//x", "//x")];
    for (public, upstream) in cases {
        matched(rule(), public, |found| assert_eq!(found.upstream_path(), upstream, "{public}"));
    }
    matched(rule(), "/api/users", |found| {
        assert_eq!(found.stripped_prefix(), Some("/api"));
        assert_eq!(found.public_location("/users/9?a=/b#c"), "/api/users/9?a=/b#c");
        assert_eq!(found.public_location("/?a"), "/api/?a");
        for other in ["", "9", "../users", "?a", "//host/users", "http://host/users"] {
            assert_eq!(found.public_location(other), other);
        }
    });
}

#[test]
fn a_template_is_filled_and_mapped_back() {
    let rule = Rule::exact("/t/{tenant}/legacy/{id}").and_then(|rule| rule.with_rewrite("/users/{id}"));
    matched(rule, "/t/acme/legacy/a%2Db", |found| {
        assert_eq!(found.params().collect::<Vec<_>>(), [("tenant", "acme"), ("id", "a%2Db")]);
        assert_eq!(found.upstream_path(), "/users/a%2Db");
        assert_eq!(found.stripped_prefix(), None);
        assert_eq!(
            found.public_location("/users/9?x"),
            "/t/acme/legacy/9?x",
            "a parameter that the template does not use keeps the request's value"
        );
        for other in ["/users", "/users/", "/users/9/x", "/products/9", "/users/..", "/"] {
            assert_eq!(found.public_location(other), other);
        }
    });
    let twice = Rule::exact("/{id}").and_then(|rule| rule.with_rewrite("/{id}/copy/{id}"));
    matched(twice, "/7", |found| {
        assert_eq!(found.upstream_path(), "/7/copy/7");
        assert_eq!(found.public_location("/9/copy/9"), "/9");
        assert_eq!(found.public_location("/9/copy/8"), "/9/copy/8");
    });
    matched(Rule::exact("/a"), "/a", |found| {
        assert_eq!((found.upstream_path(), found.public_location("/b")), ("/a".into(), "/b".into()))
    });
}

// The model. It has no trees: it splits and compares strings.

fn decoded(segment: &str) -> String {
    segment.replace("%61", "a").replace("%62", "b")
}

/// The precedence of a rule that matches host and path: the smallest goes first. `None` if the rule does not match.
fn precedence(rule: &Parts, prefix: bool, request: &Parts) -> Option<impl Ord + use<>> {
    let host = match (rule.host, request.host) {
        (None, _) => (2, Reverse(0)),
        (Some(_), None) => return None,
        (Some(pattern), Some(host)) => {
            let host = host.to_lowercase().replace(":80", "");
            match pattern.strip_prefix('*') {
                None if host == pattern => (0, Reverse(0)),
                Some(suffix) if host.len() > suffix.len() && host.ends_with(suffix) => (1, Reverse(suffix.len())),
                _ => return None,
            }
        }
    };
    let path: Vec<String> = request.path[1..].split('/').map(decoded).collect();
    let own: Vec<&str> = rule.path[1..].split('/').collect();
    let is_parameter = |segment: &&str| segment.starts_with('{');
    let path = if prefix {
        let own = if rule.path == "/" { vec![] } else { own };
        if path.len() < own.len() || path.iter().zip(&own).any(|(a, b)| a != b) {
            return None;
        }
        (true, vec![], Reverse(own.len()))
    } else {
        let fits = |(a, b): (&String, &&str)| if is_parameter(b) { !a.is_empty() } else { a == b };
        if path.len() != own.len() || !path.iter().zip(&own).all(fits) {
            return None;
        }
        (false, own.iter().map(is_parameter).collect(), Reverse(0))
    };
    Some((host, path, rule.methods.is_empty(), Reverse(rule.headers.len()), head_by_get(&rule.methods)))
}

/// HEAD comes with GET, if the rule does not name it.
fn head_by_get(methods: &[&str]) -> bool {
    methods.contains(&"GET") && !methods.contains(&"HEAD")
}

fn model(rules: &[(Parts, bool)], request: &Parts) -> Result<usize, Vec<&'static str>> {
    let mut matching = Vec::new();
    let mut allowed = Vec::new();
    for (at, (rule, prefix)) in rules.iter().enumerate() {
        let Some(precedence) = precedence(rule, *prefix, request) else { continue };
        if !rule.headers.iter().all(|header| request.headers.contains(header)) {
            continue;
        }
        let mut methods = rule.methods.clone();
        methods.extend(head_by_get(&rule.methods).then_some("HEAD"));
        if methods.is_empty() || methods.contains(&request.methods[0]) {
            matching.push((precedence, at));
        } else {
            allowed.extend(methods);
        }
    }
    allowed.sort_unstable();
    allowed.dedup();
    matching.into_iter().min().map(|(_, at)| at).ok_or(allowed)
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let values = prop_oneof![2 => Just(None), 1 => Just(Some("1")), 1 => Just(Some("2"))];
    (values.clone(), values).prop_map(|(a, b)| a.map(|a| ("x-a", a)).into_iter().chain(b.map(|b| ("x-b", b))).collect())
}

fn rule_parts() -> impl Strategy<Value = (Parts, bool)> {
    let host = prop::sample::select(vec![None, None, Some("a.x"), Some("b.a.x"), Some("*.x"), Some("*.a.x")]);
    let methods = prop::sample::subsequence(vec!["DELETE", "GET", "HEAD", "POST"], 0..3);
    let prefix = "/|(/[ab]){1,3}".prop_map(|path| (path, true));
    // Parameters are numbered afterwards, because their names must differ.
    let exact = "(/[ab{]){1,3}/?|/".prop_map(|path| {
        let segment = |(at, segment)| if segment == "{" { format!("{{p{at}}}") } else { String::from(segment) };
        (path.split('/').enumerate().map(segment).collect::<Vec<_>>().join("/"), false)
    });
    (host, methods, prop_oneof![prefix, exact], headers())
        .prop_map(|(host, methods, (path, prefix), headers)| (Parts { host, methods, path, headers }, prefix))
}

fn request() -> impl Strategy<Value = Parts> {
    let host = prop::sample::select(vec![
        None,
        Some("a.x"),
        Some("A.x:80"),
        Some("b.a.x"),
        Some("c.b.a.x"),
        Some("x"),
        Some("y"),
    ]);
    let method = prop::sample::select(vec!["GET", "HEAD", "POST", "PUT"]);
    (host, method, "(/([abc]|%61|%62|)){1,4}", headers()).prop_map(|(host, method, path, headers)| Parts {
        host,
        methods: vec![method],
        path,
        headers,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_table_finds_what_the_model_finds(
        rules in prop::collection::vec(rule_parts(), 0..24),
        requests in prop::collection::vec(request(), 1..16),
    ) {
        let routes = rules.iter().enumerate().map(|(at, (parts, prefix))| (rule(parts, *prefix).expect("a rule"), at));
        let table = RoutingTable::new(routes.collect());
        for request in requests {
            let method = Method::from_bytes(request.methods[0].as_bytes()).expect("a method");
            let header = |&(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            let headers: HeaderMap = request.headers.iter().map(header).collect();
            let path = Path::parse(&request.path).expect("a path");
            let host = request.host.and_then(HostAndPort::parse);
            let head = RequestHead { host, method: &method, path, headers: &headers };
            let found = match table.find(&head) {
                RouteLookup::Route(found) => Ok(*found.target),
                RouteLookup::MethodNotAllowed(allowed) => Err(allowed.iter().map(Method::to_string).collect()),
                RouteLookup::None => Err(Vec::new()),
            };
            let wanted = model(&rules, &request);
            let wanted = wanted.map_err(|allowed| allowed.into_iter().map(String::from).collect::<Vec<_>>());
            prop_assert_eq!(found, wanted, "{:?}", request);
        }
    }

    #[test]
    fn a_location_with_the_services_path_becomes_the_public_path(
        rest in "(/[a-z0-9~]{1,3}(%20|[.]x)?){1,4}/?",
        query in "([?#][a-z/?]{0,5})?",
    ) {
        let path = format!("/api{rest}");
        let rule = Rule::prefix("/api").and_then(|rule| rule.with_strip_prefix("/api"));
        matched(rule, &path, |found| {
            let location = format!("{}{query}", found.upstream_path());
            assert_eq!(found.public_location(&location), format!("{path}{query}"));
        });
    }

    #[test]
    fn the_location_of_a_template_is_mapped_back_to_the_public_path(
        a in "[a-z0-9]{1,4}(%[3467][1-9a-d])?",
        b in "[A-Z~.]{1,3}x",
    ) {
        let path = format!("/old/{a}/x/{b}");
        let rule = Rule::exact("/old/{a}/x/{b}").and_then(|rule| rule.with_rewrite("/{b}/new/{a}"));
        matched(rule, &path, |found| {
            assert_eq!(found.upstream_path(), format!("/{b}/new/{a}"));
            assert_eq!(found.public_location(&found.upstream_path()), path);
        });
    }
}
