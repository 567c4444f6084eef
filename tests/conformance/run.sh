#!/usr/bin/env bash
# Starts the example shop and fuzzes its typed routes against the OpenAPI document that it gives of itself: `./just conformance [SEED [OPTION…]]`.
#
# The same seed makes the same choices; the ids in them are the shop's own, and new in each run. Options are those of `schemathesis run`.
# Which checks run, what they are told of the shop and why is in `schemathesis.toml` and `hooks.py`; what is installed, into `.tools/`,
# is in `requirements.txt`.
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

# Installs what is needed, once for each version of the list.
install() {
    if cmp --silent "$here/requirements.txt" "$tools/installed.txt"; then return; fi
    echo "conformance: installing schemathesis into .tools/ (once, a minute)"
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$tools/installed.txt"
}

# The address at which the edge of this name listens, once it does.
address_of() { sed -n "s|^$1 listening on \(http:[^[:space:]]*[^/[:space:]]\)/*\$|\1|p" "$work/out"; }

start() {
    : >"$work/out"
    cargo build --quiet --bin atoll
    ATOLL_GATEWAY_LISTEN=127.0.0.1:0 ATOLL_ADMIN_LISTEN=127.0.0.1:0 ATOLL_STATE_PATH="$work/state.redb" \
        "${CARGO_TARGET_DIR:-target}/debug/atoll" run atoll.toml >"$work/out" 2>"$work/err" &
    host=$!
    local deadline=$((SECONDS + start_deadline))
    until gateway=$(address_of gateway) && [[ -n $gateway ]]; do
        kill -0 "$host" 2>/dev/null || fail "the host ended before it listened"
        ((SECONDS < deadline)) || fail "the host did not say within $start_deadline s where it listens"
        sleep 0.1
    done
}

# create PATH JSON: makes something, and answers its id as an entry of a dictionary, in quotes.
create() {
    local answer
    answer=$(curl --silent --show-error --fail-with-body --max-time 10 --header 'content-type: application/json' \
        --data "$2" "$gateway$1") || fail "POST $1: $answer"
    sed -n 's/.*"id": *\("[0-9]*"\).*/\1/p' <<<"$answer" | grep .
}

product() { create /api/products '{"sku":"'"$1"'","name":"A thing","price":{"amount":450,"currency":"EUR"},"stock":100000}'; }

# What requests can name: without these no generated order would ever be placed. What paths name is removed sooner or later, what orders
# name stays.
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
(cd "$work" && exec "$tools/bin/schemathesis" run "$gateway/openapi.json" --seed "$seed" --max-examples "$examples" "${options[@]}") || status=$?
kill -0 "$host" 2>/dev/null || fail "the host ended while it was fuzzed (seed $seed)"
((status == 0)) || fail "there were findings (seed $seed)"
# A service that crashes answers 502, which schemathesis has seen; a fault of the host itself would be in its log.
if grep -qE ' ERROR |panicked' "$work/err"; then fail "the host logged errors (seed $seed)"; fi
kill -TERM "$host"
wait "$host" || fail "the host ended with status $? after SIGTERM (seed $seed)"
host=""
