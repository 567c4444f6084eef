"""Compares two reports of Autobahn's cases, each an `index.json`: the server's own, and that of the server behind a
gateway. Fails if a case comes out otherwise behind the gateway, or if there is none."""

import collections
import json
import sys


def verdicts(path):
    """The verdict of each case, and that of its closing handshake."""
    with open(path, encoding="utf-8") as report:
        (cases,) = json.load(report).values()
    return {case: (result["behavior"], result["behaviorClose"]) for case, result in cases.items()}


direct, behind = map(verdicts, sys.argv[1:3])
differing = [case for case in direct if direct[case] != behind.get(case)]
for case in differing:
    print(f"case {case}: {direct[case]}, and behind the gateway {behind.get(case)}", file=sys.stderr)
counted = collections.Counter(behavior for behavior, _ in behind.values())
print(f"conformance-websocket: {len(direct)} cases, {len(differing)} come out otherwise behind the gateway;", end=" ")
print(", ".join(f"{count} {behavior}" for behavior, count in sorted(counted.items())))
sys.exit(bool(differing) or not direct)
