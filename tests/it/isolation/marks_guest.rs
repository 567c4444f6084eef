//! The guest of `marks.wat` as a component, for each protocol by which it may be called.
//!
//! The guest is written as WebAssembly text, because no language that compiles to WebAssembly lets a program touch
//! tables, globals and the pages beyond its heap.

use crate::it::components::workspace;
use std::fs;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The protocol by which a guest is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// By the functions of its contract.
    Typed,
    /// By HTTP of WASI 0.2.
    Http02,
    /// By HTTP of WASI 0.3.
    Http03,
}

/// All protocols.
pub const PROTOCOLS: [Protocol; 3] = [Protocol::Typed, Protocol::Http02, Protocol::Http03];

const FIELDS: &str = r#"
  (import "wasi:http/types@VERSION" "[constructor]fields" (func $fields (result i32)))
  (import "wasi:http/types@VERSION" "[method]fields.has" (func $fields-has (param i32 i32 i32) (result i32)))
  (import "wasi:http/types@VERSION" "[method]fields.append" (func $append (param i32 i32 i32 i32 i32 i32)))
  (import "wasi:random/random@VERSION" "get-random-u64" (func $random (result i64)))
"#;

const TYPED: &str = r#"
  (func (export "atoll:fixture-marks/marks@1.0.0#visit") (result i32)
    (i32.store (i32.const 1280) (i32.const 3072))
    (i32.store (i32.const 1284) (call $visit))
    (i32.const 1280))
  (func (export "atoll:fixture-marks/marks@1.0.0#trap") (call $fall))
  (func (export "atoll:fixture-marks/marks@1.0.0#has") (param i32) (result i32) (call $has (local.get 0)))
"#;

const IMPORTS_02: &str = r#"
  (import "wasi:http/types@0.2.0" "[method]incoming-request.path-with-query" (func $path (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[resource-drop]incoming-request" (func $drop-request (param i32)))
  (import "wasi:http/types@0.2.0" "[constructor]outgoing-response" (func $response (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[static]response-outparam.set"
    (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
"#;

const HTTP_02: &str = r#"
  (func (export "wasi:http/incoming-handler@0.2.0#handle") (param $request i32) (param $out i32)
    (local $length i32)
    (call $path (local.get $request) (i32.const 1024))
    (call $drop-request (local.get $request))
    (local.set $length (call $obey (i32.load (i32.const 1028)) (i32.load (i32.const 1032))))
    (call $set (local.get $out) (i32.const 0) (call $response (call $headers (local.get $length)))
      (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
"#;

const IMPORTS_03: &str = r#"
  (import "wasi:http/types@0.3.2" "[method]request.get-path-with-query" (func $path (param i32 i32)))
  (import "wasi:http/types@0.3.2" "[resource-drop]request" (func $drop-request (param i32)))
  (import "wasi:http/types@0.3.2" "[static]response.new" (func $response (param i32 i32 i32 i32 i32)))
  (import "wasi:http/types@0.3.2" "[future-new-1][static]response.new" (func $trailers (result i64)))
  (import "wasi:http/types@0.3.2" "[async-lower][future-write-1][static]response.new"
    (func $write (param i32 i32) (result i32)))
"#;

/// There are no trailers (the zeros at 1104). The host reads them after the function has returned.
const HTTP_03: &str = r#"
  (func (export "wasi:http/handler@0.3.2#handle") (param $request i32) (result i32)
    (local $length i32) (local $trailers i64)
    (call $path (local.get $request) (i32.const 1024))
    (call $drop-request (local.get $request))
    (local.set $length (call $obey (i32.load (i32.const 1028)) (i32.load (i32.const 1032))))
    (local.set $trailers (call $trailers))
    (call $response (call $headers (local.get $length)) (i32.const 0) (i32.const 0)
      (i32.wrap_i64 (local.get $trailers)) (i32.const 1024))
    (drop (call $write (i32.wrap_i64 (i64.shr_u (local.get $trailers) (i64.const 32))) (i32.const 1104)))
    (i64.store (i32.const 1200) (i64.const 0))
    (i32.store (i32.const 1208) (i32.load (i32.const 1024)))
    (i32.const 1200))
"#;

const WORLD_TYPED: &str = "
package atoll:fixture-marks@1.0.0;
interface marks {
  visit: func() -> string;
  trap: func();
  has: func(handle: u32) -> bool;
}
world service {
  import wasi:random/random@0.3.2;
  import wasi:http/types@0.3.2;
  export marks;
}";

const WORLD_03: &str = "
package fixture:marks;
world service {
  import wasi:random/random@0.3.2;
  export wasi:http/handler@0.3.2;
}";

/// The part of WASI 0.2 that the guest uses. Its error codes are those of 0.3.
const WORLD_02: &str = "
package fixture:marks;
world service {
  import wasi:random/random@0.2.0;
  import wasi:http/types@0.2.0;
  export wasi:http/incoming-handler@0.2.0;
}
package wasi:random@0.2.0 {
  interface random {
    get-random-u64: func() -> u64;
  }
}
package wasi:http@0.2.0 {
  interface types {
    ERRORS
    variant header-error { invalid-syntax, forbidden, immutable }
    resource fields {
      constructor();
      has: func(name: string) -> bool;
      append: func(name: string, value: list<u8>) -> result<_, header-error>;
    }
    resource incoming-request {
      path-with-query: func() -> option<string>;
    }
    resource outgoing-response {
      constructor(headers: fields);
    }
    resource response-outparam {
      set: static func(param: response-outparam, response: result<outgoing-response, error-code>);
    }
  }
  interface incoming-handler {
    use types.{incoming-request, response-outparam};
    handle: func(request: incoming-request, response-out: response-outparam);
  }
}";

impl Protocol {
    /// The guest as a component.
    pub fn component(self) -> Vec<u8> {
        let (version, imports, exports) = match self {
            Self::Typed => ("0.3.2", "", TYPED),
            Self::Http02 => ("0.2.0", IMPORTS_02, HTTP_02),
            Self::Http03 => ("0.3.2", IMPORTS_03, HTTP_03),
        };
        let text = include_str!("marks.wat")
            .replace("(@imports)", &format!("{}{imports}", FIELDS.replace("VERSION", version)))
            .replace("(@exports)", exports);
        let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"));
        let mut resolve = Resolve { all_features: true, ..Resolve::default() };
        let wit = workspace().join("wit");
        let world = match self {
            Self::Typed => WORLD_TYPED.to_owned(),
            Self::Http03 => WORLD_03.to_owned(),
            Self::Http02 => {
                WORLD_02.replace("ERRORS", &error_codes(&fs::read_to_string(wit.join("deps/http.wit")).unwrap()))
            }
        };
        if self != Self::Http02 {
            resolve.push_dir(&wit).unwrap_or_else(|error| panic!("{error:?}"));
        }
        let package =
            resolve.push_source("marks.wit", &world).unwrap_or_else(|error| panic!("{}", resolve.render_error(&error)));
        let world = resolve.select_world(&[package], None).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
        ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
    }
}

/// The part of `wasi:http/types` with its error codes.
fn error_codes(http: &str) -> String {
    let types = &http[http.find("record DNS-error-payload").unwrap()..];
    let codes = &types[..types.find("variant header-error").unwrap()];
    let lines = codes.lines().filter(|line| !line.trim_start().starts_with(['@', '/']));
    lines.collect::<Vec<_>>().join("\n")
}
