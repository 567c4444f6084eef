#!/usr/bin/env python3
"""Idle connections: bench/idle_tls.py HOST_BINARY [CONNECTIONS]

Opens so many connections (10,000 unless said otherwise), plain and by TLS 1.3, with one request on each, and leaves
them open. Prints the bytes of resident memory that the host has for each of them, and nginx beside it, if it is there.
What the kernel holds for the sockets is in none of the numbers. It needs an open file for each connection: `ulimit -n`.

One certificate serves both: an ECDSA key of P-256, made by `openssl`.
"""

import asyncio
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
AT_ONCE = 100
DEADLINE = 60


def resident(pids):
    """Bytes of resident memory of these processes together."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            total += int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024
    return total


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as found:
        return [int(child) for child in found.read().split()]


async def open_one(port, context, held, gate):
    async with gate:
        # The client's end is a small one: only its memory in the kernel is of no interest here.
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, limit=1024)
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head, re.I)[1])
        await reader.readexactly(length)
        held.append((reader, writer))


async def measure(name, port, context, count, pids):
    gate, warm, held = asyncio.Semaphore(AT_ONCE), [], []
    # What the first connections cost once, threads and pools, is not theirs.
    await asyncio.gather(*(open_one(port, context, warm, gate) for _ in range(AT_ONCE)))
    before = resident(pids())
    await asyncio.gather(*(open_one(port, context, held, gate) for _ in range(count)))
    await asyncio.sleep(1)
    each = (resident(pids()) - before) / count
    print(f"{name:14} {count:6} connections, {each:8.0f} bytes each", flush=True)
    for _, writer in warm + held:
        writer.transport.abort()
    await asyncio.sleep(1)


def free_ports(count):
    import socket

    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start_host(binary, folder, count):
    # No connection makes room for another one, or ends for being idle or slow.
    manifest = f"""
[gateway]
listen = "127.0.0.1:0"
connections = {3 * count + 1000}
keep_alive = "1h"
header_timeout = "1m"
[gateway.tls]
listen = "127.0.0.1:0"
certificates = [{{ cert = "cert.pem", key = "key.pem" }}]
handshake_timeout = "1m"
[admin]
listen = "127.0.0.1:0"
"""
    with open(os.path.join(folder, "atoll.toml"), "w", encoding="utf-8") as file:
        file.write(manifest)
    host = subprocess.Popen(
        [binary, "run", "atoll.toml"], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    ports = {}
    while len(ports) < 2:
        line = host.stdout.readline()
        found = re.match(r"gateway listening on (https?)://.*:(\d+)", line)
        if found:
            ports[found[1]] = int(found[2])
        elif not line:
            sys.exit("the host did not start")
    return host, ports


def start_nginx(folder, count):
    plain, secure = free_ports(2)
    config = f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log /dev/null;
worker_rlimit_nofile {2 * count + 1000};
events {{ worker_connections {2 * count + 500}; }}
http {{
    access_log off; keepalive_timeout 1h;
    server {{
        listen 127.0.0.1:{plain}; listen 127.0.0.1:{secure} ssl;
        ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; ssl_protocols TLSv1.3;
        location / {{ return 200 "ok"; }}
    }}
}}
"""
    path = os.path.join(folder, "nginx.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(config)
    nginx = subprocess.Popen(["nginx", "-c", path], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + DEADLINE
    while not children(nginx.pid):
        if nginx.poll() is not None or time.monotonic() > deadline:
            return None, None
        time.sleep(0.05)
    return nginx, {"http": plain, "https": secure}


async def main():
    binary, count = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem"]
        make = ["openssl", "req", "-x509", *key, "-out", "cert.pem", "-days", "2", *subject]
        subprocess.run(make, cwd=folder, check=True, stderr=subprocess.DEVNULL)
        context = ssl.create_default_context(cafile=os.path.join(folder, "cert.pem"))
        context.check_hostname = False
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        host, ports = start_host(binary, folder, count)
        try:
            await measure("atoll, plain", ports["http"], None, count, lambda: [host.pid])
            await measure("atoll, TLS 1.3", ports["https"], context, count, lambda: [host.pid])
        finally:
            host.kill()
        if not shutil.which("nginx"):
            print("nginx is not there: apt-get install nginx")
            return
        nginx, ports = start_nginx(folder, count)
        if nginx is None:
            sys.exit("nginx did not start")
        try:
            await measure("nginx, plain", ports["http"], None, count, lambda: children(nginx.pid))
            await measure("nginx, TLS 1.3", ports["https"], context, count, lambda: children(nginx.pid))
        finally:
            nginx.terminate()
            nginx.wait()


if __name__ == "__main__":
    asyncio.run(main())
