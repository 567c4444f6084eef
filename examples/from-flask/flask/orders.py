"""The service `orders`. It asks users and products by HTTP, through the gateway."""

import os
from uuid import uuid4

import requests
from flask import Flask, request

app = Flask(__name__)

SHOP = os.environ.get("SHOP", "http://127.0.0.1:8080")
TIMEOUT = 5

# They are gone when this process ends.
ORDERS = {}


@app.post("/orders")
def place():
    wanted = request.get_json()
    user = requests.get(f"{SHOP}/users/{wanted['user']}", timeout=TIMEOUT)
    if user.status_code == 404:
        return {"error": "no such user"}, 422
    product = requests.get(f"{SHOP}/products/{wanted['product']}", timeout=TIMEOUT)
    if product.status_code == 404:
        return {"error": "no such product"}, 422
    if not (user.ok and product.ok):
        return {"error": "try again later"}, 503
    order = {
        "id": uuid4().hex,
        "user": user.json()["name"],
        "product": product.json()["name"],
        "total": product.json()["price"] * wanted["quantity"],
    }
    ORDERS[order["id"]] = order
    return order, 201


@app.get("/orders/<number>")
def get(number):
    order = ORDERS.get(number)
    return order if order else ({"error": "no such order"}, 404)


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "5004")))
