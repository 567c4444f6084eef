#!/usr/bin/env python3
"""How much endless loops of one service slow another service down.

    bench/neighbour.py ATOLL [ATOLL …] [--loops 10] [--seconds 8] [--rounds 3]

Starts each binary with two services, `hello` and `hostile`, and measures the latency of `hello` by one connection:
first alone, then beside requests that compute for ever, each begun again when it has timed out. The binaries take
turns, so that a change of the machine's load meets all of them. Prints the median and the 99th percentile of both, and
their ratios. Run `components/build.sh` first.
"""

import argparse, asyncio, os, pathlib, re, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MANIFEST = """
[service.hello]
component = "{dist}/fixture-hello.wasm"
[service.hostile]
component = "{dist}/fixture-hostile.wasm"
limits = {{ timeout = "2s" }}
retry = {{ tries = 0 }}
breaker = {{ failure_threshold = 1000 }}
[[route]]
prefix = "/hostile"
strip_prefix = "/hostile"
service = "hostile"
[[route]]
prefix = "/"
service = "hello"
[runtime]
cache = "{cache}"
"""


async def get(stream, path):
    reader, writer = stream
    writer.write(f"GET {path} HTTP/1.1\r\nhost: shop.test\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next((int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:")), None)
    if length is None:
        await reader.readuntil(b"0\r\n\r\n")  # chunked
    else:
        await reader.readexactly(length)
    return int(head[9:12])


async def loop_for_ever(port):
    while True:
        stream = await asyncio.open_connection("127.0.0.1", port)
        try:
            await get(stream, "/hostile/loop")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            stream[1].close()


async def until_served(port):
    """The host answers 503 while a component is being compiled."""
    end = time.perf_counter() + 60
    while time.perf_counter() < end:
        stream = await asyncio.open_connection("127.0.0.1", port)
        status = await get(stream, "/")
        stream[1].close()
        if status == 200:
            return
        await asyncio.sleep(0.1)
    raise TimeoutError("the host did not serve `hello` within 60 s")


async def latencies(port, seconds):
    stream = await asyncio.open_connection("127.0.0.1", port)
    taken, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        assert await get(stream, "/") == 200
        taken.append(1000 * (time.perf_counter() - began))
        await asyncio.sleep(0.002)
    stream[1].close()
    return sorted(taken)


async def measure(binary, options):
    with tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o700)
        manifest = MANIFEST.format(dist=ROOT / "components/dist", cache=f"{home}/cache")
        pathlib.Path(home, "atoll.toml").write_text(manifest)
        env = {**os.environ, "ATOLL_GATEWAY_LISTEN": "127.0.0.1:0", "ATOLL_ADMIN_LISTEN": "127.0.0.1:0"}
        host = await asyncio.create_subprocess_exec(
            binary, "run", "atoll.toml", cwd=home, env=env,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            while b"gateway" not in (line := await host.stdout.readline()):
                assert line, "the host did not start"
            port = int(re.search(rb":(\d+)", line.split(b"//", 1)[1]).group(1))
            await until_served(port)
            await latencies(port, 1)
            quiet = await latencies(port, options.seconds)
            loops = [asyncio.create_task(loop_for_ever(port)) for _ in range(options.loops)]
            await asyncio.sleep(1)
            loud = await latencies(port, options.seconds)
            for loop in loops:
                loop.cancel()
            return quiet, loud
        finally:
            host.kill()
            await host.wait()


def at(values, share):
    return values[min(len(values) - 1, int(share * len(values)))]


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries", nargs="+")
    parser.add_argument("--loops", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for turn in range(options.rounds):
        for binary in options.binaries:
            quiet, loud = await measure(os.path.abspath(binary), options)
            values = [at(quiet, 0.5), at(loud, 0.5), at(quiet, 0.99), at(loud, 0.99)]
            text = "p50 {:.2f} -> {:.2f} ms, p99 {:.2f} -> {:.2f} ms".format(*values)
            ratios = f"ratios {values[1] / values[0]:.1f} and {values[3] / values[2]:.1f}"
            print(f"{turn + 1}. {binary}: {text}, {ratios}, {len(loud)} requests", flush=True)


asyncio.run(main())
