"""`wrk`, as the scripts in this folder use it: connections that each wait for their answer."""

import os
import re
import shutil
import subprocess
import sys

if shutil.which("wrk") is None:
    sys.exit("wrk is missing: bench/peers/install.sh debian installs it")


class Load:
    """What `wrk` saw: requests a second, how many there were, and milliseconds until an answer."""

    def __init__(self, address, seconds, connections=32, script=None):
        command = ["wrk", "-t1", f"-c{connections}", "--latency", f"-d{seconds}s"]
        command += ["-s", script] if script else []
        last = max(os.sched_getaffinity(0))
        said = subprocess.run([*command, f"http://{address}"], check=True, capture_output=True, text=True,
                              preexec_fn=lambda: os.sched_setaffinity(0, {last})).stdout
        if "Non-2xx" in said or "Socket errors" in said:
            sys.exit(f"requests to {address} failed:\n{said}")
        self.rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
        self.count = int(re.search(r"(\d+) requests in", said)[1])
        self.p50, self.p99 = (milliseconds(re.search(rf"^ +{percent}% +(\S+)", said, re.M)[1]) for percent in (50, 99))


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}[unit]
