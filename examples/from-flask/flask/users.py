"""The service `users`: who may order."""

import os

from flask import Flask

app = Flask(__name__)

USERS = {1: {"id": 1, "name": "Ada"}, 2: {"id": 2, "name": "Grace"}}


@app.get("/users/<int:number>")
def get(number):
    user = USERS.get(number)
    return user if user else ({"error": "no such user"}, 404)


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "5001")))
