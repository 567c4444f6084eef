//! The findings for wrong keys of the calls between services: position, message and help.

use super::{cases, lines, parse};

/// A manifest with one service of one address, and these lines of it.
macro_rules! urls {
    ($lines:literal) => {
        concat!("[service.a]\nurls = ['http://a:1']\n", $lines)
    };
}

/// A manifest with one service of a component, and these lines of it.
macro_rules! component {
    ($lines:literal) => {
        concat!("[service.a]\ncomponent = 'users.wasm'\n", $lines)
    };
}

#[test]
fn wrong_urls_ca_dns_and_weights_are_findings() {
    cases! {
        "[service.a]\nurls = ['ftp://a:1']" =>
            "2:9", "`urls` must be an address: http, https, dns+srv, consul, etcd, eureka or k8s, not \"ftp://a:1\"",
            "or a DNS name with SRV records: \"dns+srv://_http._tcp.users.internal\"";
        "[service.a]\nurls = ['dns+srv://users']" =>
            "2:9", "`urls` must hold a DNS name of two labels or more", "dns+srv://_http._tcp.users.internal";
        "[service.a]\nurls = ['consul://c/users?token=x']" =>
            "2:9", "`urls` must not hold a `token`: write it in `[discovery.consul]`", "consul://10.0.0.2:8500/users";
        "[service.a]\nurls = ['etcd://e']" => "2:9", "`urls` must name a prefix of keys", "etcd://10.0.0.2:2379/";
        "[service.a]\nurls = ['eureka://e/u/x']" => "2:9", "`urls` must name one service", "eureka://10.0.0.2:8761/";
        "[service.a]\nurls = ['k8s://shop']" => "2:9", "`urls` must name one Service", "k8s://shop/users:http";
        "[service.a]\nurls = [5]" =>
            "2:9",
            "must be an address: http, https, dns+srv, consul, etcd, eureka or k8s, or { url, weight } \
             with `weight` a whole number of 1 to 1000, not 5",
            "{ url = …, weight = … }";
        "[service.a]\nurls = [['http://a']]" => "2:9", "not a list of 1", "write it in quotes";
        "[service.a]\nurls = [{ url = 'http://a', weight = 0 }]" =>
            "2:38", "`urls` has an entry `weight`, which must be a whole number of 1 to 1000, not 0", "1 to 1000";
        "[service.a]\nurls = [{ url = 'a', weight = 1 }]" =>
            "2:17", "must be an address: http, https, dns+srv, consul, etcd, eureka or k8s, not \"a\"", "scheme";
        "[service.a]\nurls = [{ weight = 1 }]" => "2:9", "`urls` has a table without `url`", "{ url = …";
        "[service.a]\nurls = [{ url = 'http://a', wieght = 1 }]" =>
            "2:29", "`urls` has an unknown key `wieght`", "did you mean `weight`?";
        "[service.a]\nurls = [{ url = 'https://a' }, 'https://A/']" => "2:32", "`https://A/` is there twice", "once";
        urls!("ca = 'ca.pem'") =>
            "3:6", "`ca` has no effect, since no address of the service is https://", "leave `ca` out";
        component!("ca = 'ca.pem'") => "3:6", "`ca` has no effect", "https:// in `urls`";
        "[service.a]\nurls = ['https://a']\nca = 'gone.pem'" =>
            "3:6", "cannot find the certificates `gone.pem`",
            "leave `ca` out to trust what the system trusts; looked for /";
        "[service.a]\nurls = ['https://a']\nca = 'wit'" => "3:6", "`wit` is not a file", "PEM file";
        // The address is wrong, so it is not known whether `ca` has an effect.
        "[service.a]\nurls = ['https:/a']\nca = 'ca.pem'"
            => "2:9", "must be an address: http, https, dns+srv, consul, etcd, eureka or k8s", "scheme";
        urls!("dns = '500ms'") => "3:7", "`dns` must be a duration of 1s to 1h, not \"500ms\"", "\"5s\"";
        component!("weight = 1001") => "3:10", "`weight` must be a whole number of 1 to 1000, not 1001", "1000";
    }
    let all = lines(&parse("[service.a]\nurls = [{ url = 'a', weight = 0, x = 1 }]", &[]).expect_err("three"));
    assert_eq!(all.len(), 3, "{all:#?}");
}

#[test]
fn wrong_egress_rules_are_findings() {
    cases! {
        component!("egress = ['https://a.example.com', 'ftp://a']") =>
            "3:36", "`ftp://a` is no outside host", "its scheme must be `https` or `http`";
        component!("egress = [{ to = 'example.com', private = true }]") =>
            "3:18", "`example.com` is no outside host", "write the scheme too";
        component!("egress = [{ to = 'https://a', private = 'yes' }]") =>
            "3:41", "`egress` has an entry `private`, which must be true or false", "without quotes";
        component!("egress = [{ private = true }]") =>
            "3:11", "`egress` has a table without `to`", "{ to = …, private = … }";
        component!("egress = [true]") =>
            "3:11", "or { to, private } with `private` true or false, not true", "in quotes";
        component!("egress = ['https://a/x: y']") => "3:11", "`https://a/x: y` is no outside host", "write `https://a`";
        component!("egress = ['https://a', { to = 'https://a', private = true }]") =>
            "3:31", "`https://a` is there twice", "once";
        component!("egress = 'https://a'") => "3:10", "must be a list of at most 256", "square brackets";
    }
}

#[test]
fn keys_of_the_simple_and_the_full_breaker_exclude_each_other() {
    cases! {
        urls!("breaker = { failure_threshold = 3, ratio = 25 }") =>
            "3:44", "`failure_threshold` of the simple breaker and `ratio` of the full one exclude each other",
            "leave out `failure_threshold` and `recovery_timeout`, or every other";
        urls!("[service.a.breaker]\nsuccesses = 3\nwindow = '5s'\nrecovery_timeout = '1s'\nfailure_threshold = 5") =>
            "4:13", "`recovery_timeout` of the simple breaker and `successes` of the full one",
            "or every other key of `breaker`";
        urls!("breaker = { slow_call = '1s', failure_threshold = 3 }") =>
            "3:25", "and `slow_call` of the full one", "leave out";
        urls!("breaker = { ratio = 0 }") => "3:21", "`ratio` must be a whole number of 1 to 100, not 0", "1 to 100";
        urls!("breaker = { jitter = 101 }") =>
            "3:22", "`jitter` must be a whole number of 0 to 100, not 101", "0 to 100";
        urls!("breaker = { window = '10ms' }") => "3:22", "`window` must be a duration of 100ms to 10m", "\"5s\"";
        urls!("breaker = { slow_ratio = 30 }") =>
            "3:26", "`slow_ratio` has no effect, since no call is too slow", "add slow_call = \"1s\"";
        urls!("breaker = { slow_ratio = 30, slow_call = 1 }") => "3:42", "`slow_call` must be a duration", "\"5s\"";
        urls!("breaker = { open = '2m' }") =>
            "3:20", "`open` (2m) is longer than `open_most` (1m)", "make `open` shorter, or `open_most` longer";
        urls!("breaker = { open_most = '1500ms', open = '2s' }") =>
            "3:42", "`open` (2s) is longer than `open_most` (1500ms)", "shorter";
        urls!("breaker = { open_most = '500ms' }") =>
            "3:25", "`open` (1s) is longer than `open_most` (500ms)", "longer";
        // `open` is wrong, so it is not known whether it is longer than `open_most`.
        urls!("breaker = { open_most = '500ms', open = 1 }") =>
            "3:41", "`open` must be a duration of 1ms to 1h, not 1", "\"5s\"";
    }
    for key in ["in_a_row = 5", "window = '10s'", "least_calls = 20", "ratio = 50", "slow_call = '1s'", "open = '1s'"]
        .into_iter()
        .chain(["slow_call = '1s', slow_ratio = 50", "open_most = '60s'", "jitter = 50", "probes = 1", "successes = 2"])
    {
        let text = format!("[service.a]\nurls = ['http://a:1']\nbreaker = {{ recovery_timeout = '5s', {key} }}");
        let lines = lines(&parse(&text, &[]).expect_err(&text));
        assert!(lines.len() == 1 && lines[0].contains("exclude each other"), "{text}\n{lines:#?}");
    }
}

#[test]
fn wrong_retry_and_ejection_keys_are_findings() {
    cases! {
        urls!("retry = { backoff = '1s' }") =>
            "3:21", "`backoff` (1s) is longer than `backoff_most` (250ms)", "`backoff_most` longer";
        urls!("retry = { tries = 11 }") => "3:19", "`tries` must be a whole number of 0 to 10, not 11", "0 to 10";
        urls!("retry = { body = '17MiB' }") => "3:18", "`body` must be a size of 0 to 16MiB", "64MiB";
        urls!("retry = { budjet = 5 }") =>
            "3:11", "unknown key `budjet` in `retry` of [service.a]", "did you mean `budget`?";
        urls!("ejection = { most = 101 }") => "3:21", "`most` must be a whole number of 0 to 100, not 101", "0 to 100";
        urls!("ejection = { margin = 0 }") => "3:23", "`margin` must be a whole number of 1 to 100, not 0", "1 to 100";
        urls!("ejection = { pause = '6m' }") => "3:22", "`pause` must be a duration of 1ms to 5m", "\"5s\"";
        urls!("slow_start = 10") => "3:14", "`slow_start` must be a duration of 0 to 1h, not 10", "\"5s\"";
        urls!("limits = { wait = '0s' }") => "3:19", "`wait` must be a duration of 1ms to 1h", "\"250ms\"";
    }
}

#[test]
fn wrong_health_keys_are_findings() {
    cases! {
        urls!("health = {}") => "3:10", "`health` has neither `path` nor `call`", "add path = \"/…\"";
        urls!("[service.a.health]\ninterval = '3s'") => "3:1", "has neither", "call = \"function\"";
        component!("health = { path = '/', call = 'get' }") =>
            "3:31", "`path` and `call` exclude each other", "leave one";
        urls!("health = { call = 'get' }") =>
            "3:19", "the service has no component, and so no function to call", "write path = \"/…\"";
        urls!("health = { path = '/', call = 'get' }") => "3:31", "exclude each other", "leave one";
        urls!("health = { path = 'healthz' }") =>
            "3:19", "`path` must be a path that begins with \"/\", not \"healthz\"", "\"/healthz\"";
        urls!("health = { path = '/a#b' }") => "3:19", "not \"/a#b\"", "its query";
        urls!("health = { path = '/a b' }") => "3:19", "not \"/a b\"", "its query";
        component!("health = { call = 'is_ready' }") =>
            "3:19", "`call` must be \"function\" or \"interface#function\"", "joined by `-`";
        urls!("health = { path = '/', timeout = '10s' }") =>
            "3:34", "`timeout` (10s) is longer than `interval` (5s)", "make `timeout` shorter";
        urls!("health = { path = '/', interval = '1s' }") =>
            "3:35", "`timeout` (2s) is longer than `interval` (1s)", "`interval` longer";
        urls!("health = { path = '/', down = 0 }") =>
            "3:31", "`down` must be a whole number of 1 to 100, not 0", "1 to 100";
        urls!("health = '/'") => "3:10", "`health` of [service.a] must be a table", "braces";
    }
}

#[test]
fn wrong_fault_keys_are_findings() {
    cases! {
        component!("fault = { error = '60%', trap = '50%' }") =>
            "3:33", "error 60% and trap 50% are more than 100%", "lower one";
        component!("fault = { error = 10 }") => "3:19", "`error` must be a share of 0% to 100%, not 10", "\"0.1%\"";
        component!("fault = { trap = '101%' }") =>
            "3:18", "`trap` must be a share of 0% to 100%, not \"101%\"", "write at most 100%";
        component!("fault = { latency = '2h' }") => "3:21", "`latency` must be a duration of 0 to 1h", "\"250ms\"";
    }
}
