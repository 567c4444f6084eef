#!/usr/bin/env python3
"""Builds of the host beside each other: bench/builds.py BINARY BINARY… [--rounds 9] [--seconds 2] [--only WORD]

For a change that should make nothing slower, and for one that should make something faster. Each binary is a host with
the same services; the first one is the measure of the others. What is asked: a proxy of 1 KiB, a trivial component of
WASI 0.2 and of 0.3 with fresh and with kept instances, and a typed route with both. In each round wrk asks every host
with 32 connections for so many seconds, in an order that turns. The same binary twice shows the error of the method.

The table has medians of the requests in a second and of the host's processor time for a request, and for both the
median ratio to the first binary, taken within rounds. Run `components/build.sh` first; nginx and wrk come from Debian.
"""

import argparse
import os
import statistics
import tempfile

import edge
import host
import load

REUSE = 'isolation = "reuse"\nreuse = {{ max_requests = 1000, max_concurrent = {at_once}, idle_timeout = "1s" }}'
# Each service of fixtures: its component, how its instances live, and whether its route is typed.
SERVICES = {
    "fresh-0.2": ("fixture-bench-p2", "", False),
    "fresh-0.3": ("fixture-bench", "", False),
    "kept-0.2": ("fixture-bench-p2", REUSE.format(at_once=1), False),
    "kept-0.3": ("fixture-bench", REUSE.format(at_once=16), False),
    "typed-fresh": ("fixture-bench", "", True),
    "typed-kept": ("fixture-bench", REUSE.format(at_once=1), True),
}


def path(service):
    return f"/{service.replace('.', '')}/json"


def manifest(services=SERVICES):
    """Sections of a manifest for these services, each with its route."""
    text = ""
    for service, (component, life, typed) in services.items():
        name, prefix = service.replace(".", ""), os.path.dirname(path(service))
        text += f"[service.{name}]\ncomponent = {host.component(component)!r}\n{life}\n[[route]]\n"
        if typed:
            text += f'method = "GET"\npath = "{path(service)}"\ncall = "{name}/greetings#hello"\n'
        else:
            text += f'prefix = "{prefix}"\nstrip_prefix = "{prefix}"\nservice = "{name}"\n'
    return text


def proxy(upstream):
    return f"""[service.up]
urls = ["http://127.0.0.1:{upstream}"]
limits = {{ concurrency = 1024 }}
[[route]]
prefix = "/proxy"
strip_prefix = "/proxy"
service = "up"
"""


def measure(one, asked, seconds):
    """Requests in a second, and microseconds of the host's processor time for each."""
    before = one.seconds()
    seen = load.Load(one.gateway + asked, seconds)
    return seen.rate, (one.seconds() - before) / seen.count * 1e6


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries", nargs="+")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--only", default="")
    return parser.parse_args()


def main():
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        scene = edge.Scene(folder, options.binaries[0])
        hosts = []
        try:
            text = manifest() + proxy(edge.start_upstream(scene))
            for number, binary in enumerate(options.binaries):
                one = host.Host(binary, os.path.join(folder, str(number)), text)
                one.start()
                hosts.append(one)
            asked = {"proxy": "/proxy/small", **{service: path(service) for service in SERVICES}}
            print("| what | build | requests/s | of the first | µs of processor each | of the first |")
            print("| --- | --- | --: | --: | --: | --: |")
            for what, where in asked.items():
                if options.only in what:
                    row(what, where, hosts, options)
        finally:
            scene.stop()
            for one in hosts:
                one.end()


def row(what, where, hosts, options):
    seen = [[] for _ in hosts]
    for one in hosts:
        one.await_answer(where)
        load.Load(one.gateway + where, 1)
    for turn in range(options.rounds):
        order = list(range(len(hosts)))
        shift = turn % len(order)
        for number in order[shift:] + order[:shift]:
            seen[number].append(measure(hosts[number], where, options.seconds))
    for number, rounds in enumerate(seen):
        ratios = [[mine / first for mine, first in zip(*pair)] for pair in zip(rounds, seen[0])]
        rate, cost = (statistics.median(column) for column in zip(*rounds))
        faster, dearer = (statistics.median(column) for column in zip(*ratios))
        print(f"| {what} | {number + 1} | {rate:,.0f} | {faster:.3f} | {cost:.1f} | {dearer:.3f} |", flush=True)


if __name__ == "__main__":
    main()
