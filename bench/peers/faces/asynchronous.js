// The work of bench/languages.py as a service that speaks HTTP by `wasi:http` 0.3, on QuickJS.

import { Fields, Response } from "wasi:http/types@0.3.2";

export const handler = {
  async handle(request) {
    const person = decodeURIComponent(request.getPathWithQuery().slice("/greet/".length));
    const fields = Fields.fromList([["content-type", utf8("application/json")]]);
    const trailers = wit.Future.from({ tag: "ok", val: null }, wit.Future.RESULT_OPTION_OTHER_ERROR_CODE);
    const body = utf8(JSON.stringify({ text: `Hello, ${person}!` }));
    const [response] = Response.new(fields, [body], trailers.readable);
    return response;
  },
};

function utf8(text) {
  return Uint8Array.from(unescape(encodeURIComponent(text)), (character) => character.charCodeAt(0));
}
