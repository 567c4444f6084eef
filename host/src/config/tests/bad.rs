//! The findings for wrong manifests: position, message and help.

use super::{cases, folder, lines, parse};
use crate::base::ServiceName;
use crate::config::{LateFindingKey, Manifest, RenderStyle};
use crate::contract::HttpBindingKey;
use std::path::Path;

#[test]
fn an_unknown_key_is_refused_with_a_suggestion() {
    cases! {
        "[gatway]" => "1:2", "unknown key `gatway` in the manifest", "did you mean `gateway`?";
        "[gateway]\nlissen = 1" => "2:1", "unknown key `lissen` in [gateway]", "did you mean `listen`?";
        "[admin]\ncolour = 1" => "2:1", "unknown key `colour` in [admin]", "the keys known here: `listen`";
        "[service.a]\nurls = ['http://a:1']\nreplica = 2" =>
            "3:1", "`replica` in [service.a]", "did you mean `replicas`?";
        "[service.a]\nurls = ['http://a:1']\nlimits = { mem = 1, body = 1 }" =>
            "3:12", "unknown key `mem` in `limits` of [service.a]", "`memory`";
        "[service.a]\nurls = ['http://a:1']\n[service.a.breaker]\nrecovery = '5s'" =>
            "4:1", "unknown key `recovery` in `breaker` of [service.a]", "`recovery_timeout`";
        "[service.a]\nurls=['http://a:1']\n[[route]]\nprefix='/'\nservice='a'\nstrip-prefix='/a'" =>
            "6:1", "unknown key `strip-prefix` in [[route]]", "did you mean `strip_prefix`?";
    }
}

#[test]
fn a_path_that_something_else_has_is_refused() {
    cases! {
        "[history]\npath = 'ca.pem'" => "2:8", "`ca.pem` must be a folder, and there is a file", "folder of its own";
        "[state]\npath = 'wit'" => "2:8", "`wit` must be a file, and there is a folder", "state.redb";
        "[runtime]\ncache = 'ca.pem'" => "2:9", "`ca.pem` must be a folder", "compiled code";
        "[audit]\nfile = 'wit'" => "2:8", "`wit` must be a file", "audit.jsonl";
        "[gateway]\nkeys = 'wit'" => "2:8", "`wit` must be a file", "keys.json";
        "[history]\npath = '.atoll/cache/history'"
            => "2:8", "cache of compiled code are in one another", "another folder";
        "[history]\npath = '.atoll'" => "2:8", "cache of compiled code are in one another", "another folder";
    }
}

#[test]
fn a_value_of_another_kind_or_out_of_bounds_is_refused() {
    cases! {
        "[gateway]\nlisten = 'localhost:8080'" =>
            "2:10", "`listen` must be an IP address and a port, not \"localhost:8080\"", "\"127.0.0.1:8080\"";
        "[gateway]\nlisten = 8080" => "2:10", "must be an IP address and a port, not 8080", "0.0.0.0:8080";
        "[gateway]\ndrain = 30" => "2:9", "`drain` must be a duration of 0 to 1h, not 30", "\"5s\"";
        "[gateway]\ndrain = '2h'" => "2:9", "must be a duration of 0 to 1h, not \"2h\"", "\"5s\"";
        "[gateway]\nmax_headers = '100'" =>
            "2:15", "must be a whole number of 10 to 1000, not \"100\"", "without quotes";
        "[gateway]\nmax_headers = -1" => "2:15", "not -1", "10 to 1000";
        "[gateway]\nheader_bytes = '2 GB'" => "2:16", "must be a size of 1KiB to 1MiB, not \"2 GB\"", "\"64MiB\"";
        "[gateway]\ntrusted_proxies = ['10.0.0.1', '10.0.0.0/8']" =>
            "2:32", "must be an IP address, not \"10.0.0.0/8\"", "network mask";
        "gateway = 1" => "1:11", "[gateway] must be a table", "section";
        "[state]\npath = ''" => "2:8", "`path` must be a path, not \"\"", "relative to the manifest";
        "[runtime]\ninstances = 1.5" =>
            "2:13", "`instances` must be a whole number of 0 to 100000, not 1.5", "0 to 100000";
    }
}

#[test]
fn wrong_keys_of_a_service_are_findings() {
    cases! {
        "[service.Users]\nurls = ['http://a:1']" => "1:10", "`Users` is no service name", "rename it";
        "[service.a]" => "1:10", "service `a` has neither `component` nor `urls`", "urls = [";
        "[service.a]\nurls = []" => "1:10", "neither", "component = ";
        "service = 1" => "1:11", "must be a table", "section";
        "[service]\na = 1" => "2:5", "[service.a] must be a table", "section";
        "[service.a]\ncomponent = 'gone.wasm'" => "2:13", "cannot find the component `gone.wasm`", "gone.wasm";
        "[service.a]\ncomponent = '.'" => "2:13", "`.` is not a file", ".wasm";
        "[service.a]\ncomponent = 'users.wasm'\nreplicas = 0" =>
            "3:12", "`replicas` must be a whole number of 1 to 64, not 0", "1 to 64";
        "[service.a]\ncomponent = 'users.wasm'\nbucket = 'in_memory'" =>
            "3:10", "`bucket` has no effect without `state`", "state = true";
        "[service.a]\ncomponent = 'users.wasm'\nreplicas = 65" => "3:12", "not 65", "1 to 64";
        "[service.a]\ncomponent = 'users.wasm'\nstate = 'yes'" =>
            "3:9", "`state` must be true or false", "without quotes";
        "[service.a]\ncomponent = 'users.wasm'\nconfig = { a = 'x', size = 50 }" =>
            "3:28", "`config` has an entry `size`, which must be a text", "in quotes";
        "[service.a]\ncomponent = 'users.wasm'\nbalance = 'round_robin'" =>
            "3:11", "`balance` must be \"random\" or \"round-robin\" or \"least-request\" or \"peak-ewma\"",
            "did you mean `round-robin`?";
        "[service.a]\ncomponent = 'users.wasm'\nlimits = { memory = '5GiB' }" =>
            "3:21", "`memory` must be a size of 64KiB to 4GiB", "64MiB";
        "[service.a]\nurls = ['http://me@a:1']" => "2:9", "user or a password", "http://127.0.0.1:5001";
        "[service.a]\nurls = ['http://a:1/x?y']" => "2:9", "without path or query", "strip_prefix";
        "[service.a]\nurls = ['http://a:1', 'http://a:1/']" => "2:23", "`http://a:1/` is there twice", "once";
    }
}

#[test]
fn wrong_calls_wit_idempotent_isolation_and_reuse_are_findings() {
    cases! {
        "[service.a]\ncomponent = 'users.wasm'\ncalls = ['a', 'b']" =>
            "3:15", "there is no service `b`", "did you mean `a`?";
        "[service.a]\ncomponent = 'users.wasm'\ncalls = ['a', 'a']" => "3:15", "`a` is there twice", "once";
        "[service.a]\ncomponent = 'users.wasm'\ncalls = 'a'" =>
            "3:9", "`calls` must be a list of at most 256", "square brackets";
        // Only the name is reported, not its use in `calls`.
        "[service.a]\ncomponent = 'users.wasm'\ncalls = ['B']\n[service.B]\nurls = ['http://a:1']" =>
            "4:10", "`B` is no service name", "rename";
        "[service.a]\ncomponent = 'users.wasm'\nwit = 'gone'" =>
            "3:7", "cannot find the folder `gone`", "leave `wit` out";
        "[service.a]\ncomponent = 'users.wasm'\nwit = 'users.wasm'" =>
            "3:7", "`users.wasm` is not a folder", ".wit files";
        "[service.a]\ncomponent = 'users.wasm'\nidempotent = ['get', 'list_all']" =>
            "3:22", "must be \"function\" or \"interface#function\", not \"list_all\"", "joined by `-`";
        "[service.a]\ncomponent = 'users.wasm'\nidempotent = ['get', 'get']" => "3:22", "`get` is there twice", "once";
        "[service.a]\ncomponent = 'users.wasm'\nisolation = 'none'" =>
            "3:13", "must be \"request\" or \"reuse\"", "`reuse`";
        "[service.a]\ncomponent = 'users.wasm'\nisolation = 'non'\nreuse = {}" =>
            "3:13", "must be \"request\"", "`request`";
        "[service.a]\ncomponent = 'users.wasm'\nreuse = { max_requests = 5 }" =>
            "3:9", "`reuse` has no effect", "add isolation = \"reuse\"";
        "[service.a]\ncomponent = 'users.wasm'\nisolation = 'request'\n[service.a.reuse]" =>
            "4:1", "`reuse` has no effect", "leave `reuse` out";
        "[service.a]\ncomponent = 'users.wasm'\nisolation = 'reuse'\nreuse = { max_requests = 0 }" =>
            "4:26", "1 to 1000000, not 0", "number";
        "[service.a]\ncomponent = 'users.wasm'\nisolation = 'reuse'\nreuse = { idle = '1s' }" =>
            "4:11", "unknown key `idle` in `reuse` of [service.a]", "`idle_timeout`";
        "[runtime]\ncall_depth = 0" => "2:14", "must be a whole number of 1 to 256, not 0", "1 to 256";
        "[gateway]\nnames = 'snake'" =>
            "2:9", "must be \"snake_case\" or \"camelCase\" or \"kebab-case\"", "`snake_case`";
    }
}

/// A manifest with one service, `users`, and these lines of one route.
macro_rules! route {
    ($lines:literal) => {
        concat!("service.users.urls = ['http://a:1']\n[[route]]\n", $lines)
    };
}

#[test]
fn a_cache_that_cannot_work_is_a_finding() {
    cases! {
        "[gateway]\ncache = { memory = '1MiB' }" => "2:9", "`object` is more than a tenth of `memory`", "smaller";
        "[gateway]\ncache = { memory = '64KiB' }" => "2:20", "must be a size of 1MiB to 256GiB", "64MiB";
        "[gateway.cache]\ndisk = '16MiB'\ndisk_object = '8MiB'" =>
            "3:15", "`disk_object` is more than a tenth of `disk`", "smaller";
        "[gateway.cache]\ndisk = '16MiB'\nobject = '2MiB'" => "2:8", "no answer is for the disk", "`object` smaller";
        "[gateway.cache]\nfolder = 'answers'" => "2:10", "`folder` without `disk` has no effect", "how many bytes";
        "[gateway.cache]\ndisk = '1MiB'" => "2:8", "must be a size of 16MiB to 64TiB", "64MiB";
        route!("service = 'users'\nprefix = '/a'\ncache = 'yes'") =>
            "5:9", "`cache` must be true, false or \"state\"", "ttl";
        route!("service = 'users'\nprefix = '/a'\ncache = { ttl = '1ms' }") => "5:17", "100ms to 365d", "1m";
        route!("service = 'users'\nprefix = '/a'\ncache = { tll = '1s' }") =>
            "5:11", "unknown key `tll` in `cache` of [[route]]", "`ttl`";
        route!("service = 'users'\nprefix = '/a'\ncache = { key = ['query:a'] }") =>
            "5:18", "`header:NAME`, `cookie:NAME` or `subject`", "header:X-Tenant";
        route!("service = 'users'\nprefix = '/a'\ncache = { key = ['subject'] }") =>
            "5:9", "needs `auth`", "leave `subject` out";
        concat!("service.users.component = 'users.wasm'\n[[route]]\nmethod = 'GET'\npath = '/a'\n",
            "call = 'users/get'\ncache = true") =>
            "6:9", "does not say how long its answer is fresh", "ttl = \"30s\"";
        concat!("service.users.component = 'users.wasm'\n[[route]]\nmethod = 'POST'\npath = '/a'\n",
            "call = 'users/get'\ncache = { ttl = '1s' }") =>
            "6:9", "answers to GET alone are kept", "leave `cache` out";
        route!("service = 'users'\nprefix = '/a'\ncache = 'state'") =>
            "5:9", "only what a function reads is known", "call = \"NAME/function\"";
        concat!("service.users.component = 'users.wasm'\nservice.users.isolation = 'reuse'\n[[route]]\n",
            "method = 'GET'\npath = '/a'\ncall = 'users/get'\ncache = 'state'") =>
            "7:9", "nobody knows what an instance remembers", "leave `isolation` out";
        concat!("service.users.component = 'users.wasm'\n[[route]]\nmethod = 'POST'\npath = '/a'\n",
            "call = 'users/get'\ncache = 'state'") =>
            "6:9", "answers to GET alone are kept", "leave `cache` out";
    }
}

#[test]
fn wrong_keys_of_a_route_are_findings() {
    cases! {
        route!("service = 'users'") => "2:1", "neither `prefix` nor `path`", "prefix = \"/\"";
        route!("prefix = '/a'") => "2:1", "names no service", "service = \"NAME\"";
        route!("service = 'users'\nprefix = '/a'\npath = '/a'") => "5:8", "exclude each other", "leave one";
        route!("service = 'user'\nprefix = '/a'") => "3:11", "there is no service `user`", "did you mean `users`?";
        route!("service = 'x'\nprefix = '/a'") =>
            "3:11", "there is no service `x`", "the services of this manifest: `users`";
        route!("service = 'users'\nprefix = 'a'") => "4:10", "`a` is not a usable path", "starts with `/`";
        route!("service = 'users'\nprefix = '/a/'") => "4:10", "`/a/` ends with `/`", "leave it out";
        route!("service = 'users'\npath = '/{a'") => "4:8", "`{a` is no parameter", "write a whole segment";
        route!("service = 'users'\nprefix = '/api'\nstrip_prefix = '/ap'") =>
            "5:16", "`/ap` cannot be stripped", "whole segments";
        route!("service = 'users'\npath = '/a/{id}'\nrewrite = '/b/{name}'") => "5:11", "uses `{name}`", "add it there";
        route!("service = 'users'\npath = '/a/{id}'\nstrip_prefix = '/a'\nrewrite = '/b'") =>
            "6:11", "exclude each other", "leave one";
        route!("service = 'users'\nprefix = '/'\nhost = 'http://a'") => "5:8", "is no host", "without scheme";
        route!("service = 'users'\nprefix = '/'\nmethod = 'get'") => "5:10", "`get` is no HTTP method", "capitals";
        route!("service = 'users'\nprefix = '/'\nmethod = 1") =>
            "5:10", "`method` must be a method, or a list of at most 16", "\"GET\"";
        route!("service = 'users'\nprefix = '/'\nheaders = { 'a b' = '1' }") =>
            "5:11", "`a b` is no header name", "letters";
        route!("service = 'users'\nprefix = '/'\ntimeout = '1d'") => "5:11", "`timeout` must be a duration", "\"1m\"";
        "route = [1]" => "1:10", "[[route]] must be a table", "section";
        "service.users.urls = ['http://a:1']\n[route]\nprefix = '/'" =>
            "2:1", "`route` must be a list of tables", "[[route]]";
    }
}

#[test]
fn wrong_limits_are_findings() {
    cases! {
        "[limit.a]" => "1:8", "limit `a` limits nothing", "rate = \"100/10s\"";
        "[limit.a]\ncpu = '2/10s'" => "2:7", "`cpu` must be a processor time in 1ms to 24h", "2s/10s";
        "[limit.a]\ncpu = '0s/10s'" => "2:7", "`cpu` must be a processor time", "2s/10s";
        "[limit.a]\nmemory = '64MiB'" => "2:10", "`memory` must be a size in 1ms to 24h", "64MiB/10s";
        "[limit.a]\nquota = '10/1s'" => "2:9", "`quota` must be a number of requests in 1m to 366d", "10000/1d";
        "[limit.a]\nquota = '0/1d'" => "2:9", "`quota` must be a number of requests", "whole minutes";
        "[limit.a]\nquota = '5/1d'\nburst = 2" => "3:9", "`burst` is part of `rate`", "add `rate`";
        "[limit.a]\nrate = '100'" => "2:8", "`rate` must be a number of requests in 1ms to 24h, not \"100\"", "100/10s";
        "[limit.a]\nrate = '0/1s'" => "2:8", "`rate` must be a number of requests", "slash";
        "[limit.a]\nrate = '1/25h'" => "2:8", "`rate` must be a number of requests", "slash";
        "[limit.a]\nrate = '1/1s'\nburst = 0" => "3:9", "`burst` must be a whole number of 1 to 1000000, not 0", "1 to";
        "[limit.a]\nrate = '1/1s'\nby = 'ip'" => "3:6", "`by` must be `client`, `key`, `subject`", "\"client\"";
        "[limit.a]\nrate = '1/1s'\nby = 'header:a b'" => "3:6", "`by` must be", "\"client\"";
        "[limit.'a b']\nrate = '1/1s'" => "1:8", "`a b` cannot be the name of a limit", "letters";
        route!("service = 'users'\nprefix = '/'\nlimit = ['fats']\n[limit.fast]\nrate = '1/1s'") =>
            "5:10", "there is no limit `fats`", "did you mean `fast`?";
        route!("service = 'users'\nprefix = '/'\nlimit = ['a', 'a']\n[limit.a]\nrate = '1/1s'") =>
            "5:15", "`a` is there twice", "once";
    }
}

/// A manifest with a service `users` of a component, a service `old` of an address, and these lines of one route.
macro_rules! typed {
    ($lines:literal) => {
        concat!("service.users.component = 'users.wasm'\nservice.old.urls = ['http://a:1']\n[[route]]\n", $lines)
    };
}

#[test]
fn wrong_keys_of_a_typed_route_are_findings() {
    cases! {
        typed!("path = '/a'\nmethod = 'GET'\ncall = 'users'") =>
            "6:8", "must be \"service/function\" or \"service/interface#function\", not \"users\"", "products/get";
        typed!("path = '/a'\nmethod = 'GET'\ncall = 'users/get_all'") => "6:8", "`call` must be", "as in the WIT files";
        typed!("path = '/a'\nmethod = 'GET'\ncall = 'user/get'") =>
            "6:8", "there is no service `user`", "did you mean `users`?";
        typed!("path = '/a'\nmethod = 'GET'\ncall = 'old/get'") =>
            "6:8", "service `old` has no component", "service = \"old\"";
        typed!("path = '/a'\nmethod = 'GET'\ncall = 'users/get'\nservice = 'users'") =>
            "6:8", "`service` and `call` exclude each other", "leave one";
        typed!("prefix = '/a'\nmethod = 'GET'\ncall = 'users/get'") =>
            "4:10", "has a `path`, and no `prefix`", "path = \"/…\"";
        typed!("path = '/a'\ncall = 'users/get'") => "5:8", "needs a `method`", "\"GET\"";
        typed!("path = '/a'\nprefix = '/a'\nmethod = 'GET'\ncall = 'users/get'") =>
            "4:8", "exclude each other", "leave one";
        typed!("path = '/a'\ncall = 'users/get'\n[[route]]\npath = '/a'\nservice = 'users'") =>
            "5:8", "needs a `method`", "\"POST\"";
        typed!("path = '/a'\nmethod = []\ncall = 'users/get'") => "5:10", "one of the methods", "write one";
        typed!("path = '/a'\nmethod = 'get'\ncall = 'users/get'") =>
            "5:10", "one of the methods GET, POST", "write one";
        typed!("path = '/a'\nmethod = ['GET', 'POST']\ncall = 'users/get'") =>
            "5:10", "one of the methods", "another route";
        typed!("path = '/a'\nmethod = 'HEAD'\ncall = 'users/get'") =>
            "5:10", "one of the methods", "HEAD comes with GET";
        typed!("path = '/a/b'\nmethod = 'GET'\ncall = 'users/get'\nstrip_prefix = '/a'") =>
            "7:16", "`strip_prefix` does not go with `call`", "leave it out";
        typed!("path = '/a'\nmethod = 'GET'\ncall = 'users/get'\nrewrite = '/b'") =>
            "7:11", "`rewrite` does not go with `call`", "leave it out";
        typed!("path = '/a'\nmethod = 'GET'\ncall = 'users/get'\nfrom_header = { key = 'a b' }") =>
            "7:23", "`from_header` has an entry `key`, which must be the name of a header", "Idempotency-Key";
        typed!("path = '/a'\nmethod = 'GET'\ncall = 'users/get'\nstatus = 404") =>
            "7:10", "must be a whole number of 200 to 299", "299";
        typed!("path = '/a'\nmethod = 'GET'\ncall = 'users/get'\nerrors = { gone = 200 }") =>
            "7:19", "`gone`, which must be a whole number of 400 to 599", "400";
        typed!("path = '/a'\nservice = 'users'\nstatus = 201") =>
            "6:10", "`status` is only for a route with `call`", "call = \"service/function\"";
        typed!("path = '/a'\nservice = 'users'\nfrom_header = {}") =>
            "6:15", "`from_header` is only for a route with `call`", "leave it out";
        typed!("path = '/a'\nservice = 'users'\nlocation = '/a'") =>
            "6:12", "`location` is only for a route with `call`", "leave it out";
        typed!("path = '/a'\nservice = 'users'\nerrors = {}") =>
            "6:10", "`errors` is only for a route with `call`", "leave it out";
        typed!(
            "path = '/a'\nmethod = 'GET'\ncall = 'users/get'\n\
             [[route]]\npath = '/a'\nmethod = ['GET', 'HEAD']\ncall = 'users/list'"
        ) =>
            "8:8", "the same requests as the one in line 4", "first";
    }
}

#[test]
fn two_routes_that_match_the_same_requests_are_refused() {
    cases! {
        route!("prefix = '/a'\nservice = 'users'\n[[route]]\nprefix = '/a'\nservice = 'users'") =>
            "6:10", "the same requests as the one in line 3", "tell them apart";
        route!("path = '/a/{b}'\nservice = 'users'\n[[route]]\npath = '/a/{c}'\nservice = 'users'") =>
            "6:8", "line 3", "first";
        route!(
            "prefix = '/'\nheaders = { A = '1', b = '2' }\nservice = 'users'\n\
             [[route]]\nprefix = '/'\nheaders = { B = '2', a = '1' }\nservice = 'users'"
        ) =>
            "7:10", "line 3", "first";
    }
    let apart = route!("prefix = '/a'\nservice = 'users'\n[[route]]\nprefix = '/a'\nmethod = 'GET'\nservice = 'users'");
    assert!(parse(apart, &[]).is_ok());
}

#[test]
fn text_that_is_not_toml_is_a_finding_with_help() {
    cases! {
        "[gateway]\nlisten = 127.0.0.1:80" => "2:15", "invalid", "a value is";
        "[service.a]\nurls = ['http://a:1']\nlimits = { memory = 64MiB }" => "3:21", "must be quoted", "double quotes";
        "[gateway]\ndrain = '1s'\ndrain = '2s'" => "3:1", "duplicate key", "keep one";
        "[gateway]\ndrain" => "2:6", "key with no value", "key = value";
        // The section is lost, and the service with it. So the route's use of the service is not reported.
        "[service.users\nurls = ['http://a:1']\n[[route]]\nprefix = '/'\nservice = 'users'" =>
            "1:15", "unclosed table", "close";
        // A method or an address that cannot be read is not treated as absent.
        route!("prefix = '/'\nservice = 'users'\n[[route]]\nprefix = '/'\nmethod = GET\nservice = 'users'") =>
            "7:10", "quoted", "quotes";
        "[gateway]\nlisten = '127.0.0.1:9090'\n[admin]\nlisten = 127.0.0.1:9091" => "4:15", "invalid", "a value is";
        "[state]\npath = \"a" => "2:10", "basic string", "double quote";
    }
}

#[test]
fn the_two_edges_cannot_share_a_port_and_a_reachable_admin_needs_a_token() {
    cases! {
        "[gateway]\nlisten = '127.0.0.1:9090'" => "2:10", "cannot listen on the same port", "another port";
        "[admin]\nlisten = '127.0.0.1:8080'" => "2:10", "cannot listen on the same port", "another port";
        "[gateway]\nlisten = '0.0.0.0:9090'" => "2:10", "cannot listen on the same port", "another port";
        // The admin's address is wrong, so it is not known whether the ports are the same.
        "[gateway]\nlisten = '127.0.0.1:9090'\n[admin]\nlisten = 'x'" => "4:10", "not \"x\"", "port";
        "[admin]\nlisten = '0.0.0.0:9090'" => "2:10", "demands a token", "ATOLL_ADMIN_TOKEN";
        "[admin]\nlisten = '10.1.1.1:9090'" => "2:10", "can be reached from other machines", "127.0.0.1";
    }
}

#[test]
fn an_api_that_is_named_has_a_title_and_a_version() {
    cases! {
        "[gateway]\nopenapi = 'yes'" => "2:11", "must be true or false, or { title, version", "without quotes";
        "[gateway]\nopenapi = { title = 'a' }" => "2:11", "without `version`", "title = \"Shop\"";
        "[gateway]\nopenapi = { title = '', version = '1' }" => "2:21", "`title`, which must be a text", "quotes";
        "[gateway]\nopenapi = { title = 'a', version = 1 }" => "2:36", "`version`, which must be a text", "quotes";
        "[gateway]\nopenapi = { title = 'a', version = '1', x = '1' }" => "2:41", "unknown key `x`", "version";
    }
}

#[test]
fn the_finding_for_a_wrong_variable_names_it_and_hides_the_token() {
    let errors =
        parse("", &[("ATOLL_GATEWAY_LISTEN", "8080"), ("ATOLL_ADMIN_LISTEN", "0.0.0.0:1")]).expect_err("errors");
    let lines = lines(&errors);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(
        lines[0].starts_with("- ATOLL_GATEWAY_LISTEN: must be an IP address and a port, not \"8080\" | "),
        "{lines:#?}"
    );
    assert!(lines[1].starts_with("- ATOLL_ADMIN_LISTEN: 0.0.0.0:1 can be reached from other machines"), "{lines:#?}");

    let reachable = [("ATOLL_ADMIN_LISTEN", "0.0.0.0:1"), ("ATOLL_ADMIN_TOKEN", "s3cret")];
    let errors = parse("", &reachable).expect_err("errors").to_string();
    assert!(errors.starts_with("ATOLL_ADMIN_TOKEN: can be guessed"), "{errors}");
    assert!(errors.contains("openssl rand -hex 32") && !errors.contains("s3cret"), "{errors}");

    let errors = parse("", &[("ATOLL_ADMIN_TOKEN", "secret\n")]).expect_err("errors");
    assert!(errors.to_string().starts_with("ATOLL_ADMIN_TOKEN: must be visible ASCII"), "{errors}");
    assert!(!errors.to_string().contains("secret"), "{errors}");
}

#[test]
fn all_findings_are_reported_together_in_the_order_of_the_text() {
    let text = "[gateway]\nlisten = 'x'\ndrian = '1s'\ntimeout = 5s\n\n\
                [service.users]\nreplicas = 100\nlimits = { memory = 1 }\nurls = ['ftp://a', 'http://b/c']\n\
                [[route]]\nservice = 'users'\nprefix = 'a'\nmethod = 'get'\nhost = '*'";
    let lines = lines(&parse(text, &[]).expect_err("errors"));
    let positions: Vec<&str> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(
        positions,
        ["2:10", "3:1", "4:11", "7:12", "8:21", "9:9", "9:20", "12:10", "13:10", "14:8"],
        "{lines:#?}"
    );
}

#[test]
fn a_rendered_finding_shows_file_line_column_text_and_help() {
    let text = "[service.users]\nurls = [\"http://127.0.0.1:5001\"]\nlimits = { memory = \"8EiB\" }\n";
    let errors = parse(text, &[("ATOLL_STATE_PATH", "\0")]).expect_err("errors");
    assert_eq!(errors.render(RenderStyle::Plain), include_str!("rendered.txt"));
    assert!(errors.render(RenderStyle::Terminal).contains("atoll.toml:3:21"));
}

#[test]
fn a_manifest_that_cannot_be_read_is_a_finding_with_help() {
    let folder = folder();
    let path = folder.path().join("atoll.toml");
    let errors = Manifest::load(&path, &|_| None).expect_err("no file");
    assert!(errors.to_string().contains("cannot read the manifest"), "{errors}");
    assert!(errors.render(RenderStyle::Plain).contains("help: name the manifest on the command line"));
    std::fs::write(&path, "#".repeat((1 << 20) + 1)).expect("a file");
    let errors = Manifest::load(&path, &|_| None).expect_err("too long");
    assert!(errors.to_string().contains("longer than 1 MiB"), "{errors}");
    for bytes in [&b"a = \"\xff\""[..], b"\0asm\x0d\0\x01\0\xff"] {
        std::fs::write(&path, bytes).expect("a file");
        let errors = Manifest::load(&path, &|_| None).expect_err("not UTF-8");
        assert!(errors.render(RenderStyle::Plain).contains("help: a manifest is TOML in UTF-8"), "{errors}");
    }
}

#[test]
fn a_later_finding_is_shown_at_the_component_or_at_the_services_name() {
    let text = "[service.users]\ncomponent = 'users.wasm'\n[service.legacy]\nurls = ['http://a:1']";
    let manifest = parse(text, &[]).expect("a manifest");
    let diagnose = |name: &str| {
        let name = ServiceName::new(name).expect("a name");
        manifest.diagnose(&name, LateFindingKey::Component, "it imports a store", "write state = true").to_string()
    };
    assert_eq!(diagnose("users"), "atoll.toml:2:13: it imports a store");
    assert_eq!(diagnose("legacy"), "atoll.toml:3:10: it imports a store");
    assert_eq!(diagnose("other"), "it imports a store");
    // `ca` is not written, so the finding is at the addresses.
    let ca = manifest.diagnose(&manifest.services[1].spec.name, LateFindingKey::Ca, "", "");
    assert_eq!(ca.position(), Some((4, 8)));
}

#[test]
fn a_later_finding_is_shown_at_its_key_or_at_the_key_that_it_depends_on() {
    let text = "[service.users]\ncomponent = 'users.wasm'\ncalls = ['legacy']\nwit = 'wit'\nidempotent = ['get']\n\
                health.call = 'get'\n\
                [service.legacy]\nurls = ['https://a:1']\nca = 'ca.pem'\n\
                [[route]]\npath = '/a/{id}'\nmethod = 'POST'\ncall = 'users/add'\nstatus = 202\n\
                errors = { gone = 410 }\nfrom_header = { key = 'Key' }\nlocation = '/a/{id}'\n\
                [[route]]\npath = '/b'\nmethod = 'GET'\ncall = 'users/get'\n\
                [[route]]\nprefix = '/c'\nservice = 'legacy'";
    let manifest = parse(text, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let position = |finding: crate::config::Finding| finding.position();
    let (users, legacy) = (&manifest.services[0].spec.name, &manifest.services[1].spec.name);
    let service = |name, key| position(manifest.diagnose(name, key, "", ""));
    for (key, place) in [
        (LateFindingKey::Component, (2, 13)),
        (LateFindingKey::Calls, (3, 9)),
        (LateFindingKey::Wit, (4, 7)),
        (LateFindingKey::Idempotent, (5, 14)),
        (LateFindingKey::Health, (6, 15)),
    ] {
        assert_eq!((service(users, key), service(legacy, key)), (Some(place), Some((7, 10))), "{key:?}");
    }
    assert_eq!(
        (service(users, LateFindingKey::Ca), service(legacy, LateFindingKey::Ca)),
        (Some((2, 13)), Some((9, 6)))
    );
    let route = |index, key| position(manifest.diagnose_route(index, key, "", ""));
    let keys = [
        (HttpBindingKey::Path, 11),
        (HttpBindingKey::Call, 13),
        (HttpBindingKey::Status, 14),
        (HttpBindingKey::Errors, 15),
        (HttpBindingKey::FromHeader, 16),
        (HttpBindingKey::Location, 17),
    ];
    for (key, line) in keys {
        assert_eq!(route(0, key).map(|(line, _)| line), Some(line), "{key:?}");
    }
    assert_eq!((route(1, HttpBindingKey::Path), route(1, HttpBindingKey::Status)), (Some((19, 8)), Some((21, 8))));
    assert_eq!((route(2, HttpBindingKey::Call), route(3, HttpBindingKey::Call)), (Some((22, 1)), None));
}

#[test]
fn no_text_makes_the_reader_panic() {
    let text = include_str!("every_key.toml");
    // Each seventh place, since each is a parse of the whole; the fuzz target `manifest` tries more, by chance.
    for end in (0..text.len()).step_by(7).filter(|end| text.is_char_boundary(*end)) {
        for cut in [&text[..end], &text[end..]] {
            if let Err(errors) = Manifest::parse("atoll.toml", cut.into(), Path::new(""), &|_| None) {
                assert!(errors.findings().iter().all(|finding| !finding.help().is_empty()));
            }
        }
    }
    for text in ["\u{feff}[gateway]\nlisten = 1", "é = 'é", "a = \"\u{1F600}", "[[[", "\r\n[a]\r\n", "[é]\nü=1"] {
        let errors = Manifest::parse("atoll.toml", text.into(), Path::new(""), &|_| None).expect_err(text);
        assert!(errors.render(RenderStyle::Plain).contains("atoll.toml:"), "{text}");
    }
}
