#!/usr/bin/env bash
# Installs the server that `requirements.txt` pins into `.tools/nats`, once: for `./just brokers`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly wanted=$PWD/tests/brokers/requirements.txt
readonly tools=$PWD/.tools/nats

if ! cmp --silent "$wanted" "$tools/installed.txt"; then
    echo "brokers: installing nats-server into .tools/ (once)"
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement "$wanted"
    cp "$wanted" "$tools/installed.txt"
fi
