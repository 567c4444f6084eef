#!/usr/bin/env bash
# Runs Autobahn's WebSocket cases against an echo server, and against the same server behind a gateway:
# `./just conformance-websocket [OPTION…]`.
#
# A gateway passes WebSockets on as bytes, so no case may come out otherwise. kosoku runs the cases, the package
# `websockets` is the server; `websocket.txt` pins both, which are installed into `.tools/`. Options are those of
# kosoku: `--include '7.*'`, for one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec </dev/null

readonly start_deadline=60 # seconds; a start takes one or two
readonly cases_at_once=8
readonly here=$PWD/tests/conformance
readonly tools=$PWD/.tools/websocket

work=$(mktemp -d)
host=""
server=""

clean_up() {
    local process
    for process in $host $server; do kill -KILL "$process" && wait "$process"; done 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    printf 'conformance-websocket: %s\n' "$*" >&2
    if [[ -s $work/err ]]; then sed 's/^/  err: /' "$work/err" | tail -n 40 >&2; fi
    exit 1
}

if ! cmp --silent "$here/websocket.txt" "$tools/installed.txt"; then
    echo "conformance-websocket: installing kosoku into .tools/ (once)"
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/websocket.txt"
    cp "$here/websocket.txt" "$tools/installed.txt"
fi

# Waits until PROCESS has written its address into FILE, where EXPRESSION of sed finds it. Sets `address`.
await_address() {
    local deadline=$((SECONDS + start_deadline))
    until address=$(sed -n "$3" "$2") && [[ -n $address ]]; do
        kill -0 "$1" 2>/dev/null || fail "a server ended before it listened"
        ((SECONDS < deadline)) || fail "a server did not listen within $start_deadline s"
        sleep 0.1
    done
}

: >"$work/server"
: >"$work/out"
"$tools/bin/python" "$here/echo_server.py" >"$work/server" 2>/dev/null &
server=$!
await_address "$server" "$work/server" 's|^listening on ||p'
direct=$address
printf '[service.echo]\nurls = ["http://%s"]\n[[route]]\nprefix = "/"\nservice = "echo"\nwebsocket = true\n' \
    "$direct" >"$work/atoll.toml"
./just --quiet profile=dev host --quiet
ATOLL_GATEWAY_LISTEN=127.0.0.1:0 ATOLL_ADMIN_LISTEN=127.0.0.1:0 \
    "${CARGO_TARGET_DIR:-target}/debug/atoll" run "$work/atoll.toml" >"$work/out" 2>"$work/err" &
host=$!
await_address "$host" "$work/out" 's|^gateway listening on http://||p'
behind=$address

# kosoku fails if a case fails, which some do by the server's own doing.
run_cases() {
    "$tools/bin/kosoku" --parallelism "$cases_at_once" --outdir "$work/$1" "${@:3}" "ws://$2" >>"$work/err" 2>&1 || true
}
run_cases direct "$direct" "$@"
run_cases behind "$behind" "$@"
"$tools/bin/python" "$here/compare_websocket.py" "$work/direct/index.json" "$work/behind/index.json"
