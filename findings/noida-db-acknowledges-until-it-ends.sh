#!/usr/bin/env bash
# noida-db 0.2.3, a server of the Kafka protocol that keeps its data in a file, with librdkafka 2.16: a stop loses what
# was acknowledged.
#
# Behaviour: while a producer with `acks=all` publishes, the server gets SIGTERM, ends by itself with code 0, and is
# started again with the same folder. The log ends before the last records that it had acknowledged: it writes its file
# first, and takes records until it ends. Without a producer at that moment nothing is lost.
# One would have guessed: after the last write of its file it acknowledges nothing any more.
# Source: run here.
# Atoll: nothing of the host can mend that. `tests/it/topics/kafka_server.rs` stops this server only while nobody
# publishes, and pauses it otherwise.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check noida-db==0.2.3 confluent-kafka==2.16.1
cp venv/lib/python3*/site-packages/noida_db/noida-db . && chmod +x noida-db
cat > probe.py <<'PYTHON'
import socket, subprocess, threading, time
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

port = socket.create_server(("127.0.0.1", 0)).getsockname()[1]
servers = {"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0}

def start():
    command = ["./noida-db", "start", "--only", "kafka", "--kafka-port", str(port), "--data-dir", "data"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

def end():
    consumer = Consumer({**servers, "group.id": "g"})
    _, found = consumer.get_watermark_offsets(TopicPartition("t", 0), 30)
    consumer.close()
    return found

server = start()
admin = AdminClient(servers)
admin.create_topics([NewTopic("t", 1)])["t"].result(30)
for is_busy in (True, False):
    acknowledged = end() - 1

    def seen(error, message):
        global acknowledged
        if error is None:
            acknowledged = max(acknowledged, message.offset())

    producer = Producer({**servers, "acks": "all", "message.timeout.ms": 1000, "retries": 0})
    stop = threading.Timer(1.5, server.terminate)
    stop.start()
    deadline = time.monotonic() + (3 if is_busy else 0.5)
    while time.monotonic() < deadline and server.poll() is None:
        producer.produce("t", b"x" * 100, on_delivery=seen)
        producer.poll(0)
        time.sleep(0.0001)
    producer.flush(5)
    code = server.wait(30)
    server = start()
    moment = "while records come" if is_busy else "in a quiet moment"
    print(f"stopped {moment}: code {code}, acknowledged {acknowledged + 1} records, of which {end()} are there")
server.kill()
PYTHON
venv/bin/python probe.py
