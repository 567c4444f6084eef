"""The gateway: a registry with a random choice, and a circuit breaker for each address."""

import json
import os
import random
import time

import requests
from flask import Flask, Response, request

app = Flask(__name__)

REGISTRY = {
    "users": ["http://127.0.0.1:5001"],
    "products": ["http://127.0.0.1:5002", "http://127.0.0.1:5003"],
    "orders": ["http://127.0.0.1:5004"],
}
REGISTRY = json.loads(os.environ.get("REGISTRY", "null")) or REGISTRY
TIMEOUT = 5


class CircuitBreaker:
    """Opens after five failures in a row, and lets a request through after ten seconds."""

    def __init__(self):
        self.failures = 0
        self.opened = None

    def allows(self):
        return self.opened is None or time.monotonic() - self.opened > 10

    def succeeded(self):
        self.failures, self.opened = 0, None

    def failed(self):
        self.failures += 1
        if self.failures >= 5:
            self.opened = time.monotonic()


BREAKERS = {address: CircuitBreaker() for addresses in REGISTRY.values() for address in addresses}


@app.route("/<service>", methods=["GET", "POST"])
@app.route("/<service>/<path:rest>", methods=["GET", "POST"])
def forward(service, rest=None):
    addresses = [address for address in REGISTRY.get(service, []) if BREAKERS[address].allows()]
    if not addresses:
        return {"error": "no such service, or all circuits are open"}, 503
    address = random.choice(addresses)
    try:
        answer = requests.request(
            request.method,
            address + request.path,
            data=request.get_data(),
            headers={"content-type": request.headers.get("content-type", "")},
            timeout=TIMEOUT,
        )
    except requests.RequestException:
        BREAKERS[address].failed()
        return {"error": "the service does not answer"}, 502
    BREAKERS[address].succeeded()
    return Response(answer.content, answer.status_code, content_type=answer.headers["content-type"])


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8080")))
