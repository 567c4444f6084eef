#!/usr/bin/env bash
# Starts a host and lets a real Prometheus scrape its metrics: `./just conformance-metrics`.
#
# Prometheus is a package of Debian (`apt-get install prometheus`). The run fails if a scrape is refused, if Prometheus
# has another number of series than the host wrote, or if it has no exemplar whose trace the host still has.
# `promtool check metrics` reads an older format than OpenMetrics, and would prove nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec </dev/null

readonly deadline_after=60 # seconds; each step takes one or two
work=$(mktemp -d)
host=""
prometheus=""

clean_up() {
    for one in $host $prometheus; do kill -KILL "$one" && wait "$one"; done 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    printf 'conformance-metrics: %s\n' "$*" >&2
    for log in err prometheus; do
        if [[ -s $work/$log ]]; then sed "s/^/  $log: /" "$work/$log" | tail -n 20 >&2; fi
    done
    exit 1
}

# Repeats a command until it succeeds, and prints what it printed last.
until_it_holds() {
    local what=$1 end=$((SECONDS + deadline_after)) output
    shift
    until output=$("$@" 2>/dev/null) && [[ -n $output ]]; do
        ((SECONDS < end)) || fail "this did not happen within $deadline_after s: $what"
        sleep 0.2
    done
    printf '%s\n' "$output"
}

command -v prometheus >/dev/null || fail "Prometheus is missing: apt-get install prometheus"
command -v python3 >/dev/null || fail "python3 is missing"
cat >"$work/atoll.toml" <<'MANIFEST'
[telemetry]
sample = 1

[service.gone]
urls = ["http://127.0.0.1:1"]

[[route]]
prefix = "/"
service = "gone"
MANIFEST
./just --quiet profile=dev host --quiet
ATOLL_GATEWAY_LISTEN=127.0.0.1:0 ATOLL_ADMIN_LISTEN=127.0.0.1:0 \
    "${CARGO_TARGET_DIR:-target}/debug/atoll" run "$work/atoll.toml" >"$work/out" 2>"$work/err" &
host=$!
gateway=$(until_it_holds "the host listens" sed -n 's|^gateway listening on ||p' "$work/out")
admin=$(until_it_holds "the admin listens" sed -n 's|^admin listening on http://||p' "$work/out")
for _ in 1 2 3 4 5; do curl -s -o /dev/null "$gateway/x"; done

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
port=$(free_port)
printf 'global: {scrape_interval: 1s}\nscrape_configs: [{job_name: atoll, static_configs: [{targets: ["%s"]}]}]\n' \
    "$admin" >"$work/prometheus.yml"
promtool check config "$work/prometheus.yml" >/dev/null || fail "the configuration of Prometheus is wrong"
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/data" --log.level=warn \
    --web.listen-address="127.0.0.1:$port" --enable-feature=exemplar-storage >"$work/prometheus" 2>&1 &
prometheus=$!

# What a query of Prometheus answers, by a path into its JSON; nothing if there is no answer yet.
ask() {
    curl -sf -G "http://127.0.0.1:$port/api/v1/$1" --data-urlencode "query=$2" ${4:+--data-urlencode "$4"} |
        python3 -c "import json, sys; data = json.load(sys.stdin)['data']; print($3)"
}
up=$(until_it_holds "Prometheus has scraped the host" ask query 'up{job="atoll"} == 1' "data['result'][0]['value'][1]")
[[ $up == 1 ]] || fail "the scrape is refused"
stored=$(ask query 'count({job="atoll", __name__=~"atoll_.*"})' "data['result'][0]['value'][1]")
written=$(curl -sf "http://$admin/metrics" | grep -cv '^#')
[[ $stored == "$written" ]] || fail "Prometheus has $stored series, and the host wrote $written"
trace=$(until_it_holds "Prometheus has an exemplar" ask query_exemplars \
    'atoll_gateway_duration_seconds_bucket' "data[0]['exemplars'][0]['labels']['trace_id']" \
    "start=$(date -d '-1 hour' +%s)")
curl -sf -o /dev/null "http://$admin/v1/traces/$trace" || fail "the host has no trace $trace"
printf 'conformance-metrics: Prometheus has all %s series, and an exemplar leads to a trace\n' "$stored"
