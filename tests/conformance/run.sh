#!/usr/bin/env bash
# Starts the example shop and fuzzes its typed routes against its own OpenAPI document: `./just conformance [SEED
# [OPTION…]]`.
#
# The same seed makes the same choices. The ids in the requests are the shop's own, so they are new in each run.
# Options are those of `schemathesis run`. `schemathesis.toml` and `hooks.py` say which checks run, what schemathesis
# is told about the shop, and why. `requirements.txt` lists what is installed into `.tools/`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec </dev/null

readonly seed=${1:-1}
readonly options=("${@:2}")
readonly examples=100      # for each operation and phase: half a minute in all
readonly start_deadline=60 # seconds; a start takes one or two
readonly here=$PWD/tests/conformance
readonly tools=$PWD/.tools/conformance

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
    printf 'conformance: %s\n' "$*" >&2
    if [[ -s $work/err ]]; then sed 's/^/  err: /' "$work/err" | tail -n 40 >&2; fi
    exit 1
}

# Installs schemathesis, once for each version of the list.
install() {
    if cmp --silent "$here/requirements.txt" "$tools/installed.txt"; then return; fi
    echo "conformance: installing schemathesis into .tools/ (once, a minute)"
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$tools/installed.txt"
}

# The address on which the edge of this name listens; empty until it listens.
address_of() { sed -n "s|^$1 listening on \(http:[^[:space:]]*[^/[:space:]]\)/*\$|\1|p" "$work/out"; }

start() {
    : >"$work/out"
    ./just --quiet profile=dev host --quiet
    ATOLL_GATEWAY_LISTEN=127.0.0.1:0 ATOLL_ADMIN_LISTEN=127.0.0.1:0 ATOLL_STATE_PATH="$work/state.redb" \
        "${CARGO_TARGET_DIR:-target}/debug/atoll" run atoll.toml >"$work/out" 2>"$work/err" &
    host=$!
    local deadline=$((SECONDS + start_deadline))
    until gateway=$(address_of gateway) && [[ -n $gateway ]]; do
        kill -0 "$host" 2>/dev/null || fail "the host ended before it listened"
        ((SECONDS < deadline)) || fail "the host did not listen within $start_deadline s"
        sleep 0.1
    done
}

# create PATH JSON: creates an item, and prints its id in quotes, as an entry of a dictionary.
create() {
    local answer
    answer=$(curl --silent --show-error --fail-with-body --max-time 10 --header 'content-type: application/json' \
        --data "$2" "$gateway$1") || fail "POST $1: $answer"
    sed -n 's/.*"id": *\("[0-9]*"\).*/\1/p' <<<"$answer" | grep .
}

product() {
    local rest='"name":"A thing","price":{"amount":450,"currency":"EUR"},"stock":100000'
    create /api/products '{"sku":"'"$1"'",'"$rest}"
}

# Creates the items that requests can name: without them no generated order would ever be placed. Items that paths
# name are removed sooner or later. Items that orders name stay.
stock() {
    local n
    create /api/users '{"name":"Ada Lovelace","email":"ada@example.com"}' >"$work/users.dict"
    for n in 1 2; do product "ordered-$n"; done >"$work/ordered.dict"
    for n in {1..20}; do product "in-paths-$n"; done >"$work/in-paths.dict"
    printf '"sku-%s"\n' {1..500} >"$work/skus.dict"
}

install
start
stock

curl --silent --show-error --fail --max-time 10 --output "$work/openapi.json" "$gateway/openapi.json"
"$tools/bin/openapi-spec-validator" --schema 3.1 "$work/openapi.json"

cp "$here/schemathesis.toml" "$here/hooks.py" "$work" # the dictionaries are looked for beside them
status=0
(
    cd "$work"
    exec "$tools/bin/schemathesis" run "$gateway/openapi.json" --seed "$seed" --max-examples "$examples" "${options[@]}"
) || status=$?
kill -0 "$host" 2>/dev/null || fail "the host ended while it was fuzzed (seed $seed)"
((status == 0)) || fail "schemathesis has findings, see above (repeat them with seed $seed)"
# A service that crashes answers 502, which schemathesis sees. An error of the host itself shows in the log.
if grep -qE ' ERROR |panicked' "$work/err"; then fail "the host logged errors (seed $seed)"; fi
kill -TERM "$host"
wait "$host" || fail "the host ended with status $? after SIGTERM (seed $seed)"
host=""
