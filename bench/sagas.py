"""Sagas of four steps beside Temporal and DBOS: `bench/events.py HOST_BINARY sagas [COUNT] [SECONDS] [ROUNDS]`.

Clients start sagas one after the other and wait for the end of each, for so many seconds (5 unless said otherwise), in
rounds (3) in which the engines take turns, each alone. Then COUNT sagas (10,000) are started while their second step is
kept away, the engine is killed, and the time is measured from its start until all of them have ended.

Each acknowledgement means that it is on disk. Atoll is asked by HTTP, and each of its steps is a call of a component
that makes one commit. The steps of the others do nothing. Temporal is the development server, which is the one that
registries have, with its SQLite in a file and `synchronous=full`; server, workers and clients are processes, and the
first two are killed. DBOS stands on PostgreSQL; application and clients are one process, which is killed. Both are
driven from Python, without Temporal's sandbox for code that is not deterministic.

The others need `.tools/sagas` (`bench/peers/install.sh sagas`); DBOS needs PostgreSQL too
(`tests/state-backends/install.sh`). One that is missing is left out.
"""

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.request

from event_brokers import await_port, free_port

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(HERE, "peers", "sagas")
TOOLS = os.path.join(HERE, "..", ".tools", "sagas", "bin")
CLIENTS, PATIENCE, GOAL = (1, 8, 64), 3600, 5
STEP = """
[[saga.order.step]]
name = "{name}"
call = "{service}/echoed"
with = {{ entry = {{ id = "$saga.key", key = "{name}", mode = "" }} }}
"""


def manifest(component):
    # The component could publish, and does not.
    services = "[topic.none]\n" + "".join(
        f'[service.{name}]\ncomponent = "{component}"\nstate = true\npublish = ["none"]\n'
        'limits = { concurrency = 1024 }\n'
        for name in ("first", "second"))
    steps = [STEP.format(name=name, service="second" if name == "charge" else "first")
             for name in ("reserve", "charge", "confirm", "ship")]
    undo = 'undo = "first/echoed"\n'
    steps[0] += undo
    steps[1] += undo.replace("first", "second")
    steps[2] += "pivot = true\n"
    routes = "".join(f'[[route]]\nmethod = "POST"\npath = "{path}"\nsaga = "order"\nwait = "{wait}"\n'
                     for path, wait in (("/order", "30s"), ("/later", "0s")))
    bounds = '[sagas]\nmost = 20000\nkept = "1h"\nbackoff = "100ms"\nbackoff_most = "100ms"\n'
    return f'{bounds}[saga.order]\ndeadline = "1h"\n{"".join(steps)}{services}{routes}'


class AtollSagas:
    """The sagas of a host; `host` makes one that has no data yet."""

    name = "Atoll"

    def __init__(self, host):
        self.host = host()

    def start(self, charges=True):
        self.host.start()
        if not charges:
            subprocess.run([self.host.binary, "breaker", "open", "second", "--admin", f"http://{self.host.admin}"],
                           check=True, stdout=subprocess.DEVNULL)

    async def ask(self, connection, path, number):
        body = json.dumps({"n": number}).encode()
        return await connection.ask((f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
                                     f"content-length: {len(body)}\r\n\r\n").encode() + body)

    def finished(self, clients, seconds):
        return asyncio.run(self.finish(clients, seconds))

    async def finish(self, clients, seconds):
        connections = [await self.host.connect() for _ in range(clients)]
        end, count = time.perf_counter() + seconds, 0

        async def one(connection):
            nonlocal count
            while time.perf_counter() < end:
                answer = json.loads(await self.ask(connection, "/order", count))
                if answer["state"] != "completed":
                    raise RuntimeError(answer)
                count += 1

        await asyncio.gather(*(one(connection) for connection in connections))
        return count / seconds

    def begin(self, count):
        asyncio.run(self.begun(iter(range(count))))

    async def begun(self, left):
        async def one():
            connection = await self.host.connect()
            for number in left:
                await self.ask(connection, "/later", number)

        await asyncio.gather(*(one() for _ in range(64)))

    def unfinished(self, _count):
        with urllib.request.urlopen(f"http://{self.host.admin}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("atoll_sagas{"))

    def end(self, how=signal.SIGTERM):
        self.host.end(how)


class Peer:
    """An engine whose clients are a program of `bench/peers/sagas`, which is told by lines what to do."""

    def __init__(self, folder):
        self.folder, self.running, self.clients = folder, [], None

    def run(self, command, **options):
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.running.append(subprocess.Popen(command, cwd=self.folder, stderr=log, **options))
        return self.running[-1]

    def program(self, name, *arguments, **options):
        return self.run([os.path.join(TOOLS, "python"), os.path.join(PEERS, name), *arguments], **options)

    def serve_clients(self, name, *arguments):
        """Returns when the clients are there."""
        self.clients = self.program(name, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.said("ready")

    def said(self, expected=None):
        line = self.clients.stdout.readline().strip()
        if not line or expected not in (None, line):
            with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as log:
                sys.exit(f"{self.name} said `{line}`:\n{log.read()[-3000:]}")
        return line

    def tell(self, *words):
        self.clients.stdin.write(" ".join(map(str, words)) + "\n")
        self.clients.stdin.flush()

    def finished(self, clients, seconds):
        self.tell("finish", clients, seconds)
        return float(self.said())

    def begin(self, count):
        self.tell("begin", count)
        self.said("begun")

    def unfinished(self, count):
        self.tell("left", count)
        return int(self.said())

    def end(self, how=signal.SIGTERM):
        """The clients first, since they would wait for the others for ever."""
        for process in reversed(self.running):
            process.send_signal(how if process is not self.clients else signal.SIGKILL)
            process.wait()
        self.running.clear()


class Temporal(Peer):
    name = "Temporal"

    def start(self, charges=True):
        port = free_port()
        # Its bounds of requests for each client are no measure of what it can do.
        bounds = [word for name in ("frontend.namespaceRPS", "frontend.namespaceRPS.visibility", "frontend.rps",
                                    "history.rps", "matching.rps")
                  for word in ("--dynamic-config-value", f"{name}=1000000")]
        server = self.run([os.path.join(TOOLS, "temporal"), "server", "start-dev", "--headless", "--log-level", "error",
                           "--db-filename", "data.db", "--sqlite-pragma", "synchronous=full", "--port", str(port),
                           *bounds], stdout=subprocess.DEVNULL)
        await_port(port, 120)
        if server.poll() is not None:
            sys.exit("the server of Temporal has ended")
        for kind in ("worker", "charge") if charges else ("worker",):
            self.program("on_temporal.py", f"127.0.0.1:{port}", kind)
        self.serve_clients("on_temporal.py", f"127.0.0.1:{port}", "clients")


class Dbos(Peer):
    name = "DBOS"

    def __init__(self, folder, postgres):
        super().__init__(folder)
        self.postgres = postgres

    def start(self, charges=True):
        address = f"postgresql://atoll:bench@127.0.0.1:{self.postgres.port}/{os.path.basename(self.folder)}"
        self.serve_clients("on_dbos.py", address, "here" if charges else "away")


def engines(host, place, postgres):
    """Makers of engines without data."""
    found = [lambda: AtollSagas(host)]
    if os.path.exists(os.path.join(TOOLS, "temporal")):
        found.append(lambda: Temporal(place("temporal")))
        found += [lambda: Dbos(place("dbos"), postgres)] if postgres else []
    return found


def rates(found, seconds, rounds):
    """Sagas a second by clients and engine, one value for each round."""
    rows = {}
    for _ in range(rounds):
        for engine in (make() for make in found):
            engine.start()
            try:
                engine.finished(8, 1)  # warm
                for clients in CLIENTS:
                    rows.setdefault(clients, {}).setdefault(engine.name, []).append(engine.finished(clients, seconds))
            finally:
                engine.end(signal.SIGKILL)
    return rows


def resumed(engine, count):
    """Seconds until `count` sagas were started, until the killed engine has started, and until all have ended."""
    engine.start(charges=False)
    try:
        began = time.perf_counter()
        engine.begin(count)
        begun = time.perf_counter() - began
        engine.end(signal.SIGKILL)
        began = time.perf_counter()
        engine.start()
        started = time.perf_counter() - began
        while left := engine.unfinished(count):
            if time.perf_counter() - began > PATIENCE:
                sys.exit(f"{engine.name}: {left} of {count} sagas have not ended after {PATIENCE} s")
            time.sleep(0.1)
        return begun, started, time.perf_counter() - began
    finally:
        engine.end(signal.SIGKILL)


def measure(host, place, postgres, count, seconds, rounds):
    found = engines(host, place, postgres)
    rows = rates(found, seconds, rounds)
    names = list(rows[CLIENTS[0]])
    others = "".join(f" Atoll ÷ {name} |" for name in names[1:])
    print(f"| sagas of four steps a second, clients | {' | '.join(names)} |{others}")
    print("| ---: |" + " ---: |" * (2 * len(names) - 1))
    for clients, cells in rows.items():
        ratios = [statistics.median(own / other for own, other in zip(cells["Atoll"], cells[name]))
                  for name in names[1:]]
        medians = [f"{statistics.median(cells[name]):,.0f}" for name in names]
        print(f"| {clients} | " + " | ".join(medians + [f"{ratio:.1f}" for ratio in ratios]) + " |")
    print(f"\n| {count:,} sagas, killed at their second step | started in | the engine is back after "
          f"| all have ended after | ÷ Atoll (goal: {GOAL}) |\n| --- |" + " ---: |" * 4)
    first = None
    for engine in (make() for make in found):
        begun, started, ended = resumed(engine, count)
        first = first or ended
        print(f"| {engine.name} | {begun:.1f} s | {started:.2f} s | {ended:.1f} s | {ended / first:.1f} |", flush=True)
