#!/usr/bin/env bash
# Installs what `./just discovery` needs, once: the clients that `requirements.txt` pins into `.tools/discovery`, and
# etcd and dig by apt where they are missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly wanted=$PWD/tests/discovery/requirements.txt
readonly tools=$PWD/.tools/discovery

if ! cmp --silent "$wanted" "$tools/installed.txt"; then
    echo "discovery: installing clients of Consul, Eureka and Kubernetes into .tools/ (once)"
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement "$wanted"
    cp "$wanted" "$tools/installed.txt"
fi

if ! command -v etcd >/dev/null; then
    echo "discovery: installing etcd by apt"
    if [ "$(id -u)" = 0 ]; then sudo=(); else sudo=(sudo); fi
    "${sudo[@]}" apt-get install --yes --no-install-recommends etcd-server
fi

if ! command -v dig >/dev/null; then
    echo "discovery: installing dig by apt"
    if [ "$(id -u)" = 0 ]; then sudo=(); else sudo=(sudo); fi
    "${sudo[@]}" apt-get install --yes --no-install-recommends bind9-dnsutils
fi
