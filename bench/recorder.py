#!/usr/bin/env python3
"""What the recorder of calls costs: processor time of the host for a request, beside a host that records nothing.

    bench/recorder.py ATOLL [--rounds 15] [--requests 2000] [--shop]

Starts hosts of one binary, which differ in the key `record` of the service alone, and has each answer the same number
of requests in each round, in an order that turns, so that a change of the machine's load meets all of them. What is
compared is the processor time of the host's process (user and system, of /proc), which another process changes little.
The first host stands there twice: the ratio of the two is the error of the method. Prints the median of the rounds'
ratios, and the middle half of them. The service is the trivial one; with `--shop` it is `users`, which reads its store.
Run `components/build.sh` first.
"""

import argparse, asyncio, os, pathlib, re, statistics, tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOSTS = [
    ("off", ""),
    ("off again", ""),
    ("1 in 100, not each that fails", "record = { every = 100, failed = false }"),
    ("1 in 100, and each that fails", "record = { every = 100 }"),
    ("each", "record = { every = 1 }"),
]
MANIFEST = """
[service.{name}]
component = "{dist}/{component}.wasm"
{state}
{record}
[[route]]
prefix = "/"
service = "{name}"
[runtime]
cache = "{cache}"
"""


class Host:
    def __init__(self, label, process, port):
        self.label, self.process, self.port, self.stream = label, process, port, None

    def seconds(self):
        """The processor time of the process so far, to the nanosecond where the kernel tells it so."""
        nanos = 0
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            try:
                nanos += int((task / "schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass
        return nanos / 1e9

    async def get(self, path):
        if self.stream is None:
            self.stream = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.stream
        writer.write(f"GET {path} HTTP/1.1\r\nhost: shop.test\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = re.search(r"content-length: (\d+)", head)
        if length:
            await reader.readexactly(int(length[1]))
        else:
            await reader.readuntil(b"0\r\n\r\n")
        return int(head[9:12])

    async def round(self, path, requests):
        before = self.seconds()
        for _ in range(requests):
            assert await self.get(path) == 200
        return (self.seconds() - before) / requests


async def start(binary, home, label, record, shop):
    home.mkdir(mode=0o700)
    name, component, state = ("users", "users", "state = true") if shop else ("hello", "fixture-hello", "")
    text = MANIFEST.format(name=name, component=component, state=state, record=record, dist=ROOT / "components/dist",
                           cache=home.parent / "cache")
    (home / "atoll.toml").write_text(text)
    env = {**os.environ, "ATOLL_GATEWAY_LISTEN": "127.0.0.1:0", "ATOLL_ADMIN_LISTEN": "127.0.0.1:0",
           "ATOLL_LOG": "access=off,warn"}
    process = await asyncio.create_subprocess_exec(
        binary, "run", "atoll.toml", cwd=home, env=env,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )
    port = None
    while True:
        line = (await asyncio.wait_for(process.stdout.readline(), 120)).decode()
        assert line, "the host ended"
        found = re.search(r"gateway on http://[^ ]*:(\d+)", line) or re.search(r"listening.*?:(\d+)", line)
        port = port or (int(found[1]) if found else None)
        if port and not line.startswith("starting"):
            return Host(label, process, port)


async def main(options):
    path = "/users?limit=1" if options.shop else "/"
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o700)
        folder = pathlib.Path(folder)
        hosts = []
        try:
            for number, (label, record) in enumerate(HOSTS):
                hosts.append(await start(options.atoll, folder / str(number), label, record, options.shop))
            for host in hosts:
                await host.round(path, options.requests // 2)
            ratios = {host.label: [] for host in hosts[1:]}
            base = []
            for turn in range(options.rounds):
                order = hosts[turn % len(hosts):] + hosts[:turn % len(hosts)]
                taken = {host.label: await host.round(path, options.requests) for host in order}
                base.append(taken["off"])
                for label, all_ratios in ratios.items():
                    all_ratios.append(taken[label] / taken["off"])
        finally:
            for host in hosts:
                host.process.terminate()
                await host.process.wait()
    print(f"off: {1e6 * statistics.median(base):.1f} us of processor time for a request")
    for label, all_ratios in ratios.items():
        low, _, high = statistics.quantiles(all_ratios, n=4)
        print(f"{label:32} {statistics.median(all_ratios):.3f} of that ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("atoll")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--shop", action="store_true")
    arguments = parser.parse_args()
    arguments.atoll = os.path.abspath(arguments.atoll)
    asyncio.run(main(arguments))
