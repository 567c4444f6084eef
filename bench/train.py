#!/usr/bin/env python3
"""Loads an instrumented host with the work of a busy day, so that the compiler learns which code is hot: `just ship`.

    bench/train.py ATOLL [SECONDS]

ATOLL was built with `-Cprofile-generate`, and writes its profile when it ends. Each kind of request gets so many
seconds (3) of 32 connections, by wrk and h2load: a plain proxy with small and large bodies, TLS, HTTP/2, a cache hit,
gzip, components of WASI 0.2 and 0.3 with fresh and kept instances, a policy of each kind, typed routes, and the shop's
users, products and orders, read and written. What the rates are says nothing: counting costs time. Run
`components/build.sh` first.
"""

import json
import os
import sys
import tempfile
import urllib.error
import urllib.request

import builds
import edge
import host
import load

# An order of one piece, each with a key of its own.
ORDERS = """
local count = 0
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
function request()
    count = count + 1
    wrk.headers["idempotency-key"] = "key-" .. count
    return wrk.format(nil, nil, nil, '%s')
end
"""


def shop():
    """The example's manifest, by which the components are found from another folder."""
    with open(os.path.join(edge.HERE, "..", "atoll.toml"), encoding="utf-8") as file:
        text = file.read()
    root = os.path.realpath(os.path.join(edge.HERE, ".."))
    return text.replace('"components/dist/', f'"{root}/components/dist/').replace('wit = "wit/', f'wit = "{root}/wit/')


def post(address, path, fields):
    request = urllib.request.Request(f"http://{address}{path}", json.dumps(fields).encode(), method="POST",
                                     headers={"content-type": "application/json", "idempotency-key": "first"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.headers["location"]
    except urllib.error.HTTPError as error:
        sys.exit(f"POST {path}: {error.code} {error.read().decode()}")


def train_edge(binary, folder, seconds):
    """The rows of `bench/edge.py`, with Atoll alone."""
    scene = edge.Scene(folder, binary)
    edge.certificate(folder)
    try:
        upstream = edge.start_upstream(scene)
        (_, ports), headers = again(scene, lambda: edge.start_atoll(scene, upstream))
        plain, secure = f"http://127.0.0.1:{ports['plain']}", f"https://127.0.0.1:{ports['tls']}"
        for path, header in {"small": None, "text": None, "cached/small": None, "guest/json": None, "rate/json": None,
                             "packed/text": "accept-encoding: gzip", "jwt/json": headers["jwt"],
                             "key/json": headers["key"]}.items():
            edge.wrk(f"{plain}/{path}", seconds, header)
        edge.wrk(f"{secure}/small", seconds)
        edge.wrk(f"{secure}/small", 1, close=True)
        edge.h2load(f"{secure}/small", seconds)
        end(scene)
        _, users = again(scene, lambda: edge.start_store(scene, "users", True))
        script = edge.write(folder, "users.lua", edge.USERS)
        edge.wrk(f"http://127.0.0.1:{users}/api/users", seconds, script=script)
        end(scene)
    finally:
        scene.stop()


def end(scene):
    """Ends the host that was started last. It writes its profile at its end, so it has to come to that."""
    process = scene.running.pop()
    process.terminate()
    if process.wait(120):
        sys.exit(f"the host ended with status {process.returncode}, so its profile is missing")


def again(scene, start):
    """What `start` returns, of a host that finds its components compiled: see `started`."""
    os.environ["LLVM_PROFILE_FILE"] = os.path.join(scene.folder, "unused.profraw")
    start()
    end(scene)
    del os.environ["LLVM_PROFILE_FILE"]
    return start()


def started(binary, folder, manifest, paths, variables=None):
    """A host that has answered each of `paths`. It is started twice, and the first profile is thrown away: compiling
    components takes so long that the code of a request would look cold beside it."""
    unused = {"LLVM_PROFILE_FILE": os.path.join(folder, "unused.profraw")}
    for more in (unused, {}):
        one = host.Host(binary, folder, manifest, {**(variables or {}), **more})
        one.start()
        for path in paths:
            one.await_answer(path)
        if more:
            finish(one)
    return one


def finish(one):
    one.end()
    if one.process.returncode:
        sys.exit(f"the host ended with status {one.process.returncode}, so its profile is missing")


def train_services(binary, folder, seconds):
    paths = [builds.path(service) for service in builds.SERVICES]
    one = started(binary, os.path.join(folder, "guests"), builds.manifest(), paths)
    for path in paths:
        load.Load(one.gateway + path, seconds)
    finish(one)

    state = {"ATOLL_STATE_PATH": os.path.join(folder, "state.redb")}
    lists = ["/api/users", "/api/products", "/api/orders"]
    one = started(binary, os.path.join(folder, "shop"), shop(), lists, state)
    user = post(one.gateway, "/api/users", {"name": "Ada", "email": "ada@example.com"})
    price = {"amount": 450, "currency": "EUR"}
    product = post(one.gateway, "/api/products", {"sku": "TEA", "name": "Tea", "price": price, "stock": 10**9})
    lines = [{"product": product.rsplit("/", 1)[1], "quantity": 1}]
    order = {"user": user.rsplit("/", 1)[1], "lines": lines}
    placed = post(one.gateway, "/api/orders", order)
    for path in (user, product, placed, f"{placed}/details"):
        load.Load(one.gateway + path, seconds)
    script = edge.write(folder, "orders.lua", ORDERS % json.dumps(order))
    # One client: several that want the same product may be refused after many tries.
    load.Load(f"{one.gateway}/api/orders", seconds, 1, script)
    finish(one)


def main():
    binary = os.path.abspath(sys.argv[1])
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as folder:
        train_edge(binary, folder, seconds)
        train_services(binary, folder, seconds)


if __name__ == "__main__":
    main()
