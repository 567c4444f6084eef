#!/usr/bin/env bash
# Runs npm `http-cache-tests` against the gateway, and against nginx, Varnish and Squid where they are installed:
# `./just conformance-cache [atoll|nginx|varnish|squid…]`. docs/conformance.md has the results and the reasons.
#
# The package's own server is the service; its cases send requests through the cache and look at what comes back and at
# what the server got. Needs Node and npm. The run fails if the gateway passes fewer required cases than it must.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec </dev/null

readonly package=http-cache-tests@0.4.5 fetch=node-fetch@2.7.0
readonly start_deadline=60 # seconds; a start takes one or two
readonly must_pass=149     # of the 157 required cases: docs/conformance.md explains the others

tools=$PWD/.tools/http-cache-tests
work=$(mktemp -d)
running=()

clean_up() {
    for process in "${running[@]}"; do kill -KILL "$process" && wait "$process"; done 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    printf 'conformance-cache: %s\n' "$*" >&2
    for log in "$work"/*.err; do [[ ! -s $log ]] || { echo "$log"; tail -n 20 "$log"; } >&2; done
    exit 1
}

command -v npm >/dev/null || fail "npm is missing: install Node"
if [[ ! -e $tools/package/node_modules/node-fetch ]]; then
    mkdir -p "$tools"
    (cd "$tools" && npm pack --silent "$package" >/dev/null && tar xzf http-cache-tests-*.tgz)
    # Of what the package depends on, a run needs one thing alone; the rest is for its web page.
    (cd "$tools" && mkdir -p deps && npm install --silent --ignore-scripts --no-audit --no-fund --prefix deps "$fetch")
    mv "$tools/deps/node_modules" "$tools/package/node_modules"
fi

free_port() {
    node -e 'const server = require("net").createServer()
        server.listen(0, "127.0.0.1", () => { console.log(server.address().port); server.close() })'
}

# Waits until something answers at URL.
await() {
    local deadline=$((SECONDS + start_deadline))
    until node -e 'fetch(process.argv[1]).then(() => process.exit(0), () => process.exit(1))' "$1"; do
        ((SECONDS < deadline)) || fail "nothing answers at $1 within $start_deadline s"
        sleep 0.2
    done
}

origin_port=$(free_port)
(cd "$tools/package" && exec env npm_config_protocol=http "npm_config_port=$origin_port" \
    npm_config_pidfile="$work/pid" node server/server.mjs) >"$work/origin.out" 2>"$work/origin.err" &
running+=($!)
readonly origin=127.0.0.1:$origin_port
await "http://$origin/"

# Each of these starts a cache in front of the origin at 127.0.0.1:$port.
start_atoll() {
    # No further tries, since the cases count requests; and no circuit, since the server breaks off on purpose.
    cat >"$work/atoll.toml" <<EOF
[gateway]
listen = "127.0.0.1:$port"
[service.control]
urls = ["http://$origin"]
[service.origin]
urls = ["http://$origin"]
retry = { tries = 0 }
breaker = { failure_threshold = 1000, recovery_timeout = "1ms" }
[[route]]
prefix = "/test"
service = "origin"
cache = true
[[route]]
prefix = "/"
service = "control"
EOF
    ./just --quiet profile=dev host --quiet
    ATOLL_ADMIN_LISTEN=127.0.0.1:0 ATOLL_LOG=warn "${CARGO_TARGET_DIR:-target}/debug/atoll" run "$work/atoll.toml" \
        >"$work/atoll.out" 2>"$work/atoll.err" &
    running+=($!)
}

start_nginx() {
    cat >"$work/nginx.conf" <<EOF
$( ((EUID)) || echo "user root;" )
daemon off; pid $work/nginx.pid; error_log $work/nginx.err;
events {}
http {
    access_log off; client_body_temp_path $work/n1; proxy_temp_path $work/n2; fastcgi_temp_path $work/n3;
    uwsgi_temp_path $work/n4; scgi_temp_path $work/n5;
    proxy_cache_path $work/n6 keys_zone=all:8m;
    server {
        listen 127.0.0.1:$port;
        location / { proxy_pass http://$origin; proxy_cache all; proxy_cache_revalidate on; }
    }
}
EOF
    nginx -e "$work/nginx.err" -c "$work/nginx.conf" >"$work/nginx.out" 2>&1 &
    running+=($!)
}

start_varnish() {
    # Without its grace of 10 s, in which it gives stale answers.
    varnishd -F -p default_grace=0 -a "127.0.0.1:$port" -b "$origin" -n "$work/varnish" -T none \
        >"$work/varnish.out" 2>"$work/varnish.err" &
    running+=($!)
}

start_squid() {
    cat >"$work/squid.conf" <<EOF
http_port 127.0.0.1:$port accel defaultsite=localhost no-vhost
cache_peer 127.0.0.1 parent $origin_port 0 no-query no-digest originserver default name=origin
cache_peer_access origin allow all
http_access allow all
pid_filename $work/squid.pid
cache_log $work/squid.err
access_log none
coredump_dir $work
shutdown_lifetime 1 second
connect_retries 3
EOF
    chmod 777 "$work"
    squid -N -f "$work/squid.conf" >"$work/squid.out" 2>&1 &
    running+=($!)
}

caches=("$@")
if [[ ${#caches[@]} -eq 0 ]]; then
    caches=(atoll)
    command -v nginx >/dev/null && caches+=(nginx)
    command -v varnishd >/dev/null && caches+=(varnish)
    command -v squid >/dev/null && caches+=(squid)
fi
for cache in "${caches[@]}"; do
    port=$(free_port)
    "start_$cache"
    await "http://127.0.0.1:$port/"
    node tests/conformance/cache.mjs "$tools/package" "http://127.0.0.1:$port" >"$work/$cache.result"
    echo "== $cache"
    grep '^required' "$work/$cache.result" || true
    tail -n 1 "$work/$cache.result"
    if [[ $cache == atoll ]]; then
        passed=$(tail -n 1 "$work/atoll.result" | node -e \
            'process.stdin.on("data", text => console.log(JSON.parse(text).required.passed))')
        ((passed >= must_pass)) || fail "the gateway passes $passed required cases, and must pass $must_pass"
    fi
done
