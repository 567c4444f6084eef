"""The service behind the gateway: a small JSON."""

from flask import Flask, jsonify

app = Flask(__name__)
app.json.compact = True


@app.get("/json")
def hello():
    return jsonify(message="hello")
