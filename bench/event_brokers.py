"""The brokers beside which `bench/events.py` measures, and the few lines of their protocols that it speaks."""

import asyncio
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
NATS = os.path.join(HERE, "..", ".tools", "nats", "bin", "nats-server")
# What Debian's package installs; the wrapper in the path would ask to be root or `rabbitmq`.
RABBIT = "/usr/lib/rabbitmq/bin/rabbitmq-server"
ONE_BY_ONE = 200  # events of the latency


def brokers(place):
    """Those that are installed, each with a folder that `place` makes."""
    found = []
    if os.path.exists(NATS):
        found.append(Nats(place("nats")))
    if os.path.exists(RABBIT):
        found.append(Rabbit(place("rabbit")))
    if shutil.which("redis-server"):
        found.append(Redis(place("redis")))
    return found


class Broker:
    """One with a `publisher`, which returns when an event is acknowledged, and a `consumer`, which is handed events
    one by one (`handed`) and acknowledges each."""

    async def one_by_one(self):
        """The seconds from the publication of each event until the consumer has it."""
        publish, consumer, times = await self.publisher(100, "handled"), await self.consumer(), []
        for _ in range(ONE_BY_ONE):
            handed = asyncio.ensure_future(consumer.handed())
            await asyncio.sleep(0)  # the consumer waits before there is an event
            start = time.perf_counter()
            await publish()
            event = await handed
            times.append(time.perf_counter() - start)
            await consumer.acknowledge(event)
        return times


class Nats(Broker):
    name = "JetStream, sync_interval: always"

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        with open(os.path.join(folder, "nats.conf"), "w", encoding="utf-8") as file:
            file.write(f'listen: "127.0.0.1:{self.port}"\n'
                       f'jetstream {{ store_dir: "{folder}/js", sync_interval: always }}\n')

    def start(self):
        self.process = subprocess.Popen([NATS, "-c", "nats.conf"], cwd=self.folder, stderr=subprocess.DEVNULL)
        await_port(self.port)
        asyncio.run(self.create())

    async def create(self):
        connection = await NatsConnection.open(self.port)
        stream = {"name": "S", "subjects": ["s.>"], "storage": "file", "allow_direct": True}
        answer = await connection.ask("$JS.API.STREAM.CREATE.S", json.dumps(stream).encode())
        assert b"error" not in answer or b"in use" in answer, answer
        consumer = {"stream_name": "S", "config": {
            "durable_name": "C", "ack_policy": "explicit", "deliver_subject": "handed", "filter_subject": "s.handled"}}
        answer = await connection.ask("$JS.API.CONSUMER.CREATE.S.C", json.dumps(consumer).encode())
        assert b'"error"' not in answer, answer

    def end(self):
        self.process.terminate()
        self.process.wait()

    async def publisher(self, size, topic="published"):
        connection, body = await NatsConnection.open(self.port), b"x" * size
        return lambda: connection.ask(f"s.{topic}", body)

    async def consumer(self):
        connection = await NatsConsumer.open(self.port)
        await connection.send(b"SUB handed 2\r\nPING\r\n")
        return connection


class NatsConnection:
    @classmethod
    async def open(cls, port):
        one = cls()
        one.reader, one.writer = await asyncio.open_connection("127.0.0.1", port)
        await one.reader.readline()
        one.inbox = f"in.{os.getpid()}.{id(one)}"
        await one.send(f'CONNECT {{"verbose":false,"headers":true}}\r\nSUB {one.inbox} 1\r\n'.encode())
        return one

    async def send(self, text):
        self.writer.write(text)

    async def ask(self, subject, payload):
        self.writer.write(f"PUB {subject} {self.inbox} {len(payload)}\r\n".encode() + payload + b"\r\n")
        return (await self.message())[1]

    async def message(self):
        """The reply subject and the payload of the next message."""
        while True:
            words = (await self.reader.readline()).split()
            if words[0] == b"MSG":
                payload = await self.reader.readexactly(int(words[-1]) + 2)
                return (words[3] if len(words) > 4 else b""), payload[:-2]


class NatsConsumer(NatsConnection):
    async def handed(self):
        """The subject on which the next event is acknowledged."""
        return (await self.message())[0]

    async def acknowledge(self, subject):
        await self.send(b"PUB " + subject + b" 4\r\n+ACK\r\n")


class Rabbit(Broker):
    name = "RabbitMQ, durable, confirms"

    def __init__(self, folder):
        self.folder, self.port, self.own = folder, free_port(), free_port()
        with open(os.path.join(folder, "server.conf"), "w", encoding="utf-8") as file:
            file.write(f"listeners.tcp.1 = 127.0.0.1:{self.port}\n")
        with open(os.path.join(folder, "plugins"), "w", encoding="utf-8") as file:
            file.write("[].")

    def start(self):
        own = {"HOME": "", "RABBITMQ_MNESIA_BASE": "data", "RABBITMQ_LOG_BASE": "logs", "RABBITMQ_LOGS": "server.log",
               "RABBITMQ_ENABLED_PLUGINS_FILE": "plugins", "RABBITMQ_CONFIG_FILE": "server.conf",
               "RABBITMQ_CONF_ENV_FILE": "none"}
        env = {**os.environ, **{name: os.path.join(self.folder, file) for name, file in own.items()}}
        env["RABBITMQ_NODENAME"], env["RABBITMQ_DIST_PORT"] = f"atoll{self.own}@localhost", str(self.own)
        env["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] = (
            f"-start_epmd false -erl_epmd_port {self.own} -kernel inet_dist_use_interface {{127,0,0,1}}")
        self.process = subprocess.Popen([RABBIT], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True)
        await_port(self.port, 120)
        asyncio.run(self.create())

    async def create(self):
        connection = await RabbitConnection.open(self.port)
        for queue in ("published", "handled"):
            await connection.declare(queue)

    def end(self):
        # The shell that starts it, and it.
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()

    async def publisher(self, size, topic="published"):
        connection, body = await RabbitConnection.open(self.port), b"x" * size
        return lambda: connection.publish(topic, body)

    async def consumer(self):
        connection = await RabbitConsumer.open(self.port)
        await connection.consume("handled")
        return connection


class RabbitConnection:
    """AMQP 0.9.1 with one channel, on which publications are confirmed."""

    @classmethod
    async def open(cls, port):
        one = cls()
        one.reader, one.writer = await asyncio.open_connection("127.0.0.1", port)
        one.writer.write(b"AMQP\0\0\x09\x01")
        await one.answer(10, 10)
        one.method(10, 11, bytes(4) + short_text("PLAIN") + struct.pack(">I", 12) + b"\0guest\0guest" +
                   short_text("en_US"), 0)
        tuned = await one.answer(10, 30)
        one.method(10, 31, tuned[:6] + bytes(2), 0)  # no heartbeats
        one.method(10, 40, short_text("/") + bytes(2), 0)
        await one.answer(10, 41)
        one.method(20, 10, bytes(1))
        await one.answer(20, 11)
        one.method(85, 10, bytes(1))
        await one.answer(85, 11)
        return one

    def frame(self, kind, payload, channel=1):
        self.writer.write(struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce")

    def method(self, group, number, arguments, channel=1):
        self.frame(1, struct.pack(">HH", group, number) + arguments, channel)

    async def read(self):
        """The kind of the next frame, and its payload."""
        kind, _, size = struct.unpack(">BHI", await self.reader.readexactly(7))
        return kind, (await self.reader.readexactly(size + 1))[:-1]

    async def answer(self, group, number):
        """The arguments of the next method, which must be this one."""
        kind, payload = await self.read()
        if kind != 1 or struct.unpack(">HH", payload[:4]) != (group, number):
            raise RuntimeError(f"RabbitMQ answers {payload[:200]} in place of method {group}.{number}")
        return payload[4:]

    async def declare(self, queue):
        self.method(50, 10, bytes(2) + short_text(queue) + b"\x02" + bytes(4))  # durable
        await self.answer(50, 11)

    async def consume(self, queue):
        self.method(60, 10, struct.pack(">IHB", 0, 100, 0))
        await self.answer(60, 11)
        self.method(60, 20, bytes(2) + short_text(queue) + short_text("") + bytes(1) + bytes(4))
        await self.answer(60, 21)

    async def publish(self, queue, body):
        self.method(60, 40, bytes(2) + short_text("") + short_text(queue) + b"\x01")  # returned if there is no queue
        self.frame(2, struct.pack(">HHQHB", 60, 0, len(body), 0x1000, 2))  # persistent
        self.frame(3, body)
        await self.answer(60, 80)


class RabbitConsumer(RabbitConnection):
    async def handed(self):
        """The tag of the next event."""
        arguments = await self.answer(60, 60)
        tag = struct.unpack(">Q", arguments[1 + arguments[0]:9 + arguments[0]])[0]
        left = struct.unpack(">Q", (await self.read())[1][4:12])[0]
        while left > 0:
            left -= len((await self.read())[1])
        return tag

    async def acknowledge(self, tag):
        self.method(60, 80, struct.pack(">QB", tag, 0))


def short_text(text):
    return struct.pack(">B", len(text)) + text.encode()


class Redis(Broker):
    name = "Redis stream, appendfsync always"

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()

    def start(self):
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder, "--appendonly", "yes",
                     "--appendfsync", "always", "--save", ""]
        self.process = subprocess.Popen(["redis-server", *arguments], stdout=subprocess.DEVNULL)
        await_port(self.port)
        asyncio.run(self.create())

    async def create(self):
        connection = await RedisConnection.open(self.port)
        await connection.ask(b"XGROUP", b"CREATE", b"handled", b"g", b"$", b"MKSTREAM")

    def end(self):
        self.process.terminate()
        self.process.wait()

    async def publisher(self, size, topic="published"):
        connection, body = await RedisConnection.open(self.port), b"x" * size
        return lambda: connection.ask(b"XADD", topic.encode(), b"*", b"d", body)

    async def consumer(self):
        return await RedisConsumer.open(self.port)


class RedisConnection:
    @classmethod
    async def open(cls, port):
        one = cls()
        one.reader, one.writer = await asyncio.open_connection("127.0.0.1", port)
        return one

    async def ask(self, *words):
        parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        self.writer.write(b"*%d\r\n%s" % (len(words), parts))
        return await self.read()

    async def read(self):
        line = (await self.reader.readline()).rstrip()
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise RuntimeError(line)
        if kind == b"$":
            return None if rest == b"-1" else (await self.reader.readexactly(int(rest) + 2))[:-2]
        if kind == b"*":
            return [await self.read() for _ in range(int(rest))]
        return rest


class RedisConsumer(RedisConnection):
    async def handed(self):
        """The id of the next event."""
        found = await self.ask(
            b"XREADGROUP", b"GROUP", b"g", b"c", b"COUNT", b"1", b"BLOCK", b"5000", b"STREAMS", b"handled", b">")
        return found[0][1][0][0]

    async def acknowledge(self, event):
        await self.ask(b"XACK", b"handled", b"g", event)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def await_port(port, seconds=30):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
