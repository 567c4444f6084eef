//! The values that valid manifests are read into.

use super::{folder, parse};
use crate::base::ServiceName;
use crate::config::{HealthConfig, Manifest, ProbeSpec, Route, RouteCall};
use crate::contract::{Info, Names};
use crate::egress::{Allow, EgressRule};
use crate::fault::{Fault, Share};
use crate::gateway::Answerer;
use crate::health::Schedule;
use crate::mesh::BulkheadSettings;
use crate::rollout::{PlainAddress, ServiceSpec};
use crate::telemetry::{AccessFormat, LogFormat, LogSettings};
use crate::{balance, breaker, gateway, listen, mesh, retry, route, runtime, state};
use http::uri::PathAndQuery;
use http::{Method, Uri};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// The name of the service that answers on `route`.
fn service(route: &Route) -> &str {
    match &route.answerer {
        Answerer::Service(service) => service.as_str(),
        other => panic!("{other:?}"),
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[test]
fn an_empty_manifest_has_the_default_settings_of_the_rooms() {
    let manifest = Manifest::parse("atoll.toml", String::new(), Path::new("/base"), &|_| None).expect("a manifest");
    let gateway = manifest.gateway;
    let listen = listen::Settings { address: address("127.0.0.1:8080"), ..listen::Settings::default() };
    assert_eq!(format!("{:?}", gateway.listen), format!("{listen:?}"));
    assert_eq!((gateway.drain, gateway.timeout), (Duration::from_secs(30), Duration::from_secs(15)));
    assert_eq!(manifest.log, LogSettings::default());
    assert_eq!(format!("{:?}", gateway.settings), format!("{:?}", gateway::Settings::default()));
    let info = Info { title: "Atoll".into(), version: env!("CARGO_PKG_VERSION").into(), description: None };
    assert_eq!((gateway.names, gateway.openapi), (Names::Snake, Some(info)));
    assert_eq!(manifest.admin.listen.address, address("127.0.0.1:9090"));
    assert!(manifest.admin.settings.token.is_none());
    let state = state::Settings { path: "/base/.atoll/state.redb".into(), ..state::Settings::default() };
    assert_eq!(manifest.state, state);
    let runtime = runtime::Settings { cache: "/base/.atoll/cache".into(), ..runtime::Settings::default() };
    assert_eq!((manifest.runtime, manifest.mesh), (runtime, mesh::Settings::default()));
    assert!(manifest.services.is_empty() && manifest.routes.is_empty());
}

#[test]
fn a_service_and_its_route_have_the_default_settings_of_the_rooms() {
    let text = "[service.users]\ncomponent = 'users.wasm'\n[[route]]\nprefix = '/users'\nservice = 'users'";
    let manifest = parse(text, &[]).expect("a manifest");
    let service = &manifest.services[0];
    assert!(service.component.as_ref().is_some_and(|path| path.ends_with("users.wasm") && path.is_absolute()));
    // Every key of a service has the default of the room that it configures.
    let name = ServiceName::new("users").expect("a name");
    assert_eq!(format!("{:?}", service.spec), format!("{:?}", ServiceSpec::new(name)));
    // Pinned as numbers: the line above would follow a default that was changed by mistake.
    let (total, addresses) = (service.spec.traffic.total, &service.spec.addresses);
    let (connect, dns) = (addresses.dial.connect, addresses.sources.every);
    let pinned = [15, 1, 30].map(Duration::from_secs);
    assert_eq!([total, connect, dns], pinned);
    assert_eq!((&service.ca, &service.spec.wit, &service.health, &service.fault), (&None, &None, &None, &None));
    let route = &manifest.routes[0];
    assert_eq!((route.body, route.timeout), (2 << 20, Duration::from_secs(15)));
    assert_eq!((Ok(&route.rule), &route.call), (route::Rule::prefix("/users").as_ref(), &None));
}

#[test]
fn a_typed_route_has_the_services_body_limit_and_get_includes_head() {
    let text = "[service.users]\ncomponent = 'users.wasm'\nlimits.body = '1KiB'\nisolation = 'reuse'\n\
                [[route]]\npath = '/users/{id}'\nmethod = 'GET'\ncall = 'users/get'\n\
                [[route]]\npath = '/users'\nmethod = 'POST'\ncall = 'users/users#add'\nbody = '2KiB'";
    let manifest = parse(text, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(manifest.services[0].spec.replicas.isolation, runtime::Isolation::Reuse(runtime::Reuse::default()));
    let [get, add] = &manifest.routes[..] else { panic!("two routes") };
    assert_eq!((get.rule.description().as_str(), service(get)), ("GET,HEAD /users/{id}", "users"));
    assert_eq!(add.rule.description(), "POST /users");
    assert_eq!((get.body, add.body), (1 << 10, 2 << 10));
    let (from_header, errors) = (BTreeMap::new(), BTreeMap::new());
    let call =
        RouteCall { function: "get".into(), method: Method::GET, from_header, status: None, location: None, errors };
    assert_eq!(get.call, Some(call.clone()));
    assert_eq!(add.call, Some(RouteCall { function: "users#add".into(), method: Method::POST, ..call }));
    let both = text.replace("'GET'", "['HEAD', 'GET']");
    assert_eq!(parse(&both, &[]).expect("a manifest").routes[0].rule, get.rule);
}

#[test]
fn every_key_of_the_edges_the_services_and_the_routes_is_read() {
    let text = include_str!("every_key.toml");
    let manifest = parse(text, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let listen = &manifest.gateway.listen;
    assert_eq!(listen.address, address("[::1]:1"));
    assert_eq!((listen.header_timeout, listen.idle_timeout), (Duration::from_secs(2), Duration::from_secs(3)));
    assert_eq!((listen.write_timeout, listen.max_headers), (Duration::from_secs(4), 50));
    assert_eq!((listen.header_bytes, listen.connections), (16 << 10, 500));
    assert_eq!((manifest.gateway.drain, manifest.gateway.timeout), (Duration::ZERO, Duration::from_secs(60)));
    let gateway = &manifest.gateway.settings;
    assert_eq!(gateway.trusted_proxies, [IpAddr::from([10, 0, 0, 7])]);
    assert_eq!((gateway.max_headers, gateway.header_bytes, gateway.body_memory), (50, 16 << 10, 128 << 20));
    assert_eq!(manifest.admin.listen.address, address("127.0.0.1:0"));
    let path = "/var/lib/atoll/state.redb".into();
    let key = state::StateKey::new(*b"01234567890123456789012345678901");
    let encryption = Some(state::Encryption { key: key.clone(), previous: Some(key) });
    let remote = manifest.state.remote.clone();
    let found = remote.as_ref().expect("a backend");
    assert_eq!((found.servers.clone(), &*found.database), (vec![("db.internal".into(), 5433)], "shop"));
    assert_eq!((&*found.user, &*found.namespace, found.tls), ("atoll", "shop", true));
    assert!(found.shared && !found.durable && found.password.is_some());
    assert!(found.ca.as_ref().is_some_and(|path| path.ends_with("ca.pem")));
    assert_eq!(
        manifest.state,
        state::Settings { path, max_batch: 64, queue: 32 << 20, cache: 128 << 20, encryption, remote }
    );
    let log = LogSettings {
        queue: 1 << 20,
        repeats: 5,
        guest_lines: 10,
        guest_burst: 20,
        refusals: 7,
        keep: 16 << 20,
        format: Some(LogFormat::Json),
        access: AccessFormat::Combined,
    };
    assert_eq!(manifest.log, log);
    assert_eq!((manifest.gateway.names, manifest.gateway.openapi), (Names::Camel, None));
    assert_eq!(manifest.runtime, runtime::Settings { cache: "/var/cache/atoll".into(), instances: 1000 });
    assert_eq!(manifest.mesh.depth, 16);

    let [users, legacy, _] = &manifest.services[..] else { panic!("three services in the order of the manifest") };
    let spec = &users.spec;
    assert_eq!((spec.name.as_str(), spec.replicas.count, spec.grants.state), ("users", 2, true));
    assert_eq!(spec.grants.bucket.as_deref(), Some("in_memory"));
    let url = |base, weight| PlainAddress { base: Uri::from_static(base), weight };
    assert_eq!(spec.addresses.urls, [url("http://127.0.0.1:5001", 1), url("https://legacy:5003", 1000)]);
    assert!(users.ca.as_ref().is_some_and(|path| path.ends_with("ca.pem") && path.is_absolute()));
    assert_eq!((spec.addresses.sources.every, spec.replicas.weight), (Duration::from_secs(60), 7));
    assert_eq!(spec.grants.config["page_size"], "50");
    assert_eq!(
        spec.grants.env,
        [("CA", ""), ("LOG", "debug")].map(|(a, b)| (a.to_owned(), b.to_owned())).into_iter().collect()
    );
    let timeout = Duration::from_millis(2500);
    let wait = Duration::from_millis(5);
    let limits = runtime::Limits { memory: 64 << 20, timeout, concurrency: 8, wait, share: 3 };
    assert_eq!(spec.replicas.limits, limits);
    assert_eq!(spec.traffic.bulkhead, BulkheadSettings { concurrency: 8, waiting: 0, wait });
    let (connect, total) = (Duration::from_secs(2), Duration::from_secs(3));
    assert_eq!((spec.addresses.dial.connect, spec.grants.dial.connect), (connect, connect));
    assert_eq!((spec.traffic.timeout, spec.traffic.total, users.body), (timeout, total, 1000));
    assert_eq!(spec.grants.calls.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["legacy", "users"]);
    assert!(users.spec.wit.as_ref().is_some_and(|path| path.ends_with("wit") && path.is_absolute()));
    assert_eq!(spec.idempotent, ["get", "users#list"]);
    let reuse = runtime::Reuse { max_requests: 100, max_concurrent: 4, idle_timeout: Duration::from_millis(250) };
    assert_eq!(spec.replicas.isolation, runtime::Isolation::Reuse(reuse));
    assert_eq!((legacy.spec.name.as_str(), &legacy.component), ("legacy", &None));
    assert_eq!((legacy.spec.grants.egress.clone(), &legacy.fault), (Allow::default(), &None));

    let [first, second, third, ..] = &manifest.routes[..] else { panic!("three routes") };
    assert_eq!(first.rule.description(), "GET,HEAD api.example.com/api/users/* [x-canary: 1]");
    assert_eq!((first.body, first.timeout), (10 << 20, Duration::from_secs(30)));
    assert_eq!(second.rule.description(), "GET /legacy/{id}");
    assert_eq!((second.body, service(second), &second.call), (2 << 20, "legacy", &None));
    assert_eq!((third.rule.description().as_str(), service(third)), ("PUT /api/users/{id}", "users"));
    let call = RouteCall {
        function: "users#replace".into(),
        method: Method::PUT,
        from_header: [("if-match".into(), "If-Match".into())].into(),
        status: Some(202),
        location: Some("/api/users/{id}".into()),
        errors: [("gone".into(), 410), ("taken".into(), 409)].into(),
    };
    assert_eq!(third.call, Some(call));
}

#[test]
fn every_key_of_the_calls_between_services_is_read() {
    let manifest = parse(include_str!("every_key.toml"), &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let [users, legacy, _] = &manifest.services[..] else { panic!("three services") };
    let (s, ms) = (Duration::from_secs, Duration::from_millis);
    assert_eq!(users.spec.breaker, breaker::Settings::simple(3, s(60), ms(3500)));
    let full = breaker::WindowedTrip {
        in_a_row: 3,
        window: s(20),
        least_calls: 10,
        ratio: 25,
        slow_call: Some(s(1)),
        slow_ratio: 75,
    };
    let open = breaker::OpenTime { least: s(2), most: s(30), jitter: 0 };
    let probes = breaker::Probes { at_a_time: 3, successes: 4, lease: s(11) };
    assert_eq!(legacy.spec.breaker, breaker::Settings { trip: breaker::Trip::Full(full), open, probes });
    let ejection = balance::Ejection { most: 0, least_calls: 10, margin: 100, pause: s(300) };
    let policy = balance::Policy::RoundRobin;
    assert_eq!(users.spec.traffic.balance, balance::Settings { policy, slow_start: Duration::ZERO, ejection });
    let (backoff, backoff_most) = (s(1), s(2));
    let retry = retry::Settings { tries: 0, backoff, backoff_most, budget: 0, budget_floor: 0, body: 0 };
    assert_eq!(users.spec.traffic.retry, retry);
    let probe = ProbeSpec::Call("users#ready".into());
    let schedule = Schedule { interval: s(1), timeout: s(1), down: 1, up: 5 };
    assert_eq!(users.health, Some(HealthConfig { probe, schedule }));
    let probe = ProbeSpec::Path(PathAndQuery::from_static("/healthz?deep=1"));
    assert_eq!(legacy.health, Some(HealthConfig { probe, schedule: Schedule::default() }));
    let share = |text| Share::parse(text).expect("a share");
    let fault = Fault::new(ms(200), share("10%"), share("0.1%")).expect("at most all calls");
    assert_eq!(users.fault, Some(fault.with_latency_share(share("30%"))));
    let rule = |to, private| EgressRule::parse(to, private).expect("a rule");
    let rules =
        [("https://api.example.com", false), ("http://billing.internal:8080", true), ("https://*.example.com", false)];
    assert_eq!(users.spec.grants.egress, Allow::new(rules.map(|(to, private)| rule(to, private)).into()));
}

#[test]
fn one_key_of_the_simple_breaker_selects_the_simple_breaker() {
    let breaker = |keys: &str| {
        let text = format!("[service.a]\nurls = ['http://a:1']\nlimits = {{ timeout = '2s' }}\nbreaker = {keys}");
        parse(&text, &[]).unwrap_or_else(|errors| panic!("{errors}")).services[0].spec.breaker
    };
    let (s, lease) = (Duration::from_secs, Duration::from_secs(3));
    assert_eq!(breaker("{ failure_threshold = 5 }"), breaker::Settings::simple(5, s(5), lease));
    assert_eq!(breaker("{ recovery_timeout = '5s' }"), breaker::Settings::simple(5, s(5), lease));
    assert!(matches!(breaker("{}").trip, breaker::Trip::Full(_)));
}

#[test]
fn the_manifest_names_every_balance_policy_by_its_display_form() {
    for policy in balance::Policy::ALL {
        let text = format!("[service.a]\nurls = ['http://a:1']\nbalance = '{policy}'");
        let manifest = parse(&text, &[]).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(manifest.services[0].spec.traffic.balance.policy, policy);
    }
}

#[test]
fn the_timeout_of_a_try_may_be_longer_than_the_total_and_a_fault_of_0_percent_is_none() {
    let text = "[service.a]\nurls = ['http://a:1']\nlimits = { timeout = '20s', total = '1s' }\n\
                fault = { error = '0%' }\nretry = { backoff = '1s', backoff_most = '1s' }\n\
                health = { path = '/', interval = '2s', timeout = '2s' }\n\
                breaker = { open = '1m', open_most = '60s' }";
    let manifest = parse(text, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let service = &manifest.services[0];
    let traffic = &service.spec.traffic;
    assert_eq!(service.spec.replicas.limits.timeout, Duration::from_secs(20));
    assert_eq!((traffic.timeout, traffic.total), (Duration::from_secs(20), Duration::from_secs(1)));
    assert_eq!(service.fault, None);
}

#[test]
fn environment_variables_override_the_manifest_unless_they_are_empty() {
    let text = "[gateway]\nlisten = '127.0.0.1:1'\n[state]\npath = 'a.redb'";
    let variables = [
        ("ATOLL_GATEWAY_LISTEN", "127.0.0.1:2"),
        ("ATOLL_ADMIN_LISTEN", "0.0.0.0:3"),
        ("ATOLL_ADMIN_TOKEN", "00112233445566778899aabbccddeeff"),
        ("ATOLL_STATE_PATH", "/data/b.redb"),
    ];
    let manifest = parse(text, &variables).expect("a manifest");
    assert_eq!(manifest.gateway.listen.address, address("127.0.0.1:2"));
    assert_eq!(manifest.admin.listen.address, address("0.0.0.0:3"));
    let token = manifest.admin.settings.token.as_ref().expect("a token");
    assert!(token.matches(b"00112233445566778899aabbccddeeff") && !token.matches(b"00112233445566778899aabbccddeefe"));
    assert_eq!(manifest.state.path, Path::new("/data/b.redb"));
    assert!(!format!("{manifest:?}").contains("00112233445566778899aabbccddeeff"));

    let unset = parse(text, &[("ATOLL_GATEWAY_LISTEN", ""), ("ATOLL_ADMIN_TOKEN", "")]).expect("a manifest");
    assert_eq!(unset.gateway.listen.address, address("127.0.0.1:1"));
    assert!(unset.admin.settings.token.is_none());
}

#[test]
fn the_manifest_names_the_api() {
    let openapi = |text: &str| parse(&format!("[gateway]\nopenapi = {text}"), &[]).expect(text).gateway.openapi;
    assert_eq!(openapi("false"), None);
    assert_eq!(openapi("true").expect("a description").title, "Atoll");
    let shop = Info { title: "Shop".into(), version: "2.1".into(), description: None };
    assert_eq!(openapi("{ title = 'Shop', version = '2.1' }"), Some(shop.clone()));
    let described = openapi("{ title = 'Shop', version = '2.1', description = 'Sells.' }");
    assert_eq!(described, Some(Info { description: Some("Sells.".into()), ..shop }));
}

#[test]
fn on_loopback_any_token_is_accepted() {
    assert!(parse("", &[("ATOLL_ADMIN_TOKEN", "hunter2")]).is_ok());
}

#[test]
fn an_admin_on_loopback_needs_no_token_and_both_edges_may_use_port_0() {
    for text in
        ["[admin]\nlisten = '127.0.0.2:1'", "[admin]\nlisten = '[::1]:1'", "[admin]\nlisten = '[::ffff:127.0.0.1]:1'"]
    {
        assert!(parse(text, &[]).is_ok(), "{text}");
    }
    assert!(parse("[gateway]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = '127.0.0.1:0'", &[]).is_ok());
}

#[test]
fn the_manifest_of_the_example_shop_is_valid() {
    let folder = folder();
    let dist = folder.path().join("components/dist");
    std::fs::create_dir_all(&dist).expect("a folder");
    let shop = ["users", "products", "orders", "mailer", "sales", "payments", "checkout"];
    for name in shop {
        std::fs::write(dist.join(format!("{name}.wasm")), b"").expect("a file");
    }
    for contract in ["users", "products", "orders-1.1", "mailer", "sales", "payments", "checkout"] {
        std::fs::create_dir_all(folder.path().join("wit").join(contract)).expect("a folder");
    }
    let path = folder.path().join("atoll.toml");
    std::fs::write(&path, include_str!("../../../../atoll.toml")).expect("a file");
    let manifest = Manifest::load(&path, &|_| None).unwrap_or_else(|errors| panic!("{errors}"));
    let names: Vec<_> = manifest.services.iter().map(|service| service.spec.name.as_str()).collect();
    assert_eq!(names, shop);
    assert_eq!(manifest.state.path, folder.path().join(".atoll/state.redb"));
}
