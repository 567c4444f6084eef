#!/usr/bin/env bash
# urllib3 2.7.0 on Python 3.11.7: a 103 (Early Hints) is taken for the answer, and the answer for that of the next
# request.
#
# Behaviour: a service sends 103 at once, and 200 later. The request has the status 103 and no content. If the next
# request goes out before the 200 has come, over the same connection, which the pool keeps, it gets the first one's 200.
# requests 2.34.2 does the same, since both use `http.client` of Python, which passes over 100 alone.
# One would have guessed: that a client of HTTP/1.1 passes over each interim answer, as RFC 9110, section 15.2, demands.
# RFC 8297, section 3, warns of clients that do not, and of what their next request gets.
# Source: run here; `HTTPResponse.begin` in Python's Lib/http/client.py.
# Atoll: `interim` of `[[route]]` is off by default; docs/edge.md, "Early hints".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv python
python/bin/pip install --quiet urllib3==2.7.0 requests==2.34.2
cat >run.py <<'PYTHON'
import platform
import socket
import threading

import requests
import urllib3

HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
listener = socket.create_server(("127.0.0.1", 0))


def answer(target):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(target), target)


def serve(connection):
    """The answer takes until the next request has come, as it may where it takes long."""
    lines, slow = connection.makefile("rb"), b""
    while request := lines.readline():
        while lines.readline().strip():
            pass
        connection.sendall(slow + HINT)
        slow = answer(request.split()[1])


def listen():
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=[connection], daemon=True).start()


threading.Thread(target=listen, daemon=True).start()
base = f"http://127.0.0.1:{listener.getsockname()[1]}"
pool, session = urllib3.PoolManager(), requests.Session()


def by_urllib3(path):
    answer = pool.request("GET", base + path, retries=False)
    return answer.status, answer.data


def by_requests(path):
    answer = session.get(base + path)
    return answer.status_code, answer.content


for name, ask in (("urllib3", by_urllib3), ("requests", by_requests)):
    first, second = ask("/mine"), ask("/yours")
    print(f"{name} on Python {platform.python_version()}: GET /mine: {first}, GET /yours: {second}")
    assert first == (103, b""), first
    assert second == (200, b"/mine"), second
PYTHON
python/bin/python run.py
