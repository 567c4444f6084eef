#!/usr/bin/env bash
# Tries the files of deploy/ with real tools: `./just deploy-test`.
#
# Helm renders the chart, checked by chart.py and linted by checkov; pod.py runs the host as the rendered pod has it;
# unit.py holds the unit of systemd, compose.py the files of Compose; guide.py types the commands of docs/deployment.md.
# promtool checks the rules and their tests; a real Prometheus scrapes the running shop by OpenMetrics with exemplars,
# under traffic that has failures in it; each query of the Grafana dashboard, of the rules, of the adapter and of
# docs/operations.md is asked of it, and those that must have an answer have one.
#
# Needs Python 3.11, systemd-analyze, and Debian's packages `prometheus` (the programs alone: no service has to run) and
# `strace`; and root, to play the kubelet.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec </dev/null

source tests/running_shop.sh deploy-test

for program in promtool prometheus python3 strace systemd-analyze ip; do
    command -v "$program" >/dev/null || fail "$program is missing: install the packages prometheus, strace, iproute2"
done
tests/deploy/install.sh
readonly python=$PWD/.tools/deploy/bin/python

(cd deploy/prometheus && promtool check rules rules.yml && promtool check config prometheus.yml &&
    promtool test rules rules.test.yml) || fail "the rules do not hold"

mkdir "$work/rendered" "$work/pod" "$work/unit" "$work/guide"
"$python" tests/deploy/chart.py --out "$work/rendered" || fail "the chart does not hold"
"$python" tests/deploy/compose.py || fail "the files of compose do not hold"
.tools/deploy/bin/checkov --config-file tests/deploy/checkov.yml --directory "$work/rendered" \
    --framework kubernetes || fail "checkov: the rendered chart"
.tools/deploy/bin/checkov --config-file tests/deploy/checkov.yml --file deploy/docker/Dockerfile \
    --framework dockerfile || fail "checkov: the Dockerfile"
.tools/deploy/bin/checkov --config-file tests/deploy/checkov.yml --directory deploy/terraform \
    --framework terraform || fail "checkov: the example for Terraform"
"$python" -c 'import hcl2, sys; [hcl2.load(open(file)) for file in sys.argv[1:]]' \
    deploy/nomad/atoll.nomad.hcl deploy/terraform/main.tf || fail "Nomad, Terraform: no HCL"

./just --quiet profile=dev host --quiet
readonly program=${CARGO_TARGET_DIR:-target}/debug/atoll
"$python" tests/deploy/unit.py "$program" "$work/unit" || fail "the unit of systemd does not hold"
"$python" tests/deploy/guide.py "$program" "$work/guide" || fail "the guide"
if [[ $(id -u) == 0 ]]; then
    unshare --mount --net --propagation private \
        "$python" tests/deploy/pod.py "$program" "$work/rendered/default.yml" "$work/pod" || fail "the pod does not run"
else
    echo "deploy-test: not root, so the pod was not played"
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
