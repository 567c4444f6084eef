"""The gateway: looks up the service and forwards the request to it, as a first version of a gateway does."""

import os

import requests
from flask import Flask, Response

SERVICES = {"json": os.environ["SERVICE_URL"]}
TIMEOUT = 5

app = Flask(__name__)


@app.get("/<service>")
def forward(service):
    url = SERVICES.get(service)
    if url is None:
        return {"error": "no such service"}, 404
    answer = requests.get(f"{url}/{service}", timeout=TIMEOUT)
    # Flask ends its JSON with a new line; the other sides do not.
    return Response(answer.content.rstrip(), answer.status_code, content_type=answer.headers["content-type"])
