"""A WebSocket server that sends each message back, for Autobahn's cases. It prints where it listens."""

import asyncio

import websockets


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def main():
    # The largest message of the cases has 16 MiB.
    async with websockets.serve(echo, "127.0.0.1", 0, max_size=None) as server:
        host, port = server.sockets[0].getsockname()
        print(f"listening on {host}:{port}", flush=True)
        await asyncio.Future()


asyncio.run(main())
