"""What both peers of `bench/sagas.py` share: it tells them by lines what to do, and reads what came of it."""

import asyncio
import sys
import time

STEPS = ("reserve", "charge", "confirm", "ship")


async def finished(run, clients, seconds):
    """How many sagas a second the clients see end, each of which waits for one before it starts the next."""
    end, count = time.perf_counter() + seconds, 0

    async def one():
        nonlocal count
        while time.perf_counter() < end:
            await run()
            count += 1

    await asyncio.gather(*(one() for _ in range(clients)))
    return count / seconds


async def begun(start, count):
    left = iter(range(count))

    async def one():
        for _ in left:
            await start()

    await asyncio.gather(*(one() for _ in range(64)))


async def obey(run, start, completed):
    """Does what the lines say until there are no more."""
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        order, *numbers = line.split()
        if order == "finish":
            print(await finished(run, *map(int, numbers)), flush=True)
        elif order == "begin":
            await begun(start, int(numbers[0]))
            print("begun", flush=True)
        else:
            print(int(numbers[0]) - await completed(), flush=True)
