//! What new services begin with that implement a contract which is there.

use bindings::{BindingsError, ContractWorld, ServiceStub, StubLanguage};
use std::fs;

const BEGUN: &str = "
    package shop:stock-room@1.2.0;
    interface stock {
      variant error { not-found, unavailable(string) }
      record entry { id: u64, where: option<list<string>> }
      use types.{unit};
      find: async func(id: u64, in: option<string>) -> result<tuple<entry, unit>, error>;
      count-all: func(units: list<unit>) -> u32;
      drop-it: async func(id: u64) -> result<_, error>;
    }
    interface types { enum unit { piece, box } }
    world service { import wasi:config/store@0.2.0-rc.1; export stock; }
";

pub(crate) fn begun(text: &str, language: StubLanguage) -> Result<ServiceStub, BindingsError> {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("stock.wit");
    fs::write(&file, text).unwrap();
    ServiceStub::of(&file, "new-stock", language)
}

#[test]
fn a_service_is_begun_from_a_contract_with_each_function_of_it() {
    let stub = begun(BEGUN, StubLanguage::Rust).unwrap();
    assert!(stub.wide);
    for part in [
        "use bindings::exports::shop::stock_room::stock;\n",
        "impl stock::Guest for Service {\n    async fn find(_id: u64, _in: Option<String>) -> \
         Result<(stock::Entry, stock::Unit), stock::Error> {\n",
        "        Err(stock::Error::Unavailable(\"`find` is not written yet\".to_owned()))\n    }\n",
        "    fn count_all(_units: Vec<stock::Unit>) -> u32 {\n        panic!(\"`count-all` is not written yet\")\n",
        "    async fn drop_it(_id: u64) -> Result<(), stock::Error> {\n",
    ] {
        assert!(stub.code.contains(part), "{part}\n{}", stub.code);
    }
    // The folder is one that tools read, with the contract as it is and without its other worlds.
    let place = tempfile::tempdir().unwrap();
    for (path, bytes) in &stub.wit {
        let path = place.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    assert_eq!(stub.wit.len(), 2, "{:?}", stub.wit.keys());
    assert!(ContractWorld::read(&[place.path()], Some("service")).is_ok());

    let stub = begun(&BEGUN.replace("u64", "u32"), StubLanguage::JavaScript).unwrap();
    assert!(!stub.wide);
    for part in [
        "export const stock = {\n  async find(id, in_) {\n    throw { tag: \"unavailable\", val: \
         \"`find` is not written yet\" };\n",
        "  async countAll(units) {\n    throw new Error(\"`count-all` is not written yet\");\n",
    ] {
        assert!(stub.code.contains(part), "{part}\n{}", stub.code);
    }
}

/// The header of C says what the functions are there: see `host/bindings/src/stub/c.rs`.
#[test]
fn a_service_is_begun_in_each_language_with_the_types_that_its_tool_has() {
    let of = |language| begun(BEGUN, language).unwrap();
    let all: [(String, &[&str]); 5] = [
        (
            of(StubLanguage::TypeScript).code,
            &[
                "  type Error = { tag: \"not-found\" } | { tag: \"unavailable\"; val: string };\n",
                "  type Entry = { id: bigint; where: (Array<string> | undefined) };\n",
                "declare namespace Types {\n  type Unit = \"piece\" | \"box\";\n}\n",
                "  async find(id: bigint, in_: (string | undefined)): Promise<[Stock.Entry, Stock.Unit]> {\n",
                "    failed<Stock.Error>({ tag: \"unavailable\", val: \"`find` is not written yet\" });\n",
                "  async dropIt(id: bigint): Promise<void> {\n",
            ],
        ),
        (
            of(StubLanguage::Python).code,
            &[
                "from componentize_py_types import Err\nfrom wit_world import exports\n\
             from wit_world.exports import stock\n\
             from wit_world.imports import types\n",
                "class Stock(exports.Stock):\n    async def find(self, id: int, in_: str | None) -> \
             tuple[stock.Entry, types.Unit]:\n        \
             raise Err(stock.Error_Unavailable(\"`find` is not written yet\"))\n",
                "    def count_all(self, units: list[types.Unit]) -> int:\n        raise NotImplementedError(\"",
            ],
        ),
        (
            of(StubLanguage::C).code,
            &[
                "bool exports_shop_stock_room_stock_find(uint64_t id, service_string_t *maybe_in, ",
                "    (void)id;\n    if (maybe_in != NULL) {\n        service_string_free(maybe_in);\n    }\n    \
             (void)ret;\n    \
             err->tag = EXPORTS_SHOP_STOCK_ROOM_STOCK_ERROR_UNAVAILABLE;\n    \
             service_string_dup(&err->val.unavailable, \"`find` is not written yet\");\n    return false;\n}\n",
                "    fputs(\"`count-all` is not written yet\\n\", stderr);\n    abort();\n}\n",
            ],
        ),
        (
            of(StubLanguage::Zig).code,
            &[
                "export fn exports_shop_stock_room_stock_find(_: u64, maybe_in: ?*contract.service_string_t, _: *",
                "    if (maybe_in) |given| contract.service_string_free(given);\n",
                "    @panic(\"`count-all` is not written yet\");\n}\n",
            ],
        ),
        (
            String::from_utf8(of(StubLanguage::Go).packages.into_values().next().unwrap()).unwrap(),
            &[
                "package export_shop_stock_room_stock\n\nimport (\n\ttypes \"go.bytecodealliance.org/pkg/wit/types\"\n\
             \tcontract \"wit_component/shop_stock_room_stock\"\n)\n",
                "func Find(id uint64, in types.Option[string]) \
             types.Result[types.Tuple2[contract.Entry, contract.Unit], contract.Error] {\n\t\
             return types.Err[types.Tuple2[contract.Entry, contract.Unit]](\
             contract.MakeErrorUnavailable(\"`find` is not written yet\"))\n}\n",
                "func CountAll(units []contract.Unit) uint32 {\n\tpanic(\"`count-all` is not written yet\")\n}\n",
            ],
        ),
    ];
    for (code, parts) in all {
        for part in parts {
            assert!(code.contains(part), "{part}\n{code}");
        }
    }
    // With no 64-bit integers the tool is componentize-qjs, which has `null` for no value.
    let narrow = begun(&BEGUN.replace("u64", "u32"), StubLanguage::TypeScript).unwrap().code;
    assert!(narrow.contains("in_: (string | null)"), "{narrow}");
}

/// WIT takes any word for a name, with a `%` before its own ones.
#[test]
fn a_name_that_is_a_word_of_the_language_is_escaped_as_its_tool_does_it() {
    const WORDS: [&str; 58] = [
        "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "def", "default",
        "delete", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "func", "if", "impl", "in",
        "lambda", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
        "self", "static", "struct", "super", "this", "trait", "true", "try", "type", "typeof", "unsafe", "unsized",
        "use", "virtual", "where", "while", "with", "yield", "go",
    ];
    let functions: String = WORDS.iter().map(|word| format!("%{word}: func(%{word}: u32) -> u32;\n")).collect();
    let contract =
        format!("package a:b; interface %delete {{ record guest {{ a: u32 }} {functions} greet: func(who: guest); }}");
    let code = |language| {
        let stub = begun(&contract, language).unwrap();
        stub.code + &stub.packages.values().map(|file| String::from_utf8_lossy(file)).collect::<String>()
    };
    let rust = code(StubLanguage::Rust);
    let others = ["def", "default", "delete", "func", "lambda", "this", "with", "go"];
    for word in WORDS {
        let name = if others.contains(&word) { word.to_owned() } else { format!("{word}_") };
        assert!(rust.contains(&format!("    fn {name}(_{word}: u32) -> u32 {{\n")), "{word}: {rust}");
    }
    assert!(rust.contains("fn greet(_who: delete::Guest_) {\n"), "{rust}");
    for (language, parts) in [
        (
            StubLanguage::JavaScript,
            &["\nconst delete_ = {\n", "  async return(return_) {\n", "  async go(go) {\n", " as delete };\n"][..],
        ),
        (
            StubLanguage::TypeScript,
            &["\nconst delete_ = {\n", "  async this(this_: number): Promise<number> {\n", "delete_ as delete };\n"],
        ),
        (
            StubLanguage::Python,
            &["    def self(self, self_: int) -> int:\n", "    def lambda_(self, lambda_: int) -> int:\n"],
        ),
        (StubLanguage::Go, &["func Return(return_ uint32) uint32 {\n", "func Go(go_ uint32) uint32 {\n"]),
    ] {
        let code = code(language);
        for part in parts {
            assert!(code.contains(part), "{language:?}: {part}\n{code}");
        }
        assert!(!code.contains("export const delete ="), "{code}");
    }
}

/// In C and Zig by the header, which escapes the words of C and C++. A name that is not used is none in Zig, so each
/// parameter is one that is freed.
#[test]
fn a_word_of_c_or_zig_is_escaped_in_the_stub_as_in_the_header() {
    const C: [&str; 13] =
        ["and", "char", "class", "default", "err", "int", "new", "or", "ret", "return", "stderr", "struct", "void"];
    const ZIG: [&str; 17] = [
        "align",
        "anyerror",
        "c-int",
        "comptime",
        "comptime-float",
        "defer",
        "error",
        "fn",
        "i7",
        "linksection",
        "null",
        "orelse",
        "pub",
        "test",
        "u8",
        "undefined",
        "usize",
    ];
    let of = |words: &[&str], language| {
        let functions: String = words.iter().map(|word| format!("%{word}: func(%{word}: string);\n")).collect();
        begun(&format!("package a:b; interface %struct {{ {functions} }}"), language).unwrap().code
    };
    let own = ["abort", "contract", "fputs", "given", "plain"];
    let c = of(&[&C[..], &ZIG, &own].concat(), StubLanguage::C);
    let zig = of(&[&C[..], &ZIG, &own].concat(), StubLanguage::Zig);
    for (kebab, word) in [&C[..], &ZIG, &own].concat().into_iter().map(|word| (word, word.replace('-', "_"))) {
        let in_header = if C.contains(&kebab) { format!("{word}_") } else { word.clone() };
        let is_called = ["abort", "fputs"].contains(&kebab);
        let in_c = if is_called { format!("{word}_") } else { in_header.clone() };
        let head = format!("\nvoid exports_a_b_struct_{word}(service_string_t *{in_c}) {{\n");
        assert!(c.contains(&format!("{head}    service_string_free({in_c});\n")), "{word}: {c}");
        let in_zig = match kebab {
            "contract" | "given" => format!("{word}_"),
            kebab if ZIG.contains(&kebab) => format!("@\"{word}\""),
            _ => in_header,
        };
        let head = format!("\nexport fn exports_a_b_struct_{word}({in_zig}: *contract.service_string_t) void {{\n");
        assert!(zig.contains(&format!("{head}    contract.service_string_free({in_zig});\n")), "{word}: {zig}");
    }
}

#[test]
fn what_has_no_stub_is_named() {
    let resource = "package a:b; interface i { resource r { get: func() -> u32; } }";
    let streams = "package a:b; interface i { read: func() -> stream<u8>; }";
    for (text, part) in [
        (resource, "a function of a resource"),
        (streams, "with a stream"),
        ("package a:b; interface i { record r { a: u8 } }", "no interface of it has a function"),
        ("package a:b; interface i {", "cannot take a world out of"),
    ] {
        for language in [StubLanguage::Rust, StubLanguage::TypeScript, StubLanguage::Python, StubLanguage::Go] {
            let refused = begun(text, language).unwrap_err().to_string();
            // The bindings for Go are asked first, which know the place and what to take instead.
            let of_go = language == StubLanguage::Go && refused.contains("have no streams");
            assert!(refused.contains(part) || of_go, "{language:?}: {refused}");
        }
    }
}
