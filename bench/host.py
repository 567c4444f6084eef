"""A host that a script in this folder measures: started in a folder of its own, on free ports, and ended."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request

COMPONENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "components", "dist")
PATIENCE = 120  # seconds: a first start compiles


def component(name):
    """The path of a built component, as a manifest has it."""
    path = os.path.realpath(os.path.join(COMPONENTS, f"{name}.wasm"))
    if not os.path.exists(path):
        sys.exit(f"{path} is missing: run components/build.sh")
    return path


class Host:
    def __init__(self, binary, folder, manifest, variables=None):
        self.binary, self.folder, self.variables = os.path.abspath(binary), folder, variables or {}
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with open(os.path.join(folder, "atoll.toml"), "w", encoding="utf-8") as file:
            file.write(manifest)

    def start(self):
        """Returns when it listens."""
        environment = {**os.environ, "ATOLL_GATEWAY_LISTEN": "127.0.0.1:0", "ATOLL_ADMIN_LISTEN": "127.0.0.1:0",
                       "ATOLL_LOG": "access=off,warn", **self.variables}
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen([self.binary, "run", "atoll.toml"], cwd=self.folder, env=environment,
                                            stdout=subprocess.PIPE, stderr=log, text=True)
        found = {}
        for line in self.process.stdout:
            edge, _, address = line.strip().partition(" listening on http://")
            found[edge] = address
            if {"gateway", "admin"} <= found.keys():
                self.gateway, self.admin = found["gateway"], found["admin"]
                return
        self.fail("did not start")

    def fail(self, what):
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as log:
            sys.exit(f"the host {what}:\n{log.read()[-3000:]}")

    def await_answer(self, path):
        """Waits until `path` is answered with a 200: a host listens before all is compiled."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(f"http://{self.gateway}{path}", timeout=10) as answer:
                    return answer.read()
            except OSError as error:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.fail(f"does not answer {path} ({error})")
                time.sleep(0.05)

    def metric(self, name):
        """The sum of all series of this name."""
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)", text, re.M))

    def seconds(self):
        """The processor time so far, to the nanosecond."""
        tasks, nanos = f"/proc/{self.process.pid}/task", 0
        for task in os.listdir(tasks):
            try:
                with open(f"{tasks}/{task}/schedstat", encoding="ascii") as file:
                    nanos += int(file.read().split()[0])
            except OSError:
                continue  # a thread that has ended
        return nanos / 1e9

    def end(self, how=signal.SIGTERM):
        """Ends it, and returns how many seconds that took."""
        began = time.perf_counter()
        self.process.send_signal(how)
        self.process.wait()
        self.process.stdout.close()
        return time.perf_counter() - began
