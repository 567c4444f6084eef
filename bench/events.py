#!/usr/bin/env python3
"""Events beside brokers: bench/events.py HOST_BINARY [SECONDS] [ROUNDS]

Publishes for so many seconds (2 unless said otherwise) with 1, 8, 64 and 256 publishers, each of which waits for the
acknowledgement before it publishes again, with payloads of 100 bytes and 10 KB. Every acknowledgement means that the
event is on disk: Atoll's own log; JetStream with `sync_interval: always`; a durable queue of RabbitMQ with persistent
messages and confirms; a Redis stream with `appendfsync always`.
Then one event after the other from its publication until its handler or consumer has it: Atoll's handler is a component
whose effect is a commit, the consumers of the others are connections of this program, which acknowledge.

The rounds (3 unless said otherwise) are interleaved, and the medians of the rates and of the ratios are printed. The
clients are alike: connections of this program, in two processes, which speak each protocol in a few lines. Atoll is
asked by HTTP through its gateway, and a component publishes; that is the way which a user's event takes.

Another part, `bench/events.py HOST_BINARY million`, fills a topic with a million events and measures the start of the
host on it, its memory, how fast a subscription is delivered all of them again, and what live events of another topic
notice of a subscriber that is 100,000 events behind and catches up. `bench/events.py HOST_BINARY sagas` measures sagas
of four steps beside Temporal and DBOS, and how fast 10,000 go on after `kill -9`: see `sagas.py`.

Needs `.tools/nats/bin/nats-server` and Debian's RabbitMQ (`tests/brokers/install.sh` installs both) and `redis-server`
(a package of Debian); one that is missing is left out.
"""

import asyncio
import itertools
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import sagas
import state_backends
from event_brokers import ONE_BY_ONE, brokers

HERE = os.path.dirname(os.path.abspath(__file__))
COMPONENT = os.path.join(HERE, "..", "components", "dist", "fixture-events.wasm")
PUBLISHERS, SIZES = (1, 8, 64, 256), (("100 B", 100), ("10 KB", 10_000))
MANIFEST = f"""
[topic.entries]
payload = "atoll:fixture-events/types#entry"
[topic.untyped]
[service.writer]
component = "{COMPONENT}"
state = true
publish = ["entries", "untyped", "live"]
[service.reader]
component = "{COMPONENT}"
state = true
publish = ["untyped"]
subscribe = [{{ topic = "entries", call = "reader/HANDLER" }}]
[topic.live]
payload = "atoll:fixture-events/types#entry"
[service.prompt]
component = "{COMPONENT}"
state = true
subscribe = [{{ topic = "live", call = "prompt/echoed" }}]
[[route]]
method = "POST"
path = "/publish/{{topic}}"
call = "writer/publish"
[[route]]
method = "GET"
path = "/reader"
call = "reader/get"
[[route]]
method = "GET"
path = "/prompt"
call = "prompt/get"
"""


class Atoll:
    name = "Atoll"

    def __init__(self, binary, folder, handler="handle", manifest=MANIFEST):
        self.folder = folder
        with open(os.path.join(folder, "atoll.toml"), "w", encoding="utf-8") as file:
            file.write(manifest.replace("HANDLER", handler))
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


async def live(atoll, stop):
    """Publishes an event every 10 ms until `stop()`, and waits for each until it is handled. Returns the times until it
    was acknowledged, and until it was handled."""
    connection, acknowledged, handled, run = await atoll.connect(), [], [], time.monotonic_ns()
    number = 0
    while not stop():
        event = json.dumps({"id": f"{run}-{number}", "key": "live", "mode": ""})
        body, start = json.dumps([event]).encode(), time.perf_counter()
        await connection.ask((f"POST /publish/live HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
                              f"content-length: {len(body)}\r\n\r\n").encode() + body)
        acknowledged.append(time.perf_counter() - start)
        while await atoll.get(connection, f"/prompt?key=echoed/{run}-{number}") != b'"1"':
            await asyncio.sleep(0.0005)
        handled.append(time.perf_counter() - start)
        number += 1
        await asyncio.sleep(max(0, 0.01 - handled[-1]))
    return acknowledged, handled


def lag_of(atoll):
    return topics(atoll)["entries"]["subscriptions"][0]["lag"]


def rebuild(atoll, *options):
    subprocess.run([atoll.binary, "events", "rebuild", "reader", "--yes", "--keep-data", *options,
                    "--admin", f"http://{atoll.admin}"], check=True, stdout=subprocess.DEVNULL)


def settle(atoll, most=0):
    """Waits until everything is handled. Returns the seconds and the most memory meanwhile."""
    start = time.perf_counter()
    while lag_of(atoll):
        time.sleep(0.2)
        most = max(most, resident(atoll.process))
    return max(time.perf_counter() - start, 0.2), most


def in_time(atoll, seconds):
    end = time.monotonic() + seconds
    return asyncio.run(live(atoll, lambda: time.monotonic() > end))


def behind(atoll, count, last):
    """The times of live events while nothing else goes on, and while a subscriber that is `count` events behind
    catches up."""
    in_time(atoll, 2)  # warm
    quiet = in_time(atoll, 10)
    rebuild(atoll, "--from", str(last - count + 1))
    asked, start = [0.0], time.perf_counter()

    def caught_up():
        # Asking costs something, too.
        if time.perf_counter() - asked[0] < 0.5:
            return False
        asked[0] = time.perf_counter()
        return lag_of(atoll) == 0

    busy = asyncio.run(live(atoll, caught_up))
    seconds = time.perf_counter() - start
    print(f"\n{count:,} events behind, it has caught up after {seconds:.1f} s, {count / seconds:,.0f} a second")
    print("\n| live events, p99 | alone | meanwhile | ratio (at most 2) |\n| --- | ---: | ---: | ---: |")
    for name, alone, meanwhile in zip(("acknowledged", "handled"), quiet, busy):
        alone, meanwhile = (sorted(times)[int(len(times) * 0.99)] * 1000 for times in (alone, meanwhile))
        print(f"| {name} | {alone:.2f} ms | {meanwhile:.2f} ms | {meanwhile / alone:.2f} |")
    print(f"\n{len(busy[0]):,} live events meanwhile")


def million(atoll, count):
    atoll.start()
    empty, start = resident(atoll.process), time.perf_counter()
    asyncio.run(fill(atoll, count))
    seconds = time.perf_counter() - start
    print(f"{count:,} events published in {seconds:.0f} s, {count / seconds:,.0f} a second, in commits of 100")
    first = lag_of(atoll)
    seconds, most = settle(atoll)
    print(f"{first:,} of them were left to handle: {first / seconds:,.0f} a second")
    atoll.end(signal.SIGKILL)
    start = time.perf_counter()
    atoll.start()
    print(f"start after kill -9: {time.perf_counter() - start:.2f} s (at most 1 s), "
          f"memory {resident(atoll.process)} MiB ({empty} MiB empty)")
    rebuild(atoll)
    seconds, most = settle(atoll, most)
    print(f"all delivered again in {seconds:.0f} s: {count / seconds:,.0f} a second, memory at most {most} MiB")
    behind(atoll, min(count, 100_000), topics(atoll)["entries"]["last"])
    atoll.end()


def beside_engines(binary, place):
    """Sagas; each engine begins with data of its own."""
    # PostgreSQL would go on without this program.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    count, seconds, rounds = [int(text) for text in sys.argv[3:] + ["10000", "5", "3"][len(sys.argv) - 3:]]
    numbers = itertools.count()
    fresh = lambda name: place(f"{name}{next(numbers)}")
    host = lambda: Atoll(binary, fresh("atoll"), manifest=sagas.manifest(COMPONENT))
    with tempfile.TemporaryDirectory() as data:
        postgres = state_backends.Postgres(data) if state_backends.Postgres.found() else None
        try:
            sagas.measure(host, fresh, postgres, count, seconds, rounds)
        finally:
            if postgres:
                postgres.end()


def main():
    binary = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        os.chmod(folder, 0o700)
        place = lambda name: os.makedirs(os.path.join(folder, name)) or os.path.join(folder, name)
        if sys.argv[2:3] == ["million"]:
            # A handler whose data do not grow with the number of events of a key.
            atoll = Atoll(binary, place("atoll"), "echoed")
            return million(atoll, int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000)
        if sys.argv[2:3] == ["sagas"]:
            return beside_engines(binary, place)
        atoll = Atoll(binary, place("atoll"))
        servers = [atoll, *brokers(place)]
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
