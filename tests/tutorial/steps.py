"""The steps of docs/tutorial.md, one after the other, against the same checks: the clients of the shop notice nothing.

Called by run.sh, with the Python that has Flask.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ATOLL = sys.argv[1]
SHOP = Path("examples/from-flask").resolve()
MANIFEST = SHOP / "atoll.toml"
# The ports of the tutorial, and free ones in their place.
TOLD = {"users": 5001, "products": 5002, "products-2": 5003, "orders": 5004, "gateway": 8080}


def free_ports():
    sockets = {name: socket.socket() for name in TOLD}
    for one in sockets.values():
        one.bind(("127.0.0.1", 0))
    ports = {name: one.getsockname()[1] for name, one in sockets.items()}
    for one in sockets.values():
        one.close()
    return ports


PORTS = free_ports()


def url(name):
    return f"http://127.0.0.1:{PORTS[name]}"


def until(what, condition):
    """Waits for a minute at most."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, f"this did not happen: {what}"
        time.sleep(0.05)


class Processes:
    """What runs beside this script, by name."""

    def __init__(self):
        self.running = {}

    def start(self, name, command, out=None, **env):
        log = open(SHOP / f"{name}.log", "ab")
        self.running[name] = subprocess.Popen(
            command, cwd=SHOP, env={**os.environ, **env}, stdout=out or log, stderr=log
        )
        return self.running[name]

    def end(self, name, how=signal.SIGTERM):
        process = self.running.pop(name)
        process.send_signal(how)
        process.wait(30)

    def end_all(self):
        for name in list(self.running):
            self.end(name, signal.SIGKILL)


PROCESSES = Processes()


def flask(name, file, **env):
    PROCESSES.start(name, [sys.executable, f"flask/{file}.py"], PORT=str(PORTS[name]), **env)
    until(f"{name} listens", lambda: socket.socket().connect_ex(("127.0.0.1", PORTS[name])) == 0)


def atoll(*arguments):
    done = subprocess.run([ATOLL, *arguments], cwd=SHOP, capture_output=True, text=True)
    assert done.returncode == 0, f"atoll {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


def manifest(step):
    """Writes the manifest of a step as atoll.toml, with free ports."""
    text = (SHOP / f"step-{step}.toml").read_text()
    for name, port in TOLD.items():
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{PORTS[name]}")
    MANIFEST.write_text(text)


def start_host():
    env = {"ATOLL_GATEWAY_LISTEN": f"127.0.0.1:{PORTS['gateway']}", "ATOLL_ADMIN_LISTEN": "127.0.0.1:0"}
    env["ATOLL_LOG"] = "access=off,info"
    host = PROCESSES.start("atoll", [ATOLL, "run"], out=subprocess.PIPE, **env)
    for line in host.stdout:
        if line.startswith(b"admin listening on "):
            return
    raise AssertionError((SHOP / "atoll.log").read_text())


def ask(path, body=None):
    """The status and the JSON of an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url("gateway") + path, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def check_shop():
    """What the clients of the shop see, the same in every step. Returns the path of a new order."""
    assert ask("/users/1") == (200, {"id": 1, "name": "Ada"}), ask("/users/1")
    assert ask("/users/9")[0] == 404
    assert [product["name"] for product in ask("/products")[1]] == ["Mug", "Kettle"]
    assert ask("/products/2") == (200, {"id": 2, "name": "Kettle", "price": 4500})
    status, order = ask("/orders", {"user": 1, "product": 2, "quantity": 2})
    assert (status, order["user"], order["product"], order["total"]) == (201, "Ada", "Kettle", 9000), order
    assert ask(f"/orders/{order['id']}") == (200, order)
    assert ask("/orders", {"user": 9, "product": 2, "quantity": 2})[0] == 422
    return f"/orders/{order['id']}"


@contextmanager
def traffic(path):
    """Asks for `path` on and on. At the end, every answer was good."""
    answers, wrong, stop = [], [], threading.Event()

    def on_and_on():
        while not stop.is_set():
            status, document = ask(path)
            answers.append(status)
            if status != 200:
                wrong.append(document)

    thread = threading.Thread(target=on_and_on)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert answers and not wrong, f"{path}: {len(wrong)} of {len(answers)} answers, such as {wrong[0]}"


def before():
    registry = {
        "users": [url("users")],
        "products": [url("products"), url("products-2")],
        "orders": [url("orders")],
    }
    flask("users", "users")
    flask("products", "products")
    flask("products-2", "products")
    flask("orders", "orders", SHOP=url("gateway"))
    flask("gateway", "gateway", REGISTRY=json.dumps(registry))
    check_shop()


def step_1():
    PROCESSES.end("gateway")
    manifest(1)
    start_host()
    check_shop()


def step_2():
    manifest(2)
    atoll("apply", "--yes")
    check_shop()
    with traffic("/products/2"):
        PROCESSES.end("products", signal.SIGKILL)
        for _ in range(50):
            assert ask("/products/1")[0] == 200
    [products] = [one for one in json.loads(atoll("ps", "--output", "json")) if one["name"] == "products"]
    assert len(products["endpoints"]) == 2, products
    check_shop()


def step_3():
    manifest(3)
    atoll("build", "products")
    with traffic("/products/2"):
        atoll("apply", "--yes")
        PROCESSES.end("products-2")
    check_shop()


def step_4():
    manifest(4)
    atoll("build", "users")
    with traffic("/users/1"):
        atoll("apply", "--yes")
        PROCESSES.end("users")
    check_shop()


def step_5():
    manifest(5)
    atoll("build", "orders")
    # The first service with state: the host opens its database at its start.
    PROCESSES.end("atoll")
    PROCESSES.end("orders")
    start_host()
    order = check_shop()
    PROCESSES.end("atoll", signal.SIGKILL)
    start_host()
    assert ask(order)[0] == 200, "an acknowledged order survives"


def step_6():
    code = SHOP / "users/src/service.js"
    text = code.read_text()
    atoll("test", "--inputs", "20")
    try:
        code.write_text(text.replace('"Grace"', '"Grace Hopper"'))
        atoll("build", "users")
        with traffic("/users/2"):
            atoll("swap", "users", "users/users.wasm")
            assert ask("/users/2")[1]["name"] == "Grace Hopper"
            atoll("rollback", "users")
        assert ask("/users/2")[1]["name"] == "Grace"
    finally:
        code.write_text(text)
    assert not re.search(r"urls", MANIFEST.read_text()), "nothing is left of Flask"


def main():
    shutil.rmtree(SHOP / ".atoll", ignore_errors=True)
    for log in SHOP.glob("*.log"):
        log.unlink()
    try:
        for step in [before, step_1, step_2, step_3, step_4, step_5, step_6]:
            began = time.monotonic()
            step()
            print(f"tutorial: {step.__name__.replace('_', ' ')}: ok, {time.monotonic() - began:.1f} s", flush=True)
    finally:
        PROCESSES.end_all()
        shutil.rmtree(SHOP / ".atoll", ignore_errors=True)
        MANIFEST.unlink(missing_ok=True)


main()
