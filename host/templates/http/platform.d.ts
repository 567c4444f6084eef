// What the service takes of `wasi:http` 0.3, as the engine has it. Declare more of it here when you use more.

declare module "wasi:http/types@0.3.2" {
  /** A variant of WIT, with what the case carries. */
  export type Method =
    | { tag: "get" | "head" | "post" | "put" | "delete" | "connect" | "options" | "trace" | "patch" }
    | { tag: "other"; val: string };

  export class Fields {
    static fromList(entries: [name: string, value: Uint8Array][]): Fields;
    copyAll(): [name: string, value: Uint8Array][];
  }

  export class Request {
    getMethod(): Method;
    getPathWithQuery(): string | undefined;
    getHeaders(): Fields;
  }

  export class Response {
    static new(headers: Fields, contents: [Uint8Array] | undefined, trailers: wit.FutureReader): [Response, unknown];
    setStatusCode(status: number): void;
  }
}

/** What the engine has for streams and futures. */
declare namespace wit {
  /** The end of a future that is read. */
  interface FutureReader {
    readonly __future: unique symbol;
  }

  const Future: {
    /** The name that the tool gives to the type of trailers. */
    readonly RESULT_OPTION_OTHER_ERROR_CODE: number;
    from(value: { tag: "ok"; val: null }, type: number): { readonly readable: FutureReader };
  };
}

// Of a browser's global functions the engine has this one, too.
declare function unescape(text: string): string;
