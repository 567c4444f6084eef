#!/usr/bin/env python3
"""Idle connections: bench/idle_tls.py HOST_BINARY [CONNECTIONS]

Opens so many connections (10,000 unless said otherwise), plain, by TLS 1.3, and by TLS 1.3 with HTTP/2, with one
request on each, and leaves them open. Prints the bytes of resident memory that the host has for each of them, and nginx
beside it, if it is there. What the kernel holds for the sockets is in none of the numbers.

Then it opens as many by TLS again, and a fifth as many whose heads come a byte a second, and prints p50 and p99 of
others, who ask 50 times a second on connections of their own, before and beside all these. It needs an open file for
each connection, at both ends: `ulimit -n`.

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

# The preface, empty SETTINGS, and a GET on stream 1 with fields of HPACK's static table (RFC 7541, appendix A).
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
HTTP2 += bytes([0, 0, 14, 1, 5, 0, 0, 0, 1, 0x82, 0x87, 0x84, 0x41, 9]) + b"localhost"
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
        if context and writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
            writer.write(HTTP2)
            # END_STREAM of DATA or HEADERS is the end of the answer.
            kind = flags = 0
            while kind > 1 or not flags & 1:
                head = await reader.readexactly(9)
                kind, flags = (head[3], head[4]) if head[5:] == b"\0\0\0\1" else (99, 0)
                await reader.readexactly(int.from_bytes(head[:3], "big"))
        else:
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(re.search(rb"content-length: (\d+)", head, re.I)[1])
            await reader.readexactly(length)
        held.append((reader, writer))


async def slow_head(port, gate):
    async with gate:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    for byte in REQUEST[:-4] + b"\r\nX-A: " + b"a" * 1000:
        writer.write(bytes([byte]))
        await asyncio.sleep(1)


async def quick(port):
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    answer = await reader.read()
    writer.close()
    return answer[9:12], (time.perf_counter() - began) * 1e3


async def others(what, port):
    began, tasks = time.perf_counter(), []
    for number in range(500):
        await asyncio.sleep(max(0.0, began + number / 50 - time.perf_counter()))
        tasks.append(asyncio.create_task(quick(port)))
    results = await asyncio.gather(*tasks)
    times = sorted(took for _, took in results)
    wrong = sum(status not in (b"200", b"404") for status, _ in results)
    print(f"{what}: p50 {times[250]:.1f} ms, p99 {times[495]:.1f} ms, {wrong} without an answer", flush=True)


async def crowd(ports, context, count):
    gate, held = asyncio.Semaphore(AT_ONCE), []
    await others("others, quiet", ports["http"])
    await asyncio.gather(*(open_one(ports["https"], context, held, gate) for _ in range(count)))
    slow = [asyncio.create_task(slow_head(ports["http"], gate)) for _ in range(count // 5)]
    await asyncio.sleep(5)
    await others(f"others, beside {count} idle by TLS and {count // 5} slow heads", ports["http"])
    for task in slow:
        task.cancel()
    for _, writer in held:
        writer.transport.abort()


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
[gateway.http2]
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
        listen 127.0.0.1:{plain}; listen 127.0.0.1:{secure} ssl http2;
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
        http2 = ssl.create_default_context(cafile=os.path.join(folder, "cert.pem"))
        http2.check_hostname = False
        http2.set_alpn_protocols(["h2"])
        host, ports = start_host(binary, folder, count)
        try:
            await measure("atoll, plain", ports["http"], None, count, lambda: [host.pid])
            await measure("atoll, TLS 1.3", ports["https"], context, count, lambda: [host.pid])
            await measure("atoll, HTTP/2", ports["https"], http2, count, lambda: [host.pid])
            await crowd(ports, context, count)
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
            await measure("nginx, HTTP/2", ports["https"], http2, count, lambda: children(nginx.pid))
        finally:
            nginx.terminate()
            nginx.wait()


if __name__ == "__main__":
    asyncio.run(main())
