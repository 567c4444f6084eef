"""Sagas of four steps: `bench/events.py HOST_BINARY sagas [COUNT]`.

Each step is a call of a component that makes one commit. Clients start sagas one after the other and wait for the end
of each; then COUNT sagas (10,000 unless said otherwise) are started while the service of their second step is kept
away, the host is killed, and the time is measured until all of them have ended after the start.
"""

import asyncio
import json
import signal
import subprocess
import time
import urllib.request

CLIENTS = (1, 8, 64)
STEP = """
[[saga.order.step]]
name = "{name}"
call = "{service}/echoed"
with = {{ entry = {{ id = "$saga.key", key = "{name}", mode = "" }} }}
"""


def manifest(component):
    services = "".join(
        f'[service.{name}]\ncomponent = "{component}"\nstate = true\nlimits = {{ concurrency = 1024 }}\n'
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


async def start(connection, path, number):
    body = json.dumps({"n": number}).encode()
    return await connection.ask((f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
                                 f"content-length: {len(body)}\r\n\r\n").encode() + body)


async def finished(atoll, clients, seconds):
    """How many sagas a second the clients see end."""
    connections = [await atoll.connect() for _ in range(clients)]
    end, count = time.perf_counter() + seconds, 0

    async def one(connection):
        nonlocal count
        while time.perf_counter() < end:
            answer = json.loads(await start(connection, "/order", count))
            if answer["state"] != "completed":
                raise RuntimeError(answer)
            count += 1

    await asyncio.gather(*(one(connection) for connection in connections))
    return count / seconds


async def begun(atoll, count):
    left = iter(range(count))

    async def one():
        connection = await atoll.connect()
        for number in left:
            await start(connection, "/later", number)

    await asyncio.gather(*(one() for _ in range(64)))


def unfinished(atoll):
    with urllib.request.urlopen(f"http://{atoll.admin}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("atoll_sagas{"))


def breaker(atoll, verb):
    subprocess.run([atoll.binary, "breaker", verb, "second", "--admin", f"http://{atoll.admin}"], check=True,
                   stdout=subprocess.DEVNULL)


def measure(atoll, count):
    atoll.start()
    print("| clients | sagas of four steps a second |\n| ---: | ---: |")
    for clients in CLIENTS:
        print(f"| {clients} | {asyncio.run(finished(atoll, clients, 5)):,.0f} |")
    breaker(atoll, "open")
    began = time.perf_counter()
    asyncio.run(begun(atoll, count))
    print(f"\n{count:,} sagas started in {time.perf_counter() - began:.1f} s, and kept at their second step")
    atoll.end(signal.SIGKILL)
    began = time.perf_counter()
    atoll.start()
    started = time.perf_counter() - began
    while unfinished(atoll):
        time.sleep(0.1)
    print(f"after kill -9 the host has started in {started:.2f} s, and all have ended after "
          f"{time.perf_counter() - began:.1f} s")
    atoll.end()
