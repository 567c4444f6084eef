#!/usr/bin/env python3
"""What it costs to be seen: bench/seeing.py HOST_BINARY [SECONDS] [ROUNDS]

First the scrape of a host with 200 services, each with a route and an endpoint, all of which were called: its bytes and
its milliseconds, at rest and while 400 requests a second go to all services in turn. The scrape is asked for as
Prometheus does, with exemplars, a hundred times.

Then what a collector that fails costs. The hosts are alike but for `[telemetry]`: none; traces in memory alone; and a
receiver of OTLP that takes what it gets, one whose port refuses, one that takes 5 s for each answer, and one that reads
and never answers. `wrk` asks each for a small answer of a component with 32 connections for so many seconds (2 unless
said otherwise) in each round (15), in an order that turns. Printed are the medians of the ratios within the rounds, of
requests a second and of the host's processor time for a request; the host without traces stands there twice, and the
ratio of the two is the error of the method. At the end each host is sent SIGTERM right after a second of load, three
times. The log of the requests is off in all of them.

The goals: a scrape below 1 MiB and 20 ms; throughput within 2 % of tracing off with each receiver that fails; SIGTERM
at most 2 s longer than without traces. The exit status is 1 if one is missed. Needs `wrk`.
"""

import asyncio
import http.client
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import time

from host import Host, component
from load import Load

SERVICES, SCRAPES, PACE = 200, 100, 400
ACCEPT = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
OFF, AGAIN, MEMORY = "no traces", "no traces, again", "traces, no receiver"
MOODS = {"takes": "a receiver that takes them", "dead": "its port refuses", "slow": "5 s for each answer",
         "hole": "never answers"}
MOST_BYTES, MOST_MS, LEAST_SHARE, MOST_LONGER = 1 << 20, 20, 0.98, 2


def many():
    """A manifest of 200 services."""
    hello = component("fixture-hello")
    return "[telemetry]\n" + "".join(
        f'[service.s{n}]\ncomponent = "{hello}"\n[[route]]\nprefix = "/s{n}"\nstrip_prefix = "/s{n}"\n'
        f'service = "s{n}"\n' for n in range(SERVICES))


async def traffic(address, count=None):
    """Asks all services in turn, so many times or for ever, at one pace."""
    reader, writer = await asyncio.open_connection(*address.split(":"))
    began, number = time.perf_counter(), 0
    while count is None or number < count:
        await asyncio.sleep(began + number / PACE - time.perf_counter())
        writer.write(f"GET /s{number % SERVICES}/ HTTP/1.1\r\nhost: a\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head[9:12] == b"200", head
        if b"content-length: " in head:
            await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        else:
            await reader.readuntil(b"0\r\n\r\n")
        number += 1


def endless(address):
    asyncio.run(traffic(address))


def scrapes(host):
    """Milliseconds and bytes of each."""
    connection, found = http.client.HTTPConnection(host.admin), []
    for _ in range(SCRAPES):
        began = time.perf_counter()
        connection.request("GET", "/metrics", headers={"accept": ACCEPT})
        body = connection.getresponse().read()
        found.append(((time.perf_counter() - began) * 1e3, len(body)))
        time.sleep(0.05)
    assert body.endswith(b"# EOF\n")
    return sorted(milliseconds for milliseconds, _ in found), max(size for _, size in found)


def scrape(binary, folder):
    host, misses = Host(binary, folder, many()), []
    host.start()
    host.await_answer("/s0/")
    asyncio.run(traffic(host.gateway, 2 * SERVICES))
    asking = multiprocessing.Process(target=endless, args=(host.gateway,), daemon=True)
    print(f"| a scrape of {SERVICES} services | bytes | p50 | p99 | longest |\n| --- | ---: | ---: | ---: | ---: |")
    try:
        for what in ("at rest", f"{PACE} requests a second"):
            if what != "at rest":
                asking.start()
            times, size = scrapes(host)
            p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100 - 1]
            print(f"| {what} | {size:,} | {p50:.1f} ms | {p99:.1f} ms | {times[-1]:.1f} ms |", flush=True)
            if size >= MOST_BYTES:
                misses.append(f"a scrape has {size:,} bytes, {what}")
            if p99 >= MOST_MS:
                misses.append(f"p99 of a scrape is {p99:.1f} ms, {what}")
        if not asking.is_alive():
            sys.exit("a request failed")
    finally:
        if asking.is_alive():
            asking.kill()
        host.end()
    return misses


class Receiver:
    """A receiver of OTLP over HTTP, in a process of its own."""

    def __init__(self, mood):
        self.mood, self.socket = mood, socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.address = "http://127.0.0.1:%d" % self.socket.getsockname()[1]
        if mood != "dead":  # a port that is bound and does not listen refuses
            self.socket.listen()
            multiprocessing.Process(target=self.run, daemon=True).start()

    def run(self):
        asyncio.run(self.serve())

    async def serve(self):
        await (await asyncio.start_server(self.answer, sock=self.socket)).serve_forever()

    async def answer(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
                if self.mood == "hole":
                    continue
                await asyncio.sleep(5 if self.mood == "slow" else 0)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def sides(binary, folder):
    """The hosts, by what their traces meet."""
    service = (f'[service.hello]\ncomponent = "{component("fixture-hello")}"\n[[route]]\nprefix = "/"\n'
               f'service = "hello"\n[runtime]\ncache = "{folder}/cache"\n')
    lines = {OFF: "", AGAIN: "", MEMORY: "[telemetry]\nsample = 0.01\n"}
    for mood, what in MOODS.items():
        lines[what] = f'[telemetry]\nsample = 0.01\notlp = "{Receiver(mood).address}"\n'
    return {what: Host(binary, os.path.join(folder, f"side{number}"), text + service)
            for number, (what, text) in enumerate(lines.items())}


def start(host):
    host.start()
    host.await_answer("/")


def measured(host, seconds):
    """Requests a second, and seconds of the host's processor time for one."""
    before = host.seconds()
    load = Load(f"{host.gateway}/", seconds)
    return load.rate, (host.seconds() - before) / load.count


def collectors(binary, folder, seconds, rounds):
    hosts, found, misses = sides(binary, folder), [], []
    try:
        for host in hosts.values():
            start(host)
            measured(host, 1)
        names = list(hosts)
        for turn in range(rounds):
            order = names[turn % len(names):] + names[:turn % len(names)]
            found.append({name: measured(hosts[name], seconds) for name in order})
        counts = {name: [host.metric(f"atoll_otlp_spans_{what}_total") for what in ("exported", "dropped")]
                  for name, host in hosts.items()}
        ends = {name: [] for name in names}
        for number in range(3):
            for name, host in hosts.items():
                if number:
                    start(host)
                Load(f"{host.gateway}/", 1)
                ends[name].append(host.end())
    finally:
        for host in hosts.values():
            if host.process.poll() is None:
                host.process.kill()
    print("\n| traces | requests a second | of no traces | processor time of one | of no traces "
          "| spans taken, left out | SIGTERM, longest |\n| --- |" + " ---: |" * 6)
    for name in names:
        cells = []
        for at, form in ((0, "{:,.0f}"), (1, "{:.1f} µs")):
            middle = statistics.median(one[name][at] for one in found)
            ratios = [one[name][at] / one[OFF][at] for one in found]
            low, ratio, high = statistics.quantiles(ratios, n=4) if rounds > 1 else ratios * 3
            cells += [form.format(middle * (1e6 if at else 1)), f"{ratio:.3f} ({low:.3f}–{high:.3f})"]
            if at == 0 and name in list(MOODS.values())[1:] and ratio < LEAST_SHARE:
                misses.append(f"the throughput is {ratio:.3f} of that without traces: {name}")
        sent, dropped = counts[name]
        print(f"| {name} | {' | '.join(cells)} | {sent:,.0f}, {dropped:,.0f} | {max(ends[name]):.2f} s |")
        if max(ends[name]) > max(ends[OFF]) + MOST_LONGER:
            misses.append(f"SIGTERM takes {max(ends[name]):.2f} s: {name}")
        if name != MOODS["slow"] and (sent > 0) != (name == MOODS["takes"]):
            misses.append(f"{sent:,.0f} spans were taken: {name}")
    return misses


def main():
    binary, seconds, rounds = sys.argv[1], *[int(text) for text in (sys.argv[2:] + ["2", "15"][len(sys.argv) - 2:])]
    with tempfile.TemporaryDirectory() as folder:
        misses = scrape(binary, os.path.join(folder, "many"))
        misses += collectors(binary, folder, seconds, rounds)
    for miss in misses:
        print(f"missed: {miss}")
    sys.exit(1 if misses else 0)


if __name__ == "__main__":
    main()
