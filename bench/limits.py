#!/usr/bin/env python3
"""Limits in real traffic: bench/limits.py HOST_BINARY [SECONDS]

First 100 clients at once, each with a limit of 5 requests a second, each asking 8 times a second for so many seconds
(40 unless said otherwise). Prints how many of each were admitted, and fails if one of them is further than 1 % and one
request from the setting.

Then others ask a component for a small answer, 50 times a second: in quiet; beside a client whose requests compute, and
who asks again at once; and beside the same client with a limit of its processor time, 5 % of one processor. Prints p50
and p99 of the others, and how many of the client's requests were admitted. Only the standard library is needed.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
COMPONENT = os.path.join(HERE, "..", "components", "dist", "fixture-bench.wasm")
CLIENTS, RATE, OFFERED = 100, 5, 8
MANIFEST = f"""
[limit.each]
rate = "{RATE}/1s"
by = "header:x-client"
[limit.work]
cpu = "500ms/10s"
by = "header:x-client"
[service.bench]
component = "{COMPONENT}"
[[route]]
prefix = "/counted"
strip_prefix = "/counted"
service = "bench"
limit = ["each"]
[[route]]
prefix = "/charged"
strip_prefix = "/charged"
service = "bench"
limit = ["work"]
[[route]]
prefix = "/"
service = "bench"
"""


class Client:
    """A connection that is kept, and opened again if it was closed."""

    def __init__(self, port, name):
        self.port, self.name, self.reader = port, name, None

    async def get(self, path):
        if self.reader is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(f"GET {path} HTTP/1.1\r\nhost: a\r\nx-client: {self.name}\r\n\r\n".encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        await self.reader.readexactly(int(re.search(rb"content-length: (\d+)", head, re.I)[1]))
        return int(head[9:12])


async def paced(began, rate, count, ask):
    """Calls `ask` so often a second, never one before the one before has ended, and returns what it returned."""
    answers = []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        answers.append(await ask())
    return answers


async def admitted(port, seconds):
    began = time.perf_counter() + 1
    clients = [Client(port, f"client-{number}") for number in range(CLIENTS)]
    tasks = []
    for number, client in enumerate(clients):
        start = began + number / CLIENTS / OFFERED
        ask = lambda client=client: client.get("/counted/json")  # noqa: E731
        tasks.append(asyncio.create_task(paced(start, OFFERED, OFFERED * seconds, ask)))
    counts = [answers.count(200) for answers in await asyncio.gather(*tasks)]
    # The burst, which is the rate's own, is there at the beginning.
    due = RATE * seconds + RATE
    worst = max(abs(count - due) for count in counts)
    print(f"{CLIENTS} clients: {min(counts)} to {max(counts)} of {OFFERED * seconds} admitted, the setting is {due}")
    return [] if worst <= due / 100 + 1 else [f"a client is {worst} requests from the setting"]


async def others(what, port, seconds):
    client = Client(port, "other")

    async def timed():
        began = time.perf_counter()
        status = await client.get("/json")
        return status, (time.perf_counter() - began) * 1e3

    results = await paced(time.perf_counter(), 50, 50 * seconds, timed)
    times = sorted(took for _, took in results)
    wrong = sum(status != 200 for status, _ in results)
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    print(f"{what:44} p50 {p50:6.1f} ms  p99 {p99:6.1f} ms  {wrong} refused", flush=True)


async def expensive(port, path, counts):
    client = Client(port, "expensive")
    while True:
        status = await client.get(path)
        counts[status] = counts.get(status, 0) + 1
        if status == 429:
            await asyncio.sleep(0.05)


async def beside(what, port, path, seconds):
    counts = {}
    tasks = [asyncio.create_task(expensive(port, path, counts)) for _ in range(4)]
    await asyncio.sleep(1)
    await others(what, port, seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(f"{'':44} the client: {dict(sorted(counts.items()))}")


async def main():
    binary, seconds = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 40
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/atoll.toml", "w", encoding="ascii") as manifest:
            manifest.write(MANIFEST)
        environment = dict(os.environ, ATOLL_GATEWAY_LISTEN="127.0.0.1:0", ATOLL_ADMIN_LISTEN="127.0.0.1:0")
        environment["ATOLL_LOG"] = "access=off,error"
        quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        host = subprocess.Popen([binary, "run", "atoll.toml"], cwd=folder, env=environment, text=True, **quiet)
        try:
            lines = [host.stdout.readline() for _ in range(2)]
            port = int(next(line for line in lines if line.startswith("gateway")).strip().rsplit(":", 1)[1])
            # The host listens while it still compiles.
            first, deadline = Client(port, "first"), time.monotonic() + 60
            while await first.get("/json") != 200 and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
            wrong = await admitted(port, seconds)
            await others("others, quiet", port, seconds // 4)
            await beside("others, beside 4 requests that compute", port, "/compute", seconds // 4)
            await beside("others, beside them with 5 % of a processor", port, "/charged/compute", seconds // 4)
        finally:
            host.kill()
            host.wait()
    for sentence in wrong:
        print(sentence)
    sys.exit(1 if wrong else 0)


asyncio.run(main())
