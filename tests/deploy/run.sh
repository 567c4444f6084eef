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

source tests/running_shop.sh deploy-test

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

start_shop

# The committed configuration, with this host's address, and twice a second, so that rates have points.
sed -e "s/127.0.0.1:9090/${admin#http://}/" -e 's/_interval: 15s/_interval: 500ms/' \
    deploy/prometheus/prometheus.yml >"$work/prometheus.yml"
cp deploy/prometheus/rules.yml "$work/rules.yml"
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/data" --web.listen-address=127.0.0.1:0 \
    --enable-feature=exemplar-storage >"$work/prometheus.log" 2>&1 &
prometheus=$!
running+=("$prometheus")

python3 tests/deploy/queries.py "$gateway" "$admin" "$prometheus" || fail "see above"
echo "deploy-test: all well"
