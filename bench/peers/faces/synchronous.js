// The work of bench/languages.py as a service that speaks HTTP by `wasi:http` 0.2, on StarlingMonkey: componentize-qjs
// 0.4.5 links no `wasi:http` 0.2.

import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } from "wasi:http/types@0.2.12";

export const incomingHandler = {
  handle(request, to) {
    const person = decodeURIComponent(request.pathWithQuery().slice("/greet/".length));
    const utf8 = (text) => new TextEncoder().encode(text);
    const response = new OutgoingResponse(Fields.fromList([["content-type", utf8("application/json")]]));
    const body = response.body();
    ResponseOutparam.set(to, { tag: "ok", val: response });
    const stream = body.write();
    stream.blockingWriteAndFlush(utf8(JSON.stringify({ text: `Hello, ${person}!` })));
    stream[Symbol.dispose]();
    OutgoingBody.finish(body, undefined);
  },
};
