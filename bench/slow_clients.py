#!/usr/bin/env python3
"""Slow clients beside quick ones: bench/slow_clients.py HOST_BINARY [SECONDS]

300 slow clients of each kind, one kind after the other, and then 300 that upload beside 300 that read: while they are
there, other clients of the same service ask for a small answer at a steady rate. The kinds: uploads of a byte a second
whose length is said, and whose length is not; readers of 1,000 bytes a second of an answer that fits into
`answer_buffer`, and of one that does not.

Prints for each kind, for a quiet service and then beside the slow clients, the answers by status and the times of the
good ones, how often 503 was among them, the ratio of both p99, and the host's memory. The claim, for 300 uploads with
300 readers at once: no 503, and p99 at most twice that of the quiet service. It fails if that does not hold. What is
known of the other kinds stands in docs/mesh.md ("It is for work, and not for waiting on a client").

An answer that fits is half a MiB beyond what the kernel takes for a client that reads nothing, so the host has to hold
the rest; one that does not is beyond that by four times `answer_buffer`. Only the standard library is needed.
"""

import asyncio
import collections
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

SLOW = 300
RATE = 100
HALF_MIB = 512 * 1024
# Four times the default of `answer_buffer`.
BEYOND = 4 << 20
# The kind that the claim is about.
JUDGED = "uploads whose length is said, beside readers of what fits"
SMALL = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def upstream(reader, writer):
    """A service that reads each request to its end, and answers after 5 ms."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.I)
            if length:
                await reader.readexactly(int(length[1]))
            elif re.search(rb"transfer-encoding: chunked", head, re.I):
                while int(await reader.readline(), 16):
                    await reader.readline()
                await reader.readline()
            await asyncio.sleep(0.005)
            large = re.match(rb"GET /large/(\d+)", head)
            if large:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %s\r\n\r\n" % large[1])
                writer.write(b"x" * int(large[1]))
            else:
                writer.write(SMALL)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve():
    """Runs the service until it is killed."""
    server = await asyncio.start_server(upstream, "127.0.0.1", 0, limit=1 << 20)
    print("%s:%d" % server.sockets[0].getsockname(), flush=True)
    await server.serve_forever()


def start(command, **options):
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options)


def narrow_socket():
    """A socket whose kernel takes few bytes by itself."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    return client


def kernel_capacity():
    """The bytes that the kernel takes for a client that reads nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server, narrow_socket() as client:
        client.setblocking(True)
        client.connect(server.getsockname())
        sender, _ = server.accept()
        sender.settimeout(0.5)
        taken = 0
        with sender:
            try:
                while True:
                    taken += sender.send(b"x" * 65536)
            except TimeoutError:
                return taken


async def slow_upload(port, framing, piece):
    loop = asyncio.get_running_loop()
    with narrow_socket() as client:
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, b"POST /x HTTP/1.1\r\nhost: a\r\n%s\r\n\r\n" % framing)
        try:
            while True:
                await loop.sock_sendall(client, piece)
                await asyncio.sleep(1)
        except OSError:
            pass


async def slow_reader(port, size):
    loop = asyncio.get_running_loop()
    with narrow_socket() as client:
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, b"GET /large/%d HTTP/1.1\r\nhost: a\r\n\r\n" % size)
        while await loop.sock_recv(client, 1000):
            await asyncio.sleep(1)


async def again(client, *arguments):
    """A slow client that comes back each time it is cut off."""
    while True:
        try:
            await client(*arguments)
        except OSError:
            pass
        await asyncio.sleep(0.2)


async def quick(port):
    """One small request on a connection of its own: its status, and how long it took."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return int(answer[9:12]), time.perf_counter() - began


async def offer(port, seconds):
    began, tasks = time.perf_counter(), []
    for number in range(RATE * seconds):
        await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
        tasks.append(asyncio.create_task(quick(port)))
    return await asyncio.gather(*tasks)


def say(what, results):
    """Prints how the quick ones fared. Returns how many got 503, and the p99 of the good answers."""
    statuses = dict(sorted(collections.Counter(status for status, _ in results).items()))
    good = sorted(took for status, took in results if status == 200)
    p50, p99 = (good[len(good) * share // 100] * 1e3 if good else float("inf") for share in (50, 99))
    print(f"  {what:8} {statuses} p50 {p50:.1f} ms p99 {p99:.1f} ms", flush=True)
    return statuses.get(503, 0), p99


def resident(process):
    with open(f"/proc/{process}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS:"))


async def beside(kind, slow_clients, binary, folder, seconds):
    """Measures the quick ones on a host of their own, and then beside 300 of each of `slow_clients`. Returns the 503s
    and the ratio of both p99."""
    environment = dict(os.environ, ATOLL_GATEWAY_LISTEN="127.0.0.1:0", ATOLL_ADMIN_LISTEN="127.0.0.1:0")
    host = start([binary, "run", "atoll.toml"], cwd=folder, env=environment)
    slow = []
    try:
        lines = [host.stdout.readline() for _ in range(2)]
        port = int(next(line for line in lines if line.startswith("gateway")).strip().rsplit(":", 1)[1])
        print(kind, flush=True)
        await offer(port, 2)
        _, quiet = say("quiet", await offer(port, seconds))
        for _ in range(SLOW):
            for client, *arguments in slow_clients:
                slow.append(asyncio.create_task(again(client, port, *arguments)))
            # The large answers are work for the service, which is not what is measured.
            await asyncio.sleep(0.02)
        await asyncio.sleep(2)
        refused, loaded = say("beside", await offer(port, seconds))
        ratio = loaded / quiet
        print(f"  503: {refused}; p99 beside / quiet: {ratio:.2f}; resident: {resident(host.pid)} MiB", flush=True)
        return refused, ratio
    finally:
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        host.kill()
        host.wait()


async def main():
    binary, seconds = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10
    fits = kernel_capacity() + HALF_MIB
    known = (slow_upload, b"content-length: 1000", b"x")
    unknown = (slow_upload, b"transfer-encoding: chunked", b"1\r\nx\r\n")
    kinds = {
        "uploads whose length is said": [known],
        "uploads whose length is not said": [unknown],
        f"readers of {fits >> 10} KiB, which fit into answer_buffer": [(slow_reader, fits)],
        f"readers of {(fits + BEYOND) >> 10} KiB, which do not": [(slow_reader, fits + BEYOND)],
        JUDGED: [known, (slow_reader, fits)],
    }
    service = start([sys.executable, __file__, "--service"])
    try:
        address = service.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/atoll.toml", "w", encoding="ascii") as manifest:
                manifest.write(f'[service.plain]\nurls = ["http://{address}"]\n')
                manifest.write('[[route]]\nprefix = "/"\nservice = "plain"\n')
            seen = {}
            for kind, slow_clients in kinds.items():
                seen[kind] = await beside(f"{SLOW} {kind}", slow_clients, binary, folder, seconds)
    finally:
        service.kill()
        service.wait()
    refused, ratio = seen[JUDGED]
    # Without a good answer the ratio is no number, which is not above 2 either.
    if refused or not ratio <= 2:
        sys.exit(f"the claim does not hold: {JUDGED} make others wait, or be refused")


asyncio.run(serve() if sys.argv[1:] == ["--service"] else main())
