"""The service, which speaks HTTP itself, by `wasi:http` 0.3."""

from urllib.parse import unquote

from componentize_py_async_support import spawn
from componentize_py_types import Ok
from wit_world import byte_stream, exports
from wit_world import result_option_wasi_http_types_fields_wasi_http_types_error_code_future as trailers_to_come
from wit_world.imports.wasi_http_types import Fields, Method_Get, Request, Response


class Handler(exports.Handler):
    async def handle(self, request: Request) -> Response:
        _, person, *more = (request.get_path_with_query() or "/").split("?")[0].split("/")
        if not person or more:
            return text(404, "there is nothing at this path\n")
        if not isinstance(request.get_method(), Method_Get):
            return text(405, "there is only GET\n", ("allow", "GET"))
        return text(200, f"Hello, {unquote(person)}!\n")


def text(status: int, body: str, *more: tuple[str, str]) -> Response:
    """An answer with a text as its body, which is written while the host reads it."""
    headers = [("content-type", "text/plain; charset=utf-8"), *more]
    fields = Fields.from_list([(name, value.encode()) for name, value in headers])
    writer, contents = byte_stream()
    _, trailers = trailers_to_come(lambda: Ok(None))
    response, _ = Response.new(fields, contents, trailers)
    response.set_status_code(status)

    async def write():
        with writer:
            await writer.write_all(body.encode())

    spawn(write())
    return response
