#!/usr/bin/env python3
"""Events beside brokers: bench/events.py HOST_BINARY [SECONDS] [ROUNDS]

Publishes for so many seconds (2 unless said otherwise) with 1, 8, 64 and 256 publishers, each of which waits for the
acknowledgement before it publishes again, with payloads of 100 bytes and 10 KB. Every acknowledgement means that the
event is on disk: Atoll's own log; JetStream with `sync_interval: always`; a Redis stream with `appendfsync always`.
Then one event after the other from its publication until its handler or consumer has it: Atoll's handler is a component
whose effect is a commit, the consumers of the others are connections of this program, which acknowledge.

The rounds (3 unless said otherwise) are interleaved, and the medians of the rates and of the ratios are printed. The
clients are alike: connections of this program, in two processes, which speak each protocol in a few lines. Atoll is
asked by HTTP through its gateway, and a component publishes; that is the way which a user's event takes.

Another part, `bench/events.py HOST_BINARY million`, fills a topic with a million events and measures the start of the
host on it, its memory, and how fast a subscription is delivered all of them again.

Needs `.tools/nats/bin/nats-server` (`tests/brokers/install.sh`) and `redis-server` (a package of Debian); one that is
missing is left out.
"""

import asyncio
import json
import multiprocessing
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
COMPONENT = os.path.join(HERE, "..", "components", "dist", "fixture-events.wasm")
NATS = os.path.join(HERE, "..", ".tools", "nats", "bin", "nats-server")
PUBLISHERS, SIZES = (1, 8, 64, 256), (("100 B", 100), ("10 KB", 10_000))
ONE_BY_ONE = 200  # events of the latency
MANIFEST = f"""
[topic.entries]
payload = "atoll:fixture-events/types#entry"
[topic.untyped]
[service.writer]
component = "{COMPONENT}"
state = true
publish = ["entries", "untyped"]
[service.reader]
component = "{COMPONENT}"
state = true
publish = ["untyped"]
subscribe = [{{ topic = "entries", call = "reader/handle" }}]
[[route]]
method = "POST"
path = "/publish/{{topic}}"
call = "writer/publish"
[[route]]
method = "GET"
path = "/reader"
call = "reader/get"
"""


class Atoll:
    name = "Atoll"

    def __init__(self, binary, folder):
        self.folder = folder
        with open(os.path.join(folder, "atoll.toml"), "w", encoding="utf-8") as file:
            file.write(MANIFEST)
        self.binary = binary

    def start(self):
        env = {**os.environ, "ATOLL_GATEWAY_LISTEN": "127.0.0.1:0", "ATOLL_ADMIN_LISTEN": "127.0.0.1:0"}
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen([self.binary, "run", "atoll.toml"], cwd=self.folder, env=env,
                                            stdout=subprocess.PIPE, stderr=log, text=True)
        found = {}
        for line in self.process.stdout:
            edge, _, address = line.strip().partition(" listening on http://")
            found[edge] = address
            if {"gateway", "admin"} <= found.keys():
                break
        else:
            with open(os.path.join(self.folder, "log"), encoding="utf-8") as log:
                sys.exit(f"the host did not start:\n{log.read()}")
        self.gateway, self.admin = found["gateway"], found["admin"]
        self.port = int(self.gateway.rsplit(":", 1)[1])

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait()

    async def connect(self):
        return HttpConnection(*await asyncio.open_connection("127.0.0.1", self.port))

    async def get(self, connection, path):
        return await connection.ask(f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode())

    async def publisher(self, size):
        connection = await self.connect()
        body = json.dumps([json.dumps("x" * (size - 2))]).encode()
        head = (f"POST /publish/untyped HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\n\r\n").encode()
        return lambda: connection.ask(head + body)

    async def one_by_one(self):
        connection, times, run = await self.connect(), [], time.monotonic_ns()
        for number in range(ONE_BY_ONE):
            event = json.dumps({"id": f"{run}-{number}", "key": f"k{number}", "mode": ""})
            body = json.dumps([event]).encode()
            start = time.perf_counter()
            await connection.ask((f"POST /publish/entries HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
                                  f"content-length: {len(body)}\r\n\r\n").encode() + body)
            while await self.get(connection, f"/reader?key=seen/{run}-{number}") != b'"1"':
                pass
            times.append(time.perf_counter() - start)
        return times


class HttpConnection:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def ask(self, request):
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        lengths = (line[15:] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        length = int(next(lengths, 0))
        body = await self.reader.readexactly(length)
        if status >= 300 and status != 404:
            raise RuntimeError(f"{status}: {body}")
        return body


class Nats:
    name = "JetStream, sync_interval: always"

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        with open(os.path.join(folder, "nats.conf"), "w", encoding="utf-8") as file:
            file.write(f'listen: "127.0.0.1:{self.port}"\n'
                       f'jetstream {{ store_dir: "{folder}/js", sync_interval: always }}\n')

    def start(self):
        self.process = subprocess.Popen([NATS, "-c", "nats.conf"], cwd=self.folder, stderr=subprocess.DEVNULL)
        await_port(self.port)
        asyncio.run(self.create())

    async def create(self):
        connection = await NatsConnection.open(self.port)
        stream = {"name": "S", "subjects": ["s.>"], "storage": "file", "allow_direct": True}
        answer = await connection.ask("$JS.API.STREAM.CREATE.S", json.dumps(stream).encode())
        assert b"error" not in answer or b"in use" in answer, answer
        consumer = {"stream_name": "S", "config": {
            "durable_name": "C", "ack_policy": "explicit", "deliver_subject": "handed", "filter_subject": "s.handled"}}
        answer = await connection.ask("$JS.API.CONSUMER.CREATE.S.C", json.dumps(consumer).encode())
        assert b'"error"' not in answer, answer

    def end(self):
        self.process.terminate()
        self.process.wait()

    async def publisher(self, size):
        connection, body = await NatsConnection.open(self.port), b"x" * size
        return lambda: connection.ask("s.published", body)

    async def one_by_one(self):
        connection, handed, times = await NatsConnection.open(self.port), await NatsConnection.open(self.port), []
        await handed.send(b"SUB handed 2\r\nPING\r\n")
        for _ in range(ONE_BY_ONE):
            start = time.perf_counter()
            message = asyncio.ensure_future(handed.message())
            await connection.ask("s.handled", b"x" * 100)
            reply, _ = await message
            times.append(time.perf_counter() - start)
            await handed.send(b"PUB " + reply + b" 4\r\n+ACK\r\n")
        return times


class NatsConnection:
    @classmethod
    async def open(cls, port):
        one = cls()
        one.reader, one.writer = await asyncio.open_connection("127.0.0.1", port)
        await one.reader.readline()
        one.inbox = f"in.{os.getpid()}.{id(one)}"
        await one.send(f'CONNECT {{"verbose":false,"headers":true}}\r\nSUB {one.inbox} 1\r\n'.encode())
        return one

    async def send(self, text):
        self.writer.write(text)

    async def ask(self, subject, payload):
        self.writer.write(f"PUB {subject} {self.inbox} {len(payload)}\r\n".encode() + payload + b"\r\n")
        return (await self.message())[1]

    async def message(self):
        """The reply subject and the payload of the next message."""
        while True:
            words = (await self.reader.readline()).split()
            if words[0] == b"MSG":
                payload = await self.reader.readexactly(int(words[-1]) + 2)
                return (words[3] if len(words) > 4 else b""), payload[:-2]


class Redis:
    name = "Redis stream, appendfsync always"

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()

    def start(self):
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder, "--appendonly", "yes",
                     "--appendfsync", "always", "--save", ""]
        self.process = subprocess.Popen(["redis-server", *arguments], stdout=subprocess.DEVNULL)
        await_port(self.port)
        asyncio.run(self.create())

    async def create(self):
        connection = await RedisConnection.open(self.port)
        await connection.ask(b"XGROUP", b"CREATE", b"handled", b"g", b"$", b"MKSTREAM")

    def end(self):
        self.process.terminate()
        self.process.wait()

    async def publisher(self, size):
        connection, body = await RedisConnection.open(self.port), b"x" * size
        return lambda: connection.ask(b"XADD", b"published", b"*", b"d", body)

    async def one_by_one(self):
        connection, handed, times = await RedisConnection.open(self.port), await RedisConnection.open(self.port), []
        for _ in range(ONE_BY_ONE):
            start = time.perf_counter()
            message = asyncio.ensure_future(handed.ask(
                b"XREADGROUP", b"GROUP", b"g", b"c", b"COUNT", b"1", b"BLOCK", b"5000", b"STREAMS", b"handled", b">"))
            await connection.ask(b"XADD", b"handled", b"*", b"d", b"x" * 100)
            found = await message
            times.append(time.perf_counter() - start)
            await handed.ask(b"XACK", b"handled", b"g", found[0][1][0][0])
        return times


class RedisConnection:
    @classmethod
    async def open(cls, port):
        one = cls()
        one.reader, one.writer = await asyncio.open_connection("127.0.0.1", port)
        return one

    async def ask(self, *words):
        parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        self.writer.write(b"*%d\r\n%s" % (len(words), parts))
        return await self.read()

    async def read(self):
        line = (await self.reader.readline()).rstrip()
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise RuntimeError(line)
        if kind == b"$":
            return None if rest == b"-1" else (await self.reader.readexactly(int(rest) + 2))[:-2]
        if kind == b"*":
            return [await self.read() for _ in range(int(rest))]
        return rest


def free_port():
    import socket
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def await_port(port):
    import socket
    deadline = time.monotonic() + 30
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


async def publish(server, size, publishers, seconds):
    asks = [await server.publisher(size) for _ in range(publishers)]
    end, counts = time.perf_counter() + seconds, []

    async def one(ask):
        count = 0
        while time.perf_counter() < end:
            await ask()
            count += 1
        counts.append(count)

    await asyncio.gather(*(one(ask) for ask in asks))
    return sum(counts)


def work(results, server, size, publishers, seconds):
    results.put(asyncio.run(publish(server, size, publishers, seconds)))


def rate(server, size, publishers, seconds):
    """Acknowledged events a second, by two processes where there are several publishers."""
    shares = [publishers] if publishers == 1 else [publishers // 2] * 2
    results = multiprocessing.Queue()
    workers = [multiprocessing.Process(target=work, args=(results, server, size, share, seconds)) for share in shares]
    for worker in workers:
        worker.start()
    total = sum(results.get() for _ in workers)
    for worker in workers:
        worker.join()
    return total / seconds


def table(title, rows, rivals):
    print(f"\n{title}\n")
    print("| | " + " | ".join(["Atoll", *rivals]) + " | Atoll ÷ the best other |")
    print("| --- |" + " ---: |" * (len(rivals) + 2))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.stdout.flush()


def compare(servers, seconds, rounds):
    names = [server.name for server in servers]
    rows = []
    for label, size in SIZES:
        for publishers in PUBLISHERS:
            rates = {name: [] for name in names}
            for _ in range(rounds):
                for server in servers:
                    rates[server.name].append(rate(server, size, publishers, seconds))
            best = [max(values) for values in zip(*(rates[name] for name in names[1:]))] if names[1:] else []
            ratio = statistics.median(own / other for own, other in zip(rates["Atoll"], best)) if best else 0
            medians = [f"{statistics.median(rates[name]):,.0f}" for name in names]
            rows.append([f"{label}, {publishers} publishers", *medians, f"{ratio:.1f}"])
    table("Events published and acknowledged on disk, a second", rows, names[1:])
    times = {name: [] for name in names}
    for _ in range(rounds):
        for server in servers:
            times[server.name].extend(asyncio.run(server.one_by_one()))
    rows = []
    for percent, at in (("p50", 0.5), ("p99", 0.99)):
        found = {name: sorted(values)[int(len(values) * at)] for name, values in times.items()}
        best = min((found[name] for name in names[1:]), default=0)
        times_found = (f"{found[name] * 1000:.2f} ms" for name in names)
        rows.append([percent, *times_found, f"{found['Atoll'] / (best or 1):.2f}"])
    table("From the publication of one event until it is handled", rows, names[1:])


def resident(process):
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) // 1024 for line in file if line.startswith("VmRSS:"))


def topics(atoll):
    with urllib.request.urlopen(f"http://{atoll.admin}/v1/topics") as answer:
        return {topic["name"]: topic for topic in json.load(answer)}


async def fill(atoll, count):
    """Publishes in commits of 100, by 16 publishers."""
    left = iter(range(0, count, 100))

    async def one():
        connection = await atoll.connect()
        for first in left:
            event = [json.dumps({"id": f"e{n}", "key": f"k{n % 1000}", "mode": ""}) for n in range(first, first + 100)]
            body = json.dumps(event).encode()
            await connection.ask((f"POST /publish/entries HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
                                  f"content-length: {len(body)}\r\n\r\n").encode() + body)

    await asyncio.gather(*(one() for _ in range(16)))


def million(atoll, count):
    atoll.start()
    empty, start = resident(atoll.process), time.perf_counter()
    asyncio.run(fill(atoll, count))
    seconds = time.perf_counter() - start
    print(f"{count:,} events published in {seconds:.0f} s, {count / seconds:,.0f} a second, in commits of 100")
    lag, start, most = topics(atoll)["entries"]["subscriptions"][0]["lag"], time.perf_counter(), 0
    first = lag
    while lag:
        time.sleep(0.2)
        lag, most = topics(atoll)["entries"]["subscriptions"][0]["lag"], max(most, resident(atoll.process))
    seconds = time.perf_counter() - start
    print(f"{first:,} of them were left to handle: {first / max(seconds, 0.2):,.0f} a second")
    atoll.end(signal.SIGKILL)
    start = time.perf_counter()
    atoll.start()
    print(f"start after kill -9: {time.perf_counter() - start:.2f} s, "
          f"memory {resident(atoll.process)} MiB ({empty} MiB empty)")
    rebuilt = [atoll.binary, "events", "rebuild", "reader", "--yes", "--keep-data", "--admin", f"http://{atoll.admin}"]
    subprocess.run(rebuilt, check=True, stdout=subprocess.DEVNULL)
    start, lag = time.perf_counter(), 1
    while lag:
        time.sleep(0.2)
        lag, most = topics(atoll)["entries"]["subscriptions"][0]["lag"], max(most, resident(atoll.process))
    seconds = time.perf_counter() - start
    print(f"all delivered again in {seconds:.0f} s: {count / seconds:,.0f} a second, memory at most {most} MiB")
    atoll.end()


def main():
    binary = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        os.chmod(folder, 0o700)
        place = lambda name: os.makedirs(os.path.join(folder, name)) or os.path.join(folder, name)
        atoll = Atoll(binary, place("atoll"))
        if sys.argv[2:3] == ["million"]:
            return million(atoll, int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000)
        servers = [atoll]
        if os.path.exists(NATS):
            servers.append(Nats(place("nats")))
        if shutil.which("redis-server"):
            servers.append(Redis(place("redis")))
        for server in servers:
            server.start()
        try:
            seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 2
            compare(servers, seconds, int(sys.argv[3]) if len(sys.argv) > 3 else 3)
        finally:
            for server in servers:
                server.end()


if __name__ == "__main__":
    main()
