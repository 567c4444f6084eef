#!/usr/bin/env bash
# Installs the server that `requirements.txt` pins into `.tools/state-backends`, once: for `./just brokers`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly wanted=$PWD/tests/state-backends/requirements.txt
readonly tools=$PWD/.tools/state-backends

if ! cmp --silent "$wanted" "$tools/installed.txt"; then
    echo "state-backends: installing PostgreSQL into .tools/ (once)"
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement "$wanted"
    cp "$wanted" "$tools/installed.txt"
fi
