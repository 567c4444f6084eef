"""The service `products`: what is sold, with prices in cents. Two copies of it run."""

import os

from flask import Flask

app = Flask(__name__)

PRODUCTS = {
    1: {"id": 1, "name": "Mug", "price": 900},
    2: {"id": 2, "name": "Kettle", "price": 4500},
}


@app.get("/products")
def everything():
    return list(PRODUCTS.values())


@app.get("/products/<int:number>")
def get(number):
    product = PRODUCTS.get(number)
    return product if product else ({"error": "no such product"}, 404)


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "5002")))
