// The service, which speaks HTTP itself, by `wasi:http` 0.3.
//
// The engine is QuickJS: JavaScript itself, without `fetch`, without `TextEncoder` and without the modules of Node.

import { Fields, Response } from "wasi:http/types@0.3.2";

export const handler = {
  async handle(request) {
    const [, person, more] = request.getPathWithQuery().split("?")[0].split("/");
    const name = person && decoded(person);
    if (!name || more !== undefined) {
      return text(404, "there is nothing at this path\n");
    }
    if (request.getMethod().tag !== "get") {
      return text(405, "there is only GET\n", [["allow", "GET"]]);
    }
    return text(200, `Hello, ${name}!\n`);
  },
};

/** A segment of a path without its escapes; nothing if they are no UTF-8, as in `%FF`. */
function decoded(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

/** An answer with a text as its body. */
function text(status, body, more = []) {
  const headers = [["content-type", "text/plain; charset=utf-8"], ...more];
  // The last is the name that the tool gives to the type of trailers, of which there are none.
  const trailers = wit.Future.from({ tag: "ok", val: null }, wit.Future.RESULT_OPTION_OTHER_ERROR_CODE);
  const fields = Fields.fromList(headers.map(([name, value]) => [name, utf8(value)]));
  const [response] = Response.new(fields, [utf8(body)], trailers.readable);
  response.setStatusCode(status);
  return response;
}

function utf8(text) {
  return Uint8Array.from(unescape(encodeURIComponent(text)), (character) => character.charCodeAt(0));
}
