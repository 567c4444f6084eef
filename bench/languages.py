#!/usr/bin/env python3
"""Services in JavaScript and Python beside their usual servers: bench/languages.py HOST_BINARY [SECONDS] [ROUNDS]

bench/languages.py HOST_BINARY table [LANGUAGE…] makes the table of all languages instead: what the service of the
template weighs, how long the host takes to compile it and to start with the compiled code, what it takes of memory, and
how long one request takes, with a fresh instance and with `reuse`: the first one after a start, and the median of 500
that come one after the other. Five starts each, interleaved; medians are printed.

The same work everywhere: `GET /greet/Ada` is answered with `{"text":"Hello, Ada!"}`. Atoll serves the services that
`atoll new --lang js` and `--lang python` make, typed, with a fresh instance for each request and with `reuse`. Beside
them are the same work as components that handle HTTP themselves, of WASI 0.2 and 0.3 (`bench/peers/faces`): in Atoll,
and in `wasmtime serve` with its defaults, with which an instance of 0.2 serves one request, and one of 0.3 serves 128,
16 of them at a time. And there are node's own http server (one process, as it comes) and Flask under gunicorn (five
workers), each behind nginx as a plain proxy; and Flask behind the gateway in Flask that the article has. wrk asks with
32 connections for so many seconds (5 unless said otherwise). The rounds (3) are interleaved, and medians are printed.

The JavaScript of WASI 0.2 is on StarlingMonkey, all else on QuickJS, which has no `wasi:http` 0.2.
`wasmtime serve` compiles its component at each start, before it is asked.

Needs node with npm, python3 with venv, wrk, nginx, `.tools/flask` and `.tools/bin/wasmtime`
(`bench/peers/install.sh`). What is missing is left out, and said.
"""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
FLASK = os.path.join(HERE, "..", ".tools", "flask", "bin", "gunicorn")
WASMTIME = os.path.abspath(os.path.join(HERE, "..", ".tools", "bin", "wasmtime"))
FACES = os.path.join(HERE, "peers", "faces")
WORLDS = os.path.join(HERE, "..", "host", "templates", "http")
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
CONNECTIONS, WORKERS, PATIENCE = 32, 5, 120
ANSWER = {"text": "Hello, Ada!"}
LANGUAGES = ("rust", "js", "ts", "python", "c", "zig", "go")
STARTS, REQUESTS = 5, 500
NODE = """
const http = require("node:http");
http.createServer((request, response) => {
  const person = decodeURIComponent(request.url.slice("/greet/".length));
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ text: `Hello, ${person}!` }));
}).listen(Number(process.argv[2]), "127.0.0.1");
"""
SERVICE = """
from flask import Flask, jsonify
app = Flask(__name__)

@app.get("/greet/<person>")
def greet(person):
    return jsonify(text=f"Hello, {person}!")
"""
GATEWAY = """
import os
import requests
from flask import Flask, Response
app = Flask(__name__)

@app.get("/<path:path>")
def forward(path):
    answer = requests.get(f"http://{os.environ['UPSTREAM']}/{path}", timeout=5)
    return Response(answer.content, answer.status_code, content_type=answer.headers["content-type"])
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def answers(address):
    try:
        with urllib.request.urlopen(f"http://{address}/greet/Ada", timeout=5) as answer:
            return json.load(answer) == ANSWER
    except OSError:
        return False


class Side:
    """One way to serve, with the processes that it takes."""

    def __init__(self, name, folder):
        self.name, self.folder, self.running = name, folder, []
        self.rates, self.medians, self.tails, self.memory = [], [], [], []

    def run(self, command, environment=None):
        with open(os.path.join(self.folder, "log"), "ab") as log:
            process = subprocess.Popen(command, cwd=self.folder, env={**os.environ, **(environment or {})}, stdout=log,
                                       stderr=log, start_new_session=True)
        self.running.append(process)

    def await_answer(self, address):
        end = time.monotonic() + PATIENCE
        while not answers(address):
            if time.monotonic() > end or any(process.poll() is not None for process in self.running):
                with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as log:
                    sys.exit(f"{self.name} does not answer:\n{log.read()[-3000:]}")
            time.sleep(0.05)
        return address

    def resident(self):
        """MiB of all processes of the side: proportional, so that shared pages count once."""
        groups, total = {process.pid for process in self.running}, 0
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.getpgid(int(pid)) in groups:
                    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
                        total += int(re.search(r"^Pss:\s+(\d+)", rollup.read(), re.M)[1])
            except (OSError, TypeError):
                continue
        return total / 1024

    def end(self):
        for process in reversed(self.running):
            os.killpg(process.pid, signal.SIGTERM)
        for process in self.running:
            process.wait()
        self.running.clear()

    def nginx(self, upstream):
        listen = f"127.0.0.1:{free_port()}"
        with open(os.path.join(HERE, "peers", "nginx.conf"), encoding="utf-8") as source:
            text = source.read().replace("@UPSTREAM@", upstream).replace("@LISTEN@", listen)
        with open(os.path.join(self.folder, "nginx.conf"), "w", encoding="utf-8") as file:
            file.write(text)
        self.run([NGINX, "-p", self.folder, "-c", "nginx.conf", "-e", "stderr"])
        return listen

    def gunicorn(self, name, text, environment=None):
        listen = f"127.0.0.1:{free_port()}"
        with open(os.path.join(self.folder, f"{name}.py"), "w", encoding="utf-8") as file:
            file.write(text)
        self.run([FLASK, "--workers", str(WORKERS), "--bind", listen, f"{name}:app"], environment)
        return listen


class Atoll(Side):
    def __init__(self, binary, language, reuse, folder):
        super().__init__(f"Atoll, {language}, {'reuse' if reuse else 'fresh'}", folder)
        self.binary = binary
        with open(os.path.join(folder, "sections.toml"), encoding="utf-8") as file:
            manifest = file.read()
        if reuse:
            manifest = manifest.replace("[service.greet]\n", "[service.greet]\nisolation = \"reuse\"\n")
        self.manifest = f"{'reuse' if reuse else 'fresh'}.toml"
        with open(os.path.join(folder, self.manifest), "w", encoding="utf-8") as file:
            file.write(manifest)

    def start(self):
        gateway, admin = (f"127.0.0.1:{free_port()}" for _ in range(2))
        addresses = {"ATOLL_GATEWAY_LISTEN": gateway, "ATOLL_ADMIN_LISTEN": admin, "ATOLL_LOG": "access=off,info"}
        self.run([self.binary, "run", self.manifest], addresses)
        return self.await_answer(gateway)


class Face(Atoll):
    """A component that handles HTTP itself, in Atoll."""

    def __init__(self, binary, face, reuse, folder):
        with open(os.path.join(folder, "sections.toml"), "w", encoding="utf-8") as file:
            file.write("[service.greet]\ncomponent = \"face.wasm\"\nlimits = { memory = \"256MiB\" }\n\n"
                       "[[route]]\nprefix = \"/greet\"\nservice = \"greet\"\n")
        super().__init__(binary, face, reuse, folder)


class Serve(Side):
    """The same component in `wasmtime serve`, with its defaults."""

    def start(self):
        listen = f"127.0.0.1:{free_port()}"
        self.run([WASMTIME, "serve", "-S", "cli", "--addr", listen, "face.wasm"])
        return self.await_answer(listen)


class Node(Side):
    def start(self):
        upstream = f"127.0.0.1:{free_port()}"
        with open(os.path.join(self.folder, "server.js"), "w", encoding="utf-8") as file:
            file.write(NODE)
        self.run(["node", "server.js", upstream.rsplit(":", 1)[1]])
        self.await_answer(upstream)
        return self.await_answer(self.nginx(upstream))


class Flask(Side):
    def start(self):
        upstream = self.await_answer(self.gunicorn("service", SERVICE))
        if "nginx" in self.name:
            return self.await_answer(self.nginx(upstream))
        return self.await_answer(self.gunicorn("gateway", GATEWAY, {"UPSTREAM": upstream}))


def built(binary, language, folder):
    """The service of the template, built by its own tools; its size in MB."""
    os.makedirs(folder)
    made = subprocess.run([binary, "new", "greet", "--lang", language], cwd=folder, check=True, capture_output=True)
    for name in ("sections.toml", "atoll.toml"):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(made.stdout)
    print(f"building greet in {language}", file=sys.stderr)
    subprocess.run([binary, "build"], cwd=folder, check=True)
    return os.path.getsize(os.path.join(folder, "greet", "greet.wasm")) / 1e6


def face_built(binary, language, wasi, folder, python):
    """A component that handles HTTP by this version of WASI; `python` has componentize-py."""
    os.makedirs(folder)
    print(f"building the face in {language}, {wasi}", file=sys.stderr)
    world, code = ("synchronous.wit", "synchronous") if wasi == "0.2" else ("service.wit", "asynchronous")
    with open(os.path.join(WORLDS, world), encoding="utf-8") as source:
        text = source.read().replace("{{name}}", "face")
    with open(os.path.join(folder, "face.wit"), "w", encoding="utf-8") as file:
        file.write(text)
    suffix, tool = ("py", "componentize-py") if language == "python" else \
        ("js", "componentize-js" if wasi == "0.2" else "componentize-qjs")
    shutil.copy(os.path.join(FACES, f"{code}.{suffix}"), os.path.join(folder, f"service.{suffix}"))

    def run(*command):
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)

    run(binary, "wit", "view", "--tool", tool, "--wit", "face.wit", "--world", "service", "--out", "view")
    if language == "python":
        run(os.path.join(python, ".venv", "bin", tool), "-q", "-d", "view", "-w", "service", "componentize", "service",
            "-o", "face.wasm")
    else:
        shutil.copy(os.path.join(FACES, "package.json"), folder)
        run("npm", "install", "--silent", "--no-audit", "--no-fund")
        command = os.path.join(folder, "node_modules", ".bin", tool)
        if wasi == "0.2":
            run(command, "service.js", "--wit", "view", "--world-name", "service", "--disable", "http", "fetch-event",
                "--out", "face.wasm")
        else:
            run(command, "--wit", "view", "--js", "service.js", "--output", "face.wasm")


class Start(Atoll):
    """Starts of one service, with what each of them took."""

    def __init__(self, binary, language, reuse, folder):
        super().__init__(binary, language, reuse, folder)
        self.starts, self.firsts, self.later = [], [], []

    def listening(self):
        """Starts the host. Returns its address when it listens, and how long that took in milliseconds."""
        began = time.perf_counter()
        addresses = {"ATOLL_GATEWAY_LISTEN": "127.0.0.1:0", "ATOLL_ADMIN_LISTEN": "127.0.0.1:0",
                     "ATOLL_LOG": "access=off,info"}
        with open(os.path.join(self.folder, "log"), "ab") as log:
            process = subprocess.Popen([self.binary, "run", self.manifest], cwd=self.folder, text=True, stderr=log,
                                       env={**os.environ, **addresses}, stdout=subprocess.PIPE, start_new_session=True)
        self.running.append(process)
        gateway = None
        for line in process.stdout:
            gateway = gateway or re.match(r"gateway listening on http://(\S+)", line)
            if line.startswith("admin listening on"):
                return gateway[1], (time.perf_counter() - began) * 1000
        sys.exit(f"{self.name} does not start: {os.path.join(self.folder, 'log')}")

    def ask(self, connection):
        """How long one request takes, in milliseconds."""
        began = time.perf_counter()
        connection.request("GET", "/greet/Ada")
        answer = json.load(connection.getresponse())
        took = (time.perf_counter() - began) * 1000
        if answer != ANSWER:
            sys.exit(f"{self.name} answers {answer}")
        return took

    def measure(self):
        address, started = self.listening()
        try:
            idle = self.resident()
            connection = http.client.HTTPConnection(address, timeout=PATIENCE)
            self.starts.append(started)
            self.firsts.append(self.ask(connection))
            self.later.append(statistics.median(self.ask(connection) for _ in range(REQUESTS)))
            self.memory.append(self.resident() - idle)
            connection.close()
        finally:
            self.end()


def compiled(binary, folder):
    """How long the host takes to compile the component, in seconds, with no code in its cache. The cache keeps it."""
    shutil.rmtree(os.path.join(folder, ".atoll"), ignore_errors=True)
    began = time.perf_counter()
    subprocess.run([binary, "check", "fresh.toml"], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - began


def table(binary, languages, work):
    """Prints what services weigh and take, by language."""
    rows = []
    for language in languages:
        folder = os.path.join(work, language)
        size = built(binary, language, folder)
        fresh, reuse = (Start(binary, language, reuse, folder) for reuse in (False, True))
        rows.append((language, size, compiled(binary, folder), fresh, reuse))
    for number in range(STARTS):
        for language, _, _, fresh, reuse in rows:
            print(f"start {number + 1}: {language}", file=sys.stderr)
            fresh.measure()
            reuse.measure()
    print("| language | component | compiled in | start | fresh: first, later | reuse: first, later | "
          "memory: fresh, reuse |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for language, size, took, fresh, reuse in rows:
        def pair(of, digits=2):
            return ", ".join(f"{statistics.median(values):.{digits}f}" for values in of)
        print(f"| {language} | {size:.2f} MB | {took:.1f} s | {pair([fresh.starts + reuse.starts], 0)} ms | "
              f"{pair((fresh.firsts, fresh.later))} ms | {pair((reuse.firsts, reuse.later))} ms | "
              f"{pair((fresh.memory, reuse.memory), 0)} MiB |")


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def measure(side, seconds):
    address = side.start()
    try:
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", "--latency", "-d", f"{seconds}s", f"http://{address}/greet/Ada"]
        subprocess.run(command[:-2] + ["1s", command[-1]], check=True, capture_output=True)  # warm
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        if "Non-2xx" in said or "Socket errors" in said:
            sys.exit(f"{side.name} failed requests:\n{said}")
        side.rates.append(float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]))
        side.medians.append(milliseconds(re.search(r"^ +50% +(\S+)", said, re.M)[1]))
        side.tails.append(milliseconds(re.search(r"^ +99% +(\S+)", said, re.M)[1]))
        side.memory.append(side.resident())
    finally:
        side.end()


def main():
    binary = os.path.abspath(sys.argv[1])
    if sys.argv[2:3] == ["table"]:
        with tempfile.TemporaryDirectory() as work:
            table(binary, sys.argv[3:] or LANGUAGES, work)
        return
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    with tempfile.TemporaryDirectory() as work:
        def folder(name):
            path = os.path.join(work, name)
            os.makedirs(path, exist_ok=True)
            return path

        sides = []
        for language, tool in (("js", "npm"), ("python", "python3")):
            if shutil.which(tool):
                place = os.path.join(work, language)
                print(f"{language}: {built(binary, language, place):.1f} MB", file=sys.stderr)
                sides += [Atoll(binary, language, reuse, place) for reuse in (False, True)]
                for wasi in ("0.2", "0.3"):
                    name = f"{language}, wasi:http {wasi}"
                    face_built(binary, language, wasi, os.path.join(work, name), os.path.join(place, "greet"))
                    sides += [Face(binary, name, reuse, os.path.join(work, name)) for reuse in (False, True)]
                    if os.path.exists(WASMTIME):
                        sides.append(Serve(f"wasmtime serve, {name}", os.path.join(work, name)))
        if not os.path.exists(WASMTIME):
            print("wasmtime serve is left out: bench/peers/install.sh installs it", file=sys.stderr)
        if shutil.which("node") and os.path.exists(NGINX):
            sides.append(Node("node http behind nginx", folder("node")))
        if os.path.exists(FLASK):
            if os.path.exists(NGINX):
                sides.append(Flask("Flask, gunicorn, behind nginx", folder("flask")))
            sides.append(Flask("Flask, gunicorn, behind the gateway in Flask", folder("gateway")))
        else:
            print("Flask is left out: bench/peers/install.sh installs it", file=sys.stderr)
        for number in range(rounds):
            for side in sides:
                print(f"round {number + 1}: {side.name}", file=sys.stderr)
                measure(side, seconds)
    print("| served by | requests a second | p50 | p99 | memory |\n| --- | ---: | ---: | ---: | ---: |")
    for side in sides:
        rate, median, tail, memory = map(statistics.median, (side.rates, side.medians, side.tails, side.memory))
        print(f"| {side.name} | {rate:,.0f} | {median:.2f} ms | {tail:.2f} ms | {memory:.0f} MiB |")
    rates = {side.name: side.rates for side in sides}
    claims = [("Atoll, js, reuse", "node http behind nginx", 0.5),
              ("Atoll, python, reuse", "Flask, gunicorn, behind the gateway in Flask", 1.0)]
    for face in (f"{language}, wasi:http {wasi}" for language in ("js", "python") for wasi in ("0.2", "0.3")):
        # An instance of 0.3 serves 128 requests there by default, so only 0.2 is compared with fresh ones.
        claims.append((f"Atoll, {face}, fresh", f"wasmtime serve, {face}", 2.0 if "0.2" in face else None))
    for ours, theirs, goal in claims:
        if ours in rates and theirs in rates:
            ratio = statistics.median(a / b for a, b in zip(rates[ours], rates[theirs]))
            print(f"\n{ours}: {ratio:.2f} of {theirs}" + (f" (the goal: {goal})" if goal else ""))


if __name__ == "__main__":
    main()
