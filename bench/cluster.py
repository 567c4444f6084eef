#!/usr/bin/env python3
"""A call to another node beside other ways to call a process: bench/cluster.py HOST_BINARY [SECONDS] [ROUNDS]

Two hosts are a cluster with a real `nats-server`: a component on one calls a function of a component on the other, with
a small record that comes back, by mutual TLS. Beside it stand native programs (`bench/peers/rpc`) that call each other
with the same record: as JSON over HTTP/1.1 through nginx, by gRPC with tonic, in clear and by mutual TLS, and its bytes
over HTTP/2 with hyper alone, in clear. All of it is on this machine. 32 callers, and one, each make one call after the
other for so many seconds (2 unless said otherwise) in each round (5); the sides take turns, and medians are printed.
Calls are timed by the hundred where they are made: in the guest and in the native caller. Instances are kept.

Then the same call within one host, without `[cluster]`, with it, and once more without it, whose ratio is the error of
the method. Printed are microseconds, and the host's processor time for a call.

The goals, for 32 callers: at least twice the calls a second of JSON through nginx, as many as by gRPC in clear, and at
most twice the time of HTTP/2 alone; a local call within 2 % of its processor time. The exit status is 1 if one is
missed. Needs `.tools/nats` (`tests/brokers/install.sh`), `.tools/bin/rpc` (`bench/peers/install.sh rpc`) and nginx.
"""

import asyncio
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from event_brokers import Nats, await_port, free_port
from events import HttpConnection
from host import Host, component

HERE = os.path.dirname(os.path.abspath(__file__))
RPC = os.path.join(HERE, "..", ".tools", "bin", "rpc")
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
CALLERS, BATCH = (32, 1), 100
ATOLL, JSON, BARE = "Atoll, from node to node", "JSON over HTTP/1.1 through nginx", "HTTP/2 alone, hyper"
GRPC, GRPCS = "gRPC, tonic, in clear", "gRPC, tonic, mutual TLS"
OFF, ON, AGAIN = "no cluster", "in a cluster", "no cluster, again"
LEAST, MOST_TIMES, MOST_LOCAL = {JSON: 2, GRPC: 1}, 2, 1.02


def services(placed):
    """The calling component and the called one; `placed` says on which node each has instances."""
    relay, types = (f'nodes = ["node={node}"]\n' if node else "" for node in placed)
    kept = 'isolation = "reuse"\n'
    return (f'[service.types]\ncomponent = "{component("fixture-types")}"\n{kept}{types}'
            f'[service.relay]\ncomponent = "{component("fixture-relay")}"\ncalls = ["types"]\n{kept}{relay}'
            '[[route]]\nmethod = "GET"\npath = "/record/{count}"\ncall = "relay/bench#bench-record"\n')


class Cluster:
    """What the nodes share: a server of NATS, and an authority."""

    def __init__(self, binary, folder):
        self.binary, self.folder, self.pki = os.path.abspath(binary), folder, os.path.join(folder, "pki")
        os.makedirs(os.path.join(folder, "nats"))
        self.nats = Nats(os.path.join(folder, "nats"))
        self.nats.start()
        self.verb("cluster", "init", self.pki)

    def verb(self, *words):
        subprocess.run([self.binary, *words], check=True, stdout=subprocess.DEVNULL)

    def certified(self, node):
        self.verb("cluster", "certificate", node, "--folder", self.pki)
        return (f'authority = "{self.pki}/authority.pem"\ncertificate = "{self.pki}/{node}.pem"\n'
                f'key = "{self.pki}/{node}.key"\n')

    def host(self, node, placed, name="bench"):
        manifest = (f'[cluster]\nnats = "nats://127.0.0.1:{self.nats.port}"\nname = "{name}"\nnode = "{node}"\n'
                    f'listen = "127.0.0.1:0"\n{self.certified(node)}{services(placed)}')
        return Host(self.binary, os.path.join(self.folder, node), manifest)


class Natives:
    """The servers that are no Atoll, each at an address."""

    def __init__(self, folder, pki):
        self.running, self.pki = [], pki
        backend = self.serve("json")
        self.sides = {JSON: ("json", self.nginx(folder, backend)), GRPC: ("grpc", self.serve("grpc")),
                      GRPCS: ("grpc", self.serve("grpc", pki), pki), BARE: ("bare", self.serve("bare"))}

    def serve(self, *arguments):
        self.running.append(subprocess.Popen([RPC, "serve", *arguments], stdout=subprocess.PIPE, text=True))
        return self.running[-1].stdout.readline().strip() or sys.exit(f"`rpc serve {arguments[0]}` did not start")

    def nginx(self, folder, upstream):
        port = free_port()
        with open(os.path.join(HERE, "peers", "nginx.conf"), encoding="utf-8") as source:
            text = source.read().replace("@UPSTREAM@", upstream).replace("@LISTEN@", f"127.0.0.1:{port}")
        with open(os.path.join(folder, "nginx.conf"), "w", encoding="utf-8") as file:
            file.write(text)
        self.running.append(subprocess.Popen([NGINX, "-p", folder, "-c", "nginx.conf", "-e", "stderr"]))
        await_port(port)
        return f"127.0.0.1:{port}"

    def call(self, side, callers, seconds):
        kind, address, *pki = self.sides[side]
        said = subprocess.run([RPC, "call", kind, address, str(callers), str(seconds), *pki], check=True, text=True,
                              stdout=subprocess.PIPE).stdout
        return tuple(float(word) for word in said.split())

    def end(self):
        for process in self.running:
            process.send_signal(signal.SIGTERM)
            process.wait()


async def calls(gateway, callers, seconds):
    """Calls a second, and the median of the batches' microseconds for one."""
    connections = [HttpConnection(*await asyncio.open_connection(*gateway.split(":"))) for _ in range(callers)]
    began, batches = time.perf_counter(), []

    async def one(connection):
        while time.perf_counter() - began < seconds:
            nanoseconds = await connection.ask(f"GET /record/{BATCH} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
            batches.append(int(nanoseconds) / 1e3 / BATCH)

    await asyncio.gather(*(one(connection) for connection in connections))
    return len(batches) * BATCH / (time.perf_counter() - began), statistics.median(batches)


def started(host):
    host.start()
    host.await_answer("/record/1")
    return host


def remote(cluster, folder, seconds, rounds):
    hosts = [cluster.host(node, ("a", "b")) for node in ("a", "b")]
    natives, found, misses = None, {}, []
    try:
        hosts[1].start()
        started(hosts[0])
        natives = Natives(folder, cluster.pki)
        sides = [ATOLL, *natives.sides]
        before = hosts[1].metric("atoll_call_seconds_count")
        asyncio.run(calls(hosts[0].gateway, 32, 1))
        if hosts[1].metric("atoll_call_seconds_count") - before < BATCH:
            sys.exit("the other node has not been called")
        for turn in range(rounds):
            at = turn % len(sides)
            for callers in CALLERS:
                for side in sides[at:] + sides[:at]:
                    seen = (asyncio.run(calls(hosts[0].gateway, callers, seconds)) if side == ATOLL
                            else natives.call(side, callers, seconds))
                    found.setdefault((callers, side), []).append(seen)
    finally:
        for host in hosts:
            if hasattr(host, "process"):
                host.end()
        if natives:
            natives.end()
    for callers in CALLERS:
        print(f"\n| a record there and back, {callers} at a time | calls a second | Atoll's ÷ these | p50 "
              "| Atoll's ÷ this |\n| --- | ---: | ---: | ---: | ---: |")
        for side in sides:
            own, its = found[callers, ATOLL], found[callers, side]
            rate, p50 = (statistics.median(one[at] for one in its) for at in (0, 1))
            rates, times = (statistics.median(a[at] / b[at] for a, b in zip(own, its)) for at in (0, 1))
            print(f"| {side} | {rate:,.0f} | {rates:.2f} | {p50:,.0f} µs | {times:.2f} |", flush=True)
            if callers == CALLERS[0] and rates < LEAST.get(side, 0):
                misses.append(f"{rates:.2f} of the calls a second of: {side} (at least {LEAST[side]})")
            if callers == CALLERS[0] and side == BARE and times > MOST_TIMES:
                misses.append(f"p50 is {times:.2f} times that of: {side} (at most {MOST_TIMES})")
    return misses


def local(cluster, seconds, rounds):
    alone = lambda name: Host(cluster.binary, os.path.join(cluster.folder, name), services((None, None)))
    hosts = {OFF: alone("alone"), ON: cluster.host("c", (None, None), "local"), AGAIN: alone("again")}
    found, misses = [], []
    try:
        for host in hosts.values():
            asyncio.run(calls(started(host).gateway, 1, 1))
        names = list(hosts)
        for turn in range(2 * rounds):
            at, seen = turn % len(names), {}
            for name in names[at:] + names[:at]:
                before = hosts[name].seconds()
                rate, p50 = asyncio.run(calls(hosts[name].gateway, 1, seconds))
                seen[name] = (p50, (hosts[name].seconds() - before) * 1e6 / (rate * seconds))
            found.append(seen)
    finally:
        for host in hosts.values():
            if hasattr(host, "process"):
                host.end()
    print("\n| a record within a host | µs | of no cluster | processor time | of no cluster |\n| --- |" + " ---: |" * 4)
    for name in names:
        cells = []
        for at in (0, 1):
            ratio = statistics.median(one[name][at] / one[OFF][at] for one in found)
            cells.append(f"{statistics.median(one[name][at] for one in found):.2f} µs | {ratio:.3f}")
        print(f"| {name} | {' | '.join(cells)} |")
        if name == ON and ratio > MOST_LOCAL:
            misses.append(f"a local call in a cluster costs {ratio:.3f} of the processor time (at most {MOST_LOCAL})")
    return misses


def main():
    binary, seconds, rounds = sys.argv[1], *[int(text) for text in (sys.argv[2:] + ["2", "5"][len(sys.argv) - 2:])]
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(binary, folder)
        try:
            misses = remote(cluster, folder, seconds, rounds) + local(cluster, seconds, rounds)
        finally:
            cluster.nats.end()
    for miss in misses:
        print(f"missed: {miss}")
    sys.exit(1 if misses else 0)


if __name__ == "__main__":
    main()
