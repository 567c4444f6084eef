"""The work of bench/languages.py as a service that speaks HTTP by `wasi:http` 0.3."""

import json
from urllib.parse import unquote

from componentize_py_async_support import spawn
from componentize_py_types import Ok
from wit_world import byte_stream, exports
from wit_world import result_option_wasi_http_types_fields_wasi_http_types_error_code_future as trailers_to_come
from wit_world.imports.wasi_http_types import Fields, Request, Response


class Handler(exports.Handler):
    async def handle(self, request: Request) -> Response:
        person = unquote((request.get_path_with_query() or "")[len("/greet/") :])
        writer, contents = byte_stream()
        _, trailers = trailers_to_come(lambda: Ok(None))
        response, _ = Response.new(Fields.from_list([("content-type", b"application/json")]), contents, trailers)

        async def write():
            with writer:
                await writer.write_all(json.dumps({"text": f"Hello, {person}!"}, separators=(",", ":")).encode())

        spawn(write())
        return response
