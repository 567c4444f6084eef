#!/usr/bin/env python3
"""The throughput of a trivial component while a canary is under way, beside that of a host without one.

    bench/canary.py ATOLL [SECONDS] [ROUNDS] [SHARE]

Three hosts of one binary serve the fixture `fickle`. In one a canary of the same code gets SHARE percent of the calls
(50), and is judged with each of them; the other two have none, so that the ratio of these two is the error of the
method. In each round wrk asks every host with 32 connections for so many seconds (5), in an order that turns; of so
many rounds (9; two at least). Printed are the medians, and the middle half of the ratios of the rounds: of the
throughput, and of the processor time of the host for a request, which other programs change less. Run
`components/build.sh` first.
"""

import os
import statistics
import sys
import tempfile
import urllib.request

import host
import load

MANIFEST = """
[service.fickle]
component = {component!r}
rollout = {{ canary = ["{share}%"], step = "1h" }}
[[route]]
prefix = "/"
service = "fickle"
"""
CONDUCT = b"traps-000-takes-000-ms-a"
SIDES = ("no canary", "no canary again", "a canary")


def begin(one, component):
    """Begins a canary of the same code, under another digest."""
    with open(component, "rb") as file:
        other = file.read().replace(CONDUCT, CONDUCT[:-1] + b"b")
    request = urllib.request.Request(f"http://{one.admin}/v1/services/fickle/rollouts", other, method="POST",
                                     headers={"content-type": "application/wasm"})
    urllib.request.urlopen(request, timeout=60).close()


def is_under_way(one):
    with urllib.request.urlopen(f"http://{one.admin}/v1/services/fickle/rollouts", timeout=30) as answer:
        return b'"phase":"canary"' in answer.read().replace(b" ", b"")


def beside(numbers, side):
    """The ratios of the rounds to those without a canary."""
    ratios = [number / base for number, base in zip(numbers[side], numbers[SIDES[0]])]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def main():
    binary = sys.argv[1]
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    rounds = max(int(sys.argv[3]), 2) if len(sys.argv) > 3 else 9
    share = int(sys.argv[4]) if len(sys.argv) > 4 else 50
    component = host.component("fixture-fickle")
    with tempfile.TemporaryDirectory() as folder:
        hosts = [host.Host(binary, os.path.join(folder, str(number)), MANIFEST.format(component=component, share=share))
                 for number in range(len(SIDES))]
        rates, costs = {side: [] for side in SIDES}, {side: [] for side in SIDES}
        started = []
        try:
            for one in hosts:
                one.start()
                started.append(one)
                one.await_answer("/")
            begin(hosts[-1], component)
            for one in hosts:
                load.Load(one.gateway, 1)
            for turn in range(rounds):
                for number in sorted(range(len(SIDES)), key=lambda number: (number - turn) % len(SIDES)):
                    before = hosts[number].seconds()
                    seen = load.Load(hosts[number].gateway, seconds)
                    rates[SIDES[number]].append(seen.rate)
                    costs[SIDES[number]].append((hosts[number].seconds() - before) / seen.count * 1e6)
            if not is_under_way(hosts[-1]):
                sys.exit("the canary ended before the last round")
        finally:
            for one in started:
                one.end()
    for side in SIDES:
        print(f"{side:16} {statistics.median(rates[side]):9,.0f} requests/s, {beside(rates, side)} of no canary; "
              f"{statistics.median(costs[side]):6.1f} us of the processor, {beside(costs, side)}")


if __name__ == "__main__":
    main()
