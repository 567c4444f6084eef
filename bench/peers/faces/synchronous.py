"""The work of bench/languages.py as a service that speaks HTTP by `wasi:http` 0.2."""

import json
from urllib.parse import unquote

from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports.types import (
    Fields,
    IncomingRequest,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        person = unquote((request.path_with_query() or "")[len("/greet/") :])
        response = OutgoingResponse(Fields.from_list([("content-type", b"application/json")]))
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        with body.write() as stream:
            stream.blocking_write_and_flush(json.dumps({"text": f"Hello, {person}!"}, separators=(",", ":")).encode())
        OutgoingBody.finish(body, None)
