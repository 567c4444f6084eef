//! Keys that are right by themselves and have no effect where they stand.

use super::{cases, parse};

#[test]
fn a_key_without_effect_is_refused_where_it_stands() {
    let of_urls = [
        ("replicas = 3", "replicas"),
        ("weight = 2", "weight"),
        ("isolation = 'reuse'", "isolation"),
        ("state = true", "state"),
        ("config = { a = 'b' }", "config"),
        ("env = { A = 'b' }", "env"),
        ("secrets = { a = { file = 'secret' } }", "secrets"),
        ("calls = ['a']", "calls"),
        ("egress = ['https://b.example']", "egress"),
        ("idempotent = ['get']", "idempotent"),
        ("rollout = { canary = ['5%'] }", "rollout"),
        ("limits = { memory = '1MiB' }", "memory"),
        ("limits = { share = 2 }", "share"),
    ];
    for (key, name) in of_urls {
        let errors = parse(&format!("[service.a]\nurls = ['http://a:1']\n{key}"), &[]).expect_err(key).to_string();
        let message = format!("`{name}` has no effect, since the service has no component");
        assert!(errors.contains(&message) && errors.contains("atoll.toml:3:"), "{key}: {errors}");
    }
    cases! {
        "[service.a]\ncomponent = 'users.wasm'\nhttp2 = true" =>
            "3:9", "`http2` has no effect, since the service has no `urls`", "add `urls`";
        "[service.a]\ncomponent = 'users.wasm'\ndns = '10s'" => "3:7", "`dns` has no effect", "add `urls`";
        "[service.a]\ncomponent = 'users.wasm'\nlimits = { connect = '2s' }" =>
            "3:22", "`connect` has no effect, since the service connects to nothing", "add `urls` or `egress`";
        "[gateway]\nmin_upload_rate = 0\nmin_download_rate = 0\nrate_grace = '3s'" =>
            "4:14", "`rate_grace` has no effect", "give one of them a rate";
        "[gateway]\nanswer_buffer = 0\nanswer_memory = '2MiB'" =>
            "3:17", "`answer_memory` has no effect, since `answer_buffer` is 0", "make `answer_buffer` larger";
        "[gateway.http2]\nstreams = 10" => "1:1", "`http2` has no effect without TLS", "prior_knowledge = true";
        "[gateway]\nallow = []" => "2:9", "an empty `allow` keeps nobody out", "name who is let in";
        "[service.a]\nurls = ['http://a:1']\n[[route]]\nprefix = '/'\nservice = 'a'\nallow = []" =>
            "6:9", "an empty `allow` keeps nobody out", "leave it out";
        "[[route]]\npath = '/a'\nredirect = '/b'\ntimeout = '1s'" => "4:11", "`timeout` has no effect", "leave it out";
        "[[route]]\npath = '/a'\nredirect = '/b'\ncompress = true" => "4:12", "`compress` has no effect", "leave it";
        "[[route]]\npath = '/a'\nredirect = '/b'\ncache = true" => "4:9", "`cache` has no effect", "leave it out";
        "[[route]]\nprefix = '/a'\nfiles = '.'\ncache = true" => "4:9", "`cache` has no effect with `files`", "leave";
        "[[route]]\nprefix = '/a'\nfiles = '.'\ninterim = true" => "4:11", "no effect with `files`", "leave it out";
        "[service.a]\ncomponent = 'users.wasm'\n[[route]]\nprefix = '/'\nservice = 'a'\ninterim = true" =>
            "6:11", "`interim` needs a service with `urls`", "a component sends nothing before its answer";
        "[service.a]\nurls = ['http://a:1']\nhttp2 = true\n[[route]]\nprefix = '/'\nservice = 'a'\ninterim = true" =>
            "7:11", "`interim` needs a service without `http2`", "HTTP/1.1 alone";
        "[service.a]\nurls = ['http://a:1']\n[[route]]\nprefix = '/'\nservice = 'a'\ncache = true\n\
         interim = true" => "7:11", "`interim` has no effect with `cache`", "the answer to several clients";
        "[service.a]\ncomponent = 'users.wasm'\n[[route]]\nmethod = 'GET'\npath = '/a'\ncall = 'a/f'\n\
         interim = true" => "7:11", "`interim` has no effect with `call`", "a function sends nothing";
        "[[route]]\nprefix = '/a'\nfiles = '.'\nmethod = 'POST'" =>
            "3:9", "`files` has no effect on this route: files are answers to GET", "add \"GET\" to `method`";
        "[service.a]\nurls = ['http://a:1']\n[[route]]\nprefix = '/'\nservice = 'a'\nmethod = 'POST'\n\
         cache = true" =>
            "7:9", "`cache` has no effect on this route: answers to GET alone are kept", "add \"GET\"";
        "[limit.l]\nrate = '1/1s'\nby = 'key'\n[service.a]\nurls = ['http://a:1']\n[[route]]\nprefix = '/'\n\
         service = 'a'\nlimit = ['l']" =>
            "9:10", "limit `l` counts by who calls, which this route never knows", "add `auth`";
        "[limit.l]\nrate = '1/1s'\nby = 'claim:tenant'\n[[route]]\nprefix = '/a'\nfiles = '.'\nlimit = ['l']" =>
            "7:10", "which this route never knows", "by = \"client\"";
        "[limit.l]\ncpu = '1s/10s'\n[service.a]\nurls = ['http://a:1']\n[[route]]\nprefix = '/'\nservice = 'a'\n\
         limit = ['l']" => "8:10", "limit `l` has no effect here: no component works for this route", "a `rate`";
        "[limit.l]\nmemory = '1MiB/10s'\n[[route]]\nprefix = '/a'\nfiles = '.'\nlimit = ['l']" =>
            "6:10", "no component works for this route", "leave it out";
        "[service.a]\nurls = ['http://a:1']\n[[route]]\nprefix = '/'\nservice = 'a'\n\
         answer_headers = { remove = ['X-A'], set = { x-a = '1' } }" =>
            "6:44", "`remove` has no effect on `x-a`, which `set` sets", "replaces all lines";
    }
}
