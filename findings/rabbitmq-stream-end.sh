#!/usr/bin/env bash
# rabbitmq-server 3.10.8 (Debian 12), streams over AMQP 0.9.1: nobody tells how far a stream goes.
#
# Behaviour: five messages are published to a stream and confirmed. The count that `queue.declare` gives for it is 0
# then, and for seconds; a stream with messages looks like an empty one. A confirmation has no offset, and a consumer that
# has reached the end gets nothing, without a word. A misspelt argument (`x-stream-ofset`) is accepted.
# One would have guessed: what is confirmed is counted, as for every other kind of queue.
# Source: run here; "Streams" of RabbitMQ's guides tells of no other way.
# Atoll: `host/src/broker/rabbit/stream.rs` writes a message of its own, the mark, and reads until it comes.
set -euo pipefail
server=/usr/lib/rabbitmq/bin/rabbitmq-server
[ -x "$server" ] || { echo "rabbitmq-server is missing: apt-get install rabbitmq-server"; exit 1; }
work=$(mktemp -d)
trap 'kill -KILL -- -"$group" 2> /dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pika==1.4.4
read -r port own < <(python3 -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(one.getsockname()[1] for one in sockets))')
echo '[].' > plugins
echo "listeners.tcp.1 = 127.0.0.1:$port" > server.conf
HOME=$work RABBITMQ_NODENAME=finding$own@localhost RABBITMQ_MNESIA_BASE=$work/data RABBITMQ_LOG_BASE=$work/logs \
    RABBITMQ_LOGS=$work/log RABBITMQ_ENABLED_PLUGINS_FILE=$work/plugins RABBITMQ_CONFIG_FILE=$work/server.conf \
    RABBITMQ_CONF_ENV_FILE=$work/none RABBITMQ_DIST_PORT=$own \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-start_epmd false -erl_epmd_port $own" setsid "$server" > out 2>&1 &
group=$!
cat > probe.py <<'PYTHON'
import sys, time, pika

def connect():
    deadline = time.monotonic() + 60
    while True:
        try:
            return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(sys.argv[1])))
        except pika.exceptions.AMQPConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.2)

channel = connect().channel()
channel.queue_declare("s", durable=True, arguments={"x-queue-type": "stream"})
channel.confirm_delivery()
for number in range(5):
    channel.basic_publish("", "s", b"%d" % number, mandatory=True)
since = time.monotonic()
first = channel.queue_declare("s", passive=True).method.message_count
while channel.queue_declare("s", passive=True).method.message_count < 5:
    time.sleep(0.1)
print(f"confirmed 5, counted {first}; counted 5 after {time.monotonic() - since:.1f} s")
reader = connect().channel()
reader.basic_qos(prefetch_count=10)
reader.basic_consume("s", lambda *_: None, arguments={"x-stream-ofset": "first"})
print("a misspelt offset is accepted")
PYTHON
venv/bin/python probe.py "$port"
