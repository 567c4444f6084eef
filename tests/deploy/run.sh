#!/usr/bin/env bash
# Tries the files of deploy/ with real tools: `./just deploy-test`.
#
# promtool checks the rules and their tests; a real Prometheus scrapes the running shop by OpenMetrics with exemplars,
# under traffic that has failures in it; each query of the Grafana dashboard, of the rules and of docs/operations.md is
# asked of it, and those that must have an answer have one. Needs Debian's package `prometheus` (the programs alone:
# no service has to run) and Python 3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec </dev/null

readonly start_deadline=60 # seconds; a start takes one or two

work=$(mktemp -d)
host=""
prometheus=""

clean_up() {
    for process in $host $prometheus; do kill -KILL "$process" && wait "$process"; done 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    printf 'deploy-test: %s\n' "$*" >&2
    for log in err prometheus; do
        if [[ -s $work/$log ]]; then tail -n 20 "$work/$log" | sed "s/^/  $log: /" >&2; fi
    done
    exit 1
}

for program in promtool prometheus python3; do
    command -v "$program" >/dev/null || fail "$program is missing: install the package prometheus"
done

(cd deploy/prometheus && promtool check rules rules.yml && promtool check config prometheus.yml &&
    promtool test rules rules.test.yml) || fail "the rules do not hold"
if command -v systemd-analyze >/dev/null; then
    # The program of the unit is not installed here; all else must be in order.
    complaints=$(systemd-analyze verify deploy/systemd/atoll.service 2>&1 | grep -v 'is not executable' || true)
    [[ -z $complaints ]] || fail "systemd-analyze: $complaints"
fi

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

# The committed configuration, with this host's address, and twice a second, so that rates have points.
sed -e "s/127.0.0.1:9090/${admin#http://}/" -e 's/_interval: 15s/_interval: 500ms/' \
    deploy/prometheus/prometheus.yml >"$work/prometheus.yml"
cp deploy/prometheus/rules.yml "$work/rules.yml"
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/data" --web.listen-address=127.0.0.1:0 \
    --enable-feature=exemplar-storage >"$work/prometheus" 2>&1 &
prometheus=$!

python3 tests/deploy/queries.py "$gateway" "$admin" "$prometheus" || fail "see above"
echo "deploy-test: all well"
