#!/usr/bin/env bash
# Drives the dashboard of the running shop in a real browser: `./just dashboard-test [FOLDER]`.
#
# Needs Node and Chromium (Debian's package `chromium`, or the path in CHROMIUM). Screenshots of every page at 400 and
# 1440 pixels, light and dark, are left in FOLDER, by default `target/dashboard`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec </dev/null

readonly start_deadline=60 # seconds; a start takes one or two
readonly here=$PWD/tests/dashboard
readonly pictures=${1:-$PWD/target/dashboard}

work=$(mktemp -d)
host=""

clean_up() {
    if [[ -n $host ]]; then kill -KILL "$host" && wait "$host"; fi 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    printf 'dashboard-test: %s\n' "$*" >&2
    if [[ -s $work/err ]]; then tail -n 40 "$work/err" | sed 's/^/  err: /' >&2; fi
    exit 1
}

browser=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
[[ -n $browser ]] || fail "Chromium is missing: install the package chromium, or name it in CHROMIUM"
command -v npm >/dev/null || fail "npm is missing: install Node 20 or newer"
npm ci --prefix "$here" --no-audit --no-fund --silent

# The address on which the edge of this name listens; empty until it listens.
address_of() { sed -n "s|^$1 listening on \(http:[^[:space:];]*[^/[:space:];]\).*\$|\1|p" "$work/out"; }

: >"$work/out"
cargo build --quiet --bin atoll
ATOLL_GATEWAY_LISTEN=127.0.0.1:0 ATOLL_ADMIN_LISTEN=127.0.0.1:0 ATOLL_STATE_PATH="$work/state.redb" \
    ATOLL_LOG=access=off,info \
    "${CARGO_TARGET_DIR:-target}/debug/atoll" run atoll.toml >"$work/out" 2>"$work/err" &
host=$!
deadline=$((SECONDS + start_deadline))
until gateway=$(address_of gateway) && admin=$(address_of admin) && [[ -n $gateway && -n $admin ]]; do
    kill -0 "$host" 2>/dev/null || fail "the host ended before it listened"
    ((SECONDS < deadline)) || fail "the host did not listen within $start_deadline s"
    sleep 0.1
done

mkdir -p "$pictures"
BROWSER=$browser GATEWAY=$gateway ADMIN=$admin PICTURES=$pictures COMPONENT=$PWD/components/dist/users.wasm \
    node "$here/dashboard.mjs" || fail "the log of the host ends so:"
echo "dashboard-test: all well; screenshots in $pictures"
