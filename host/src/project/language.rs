//! The languages of the templates.

use std::path::PathBuf;

/// A language whose tools make components, and that anybody can install from its public registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// By cargo and wit-bindgen.
    Rust,
    /// By componentize-qjs: the engine is QuickJS.
    JavaScript,
    /// The same, checked by tsc and bundled by esbuild.
    TypeScript,
    /// By componentize-py: the engine is CPython.
    Python,
    /// By the C compiler and the C library that Zig brings, and the bindings of `atoll wit`.
    C,
    /// The same, from the bindings for C.
    Zig,
    /// By Go's own compiler, and the bindings of `atoll wit`.
    Go,
}

/// How a new service is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceFace {
    /// By its contract, from which the host makes HTTP.
    Typed,
    /// By HTTP, which it speaks itself.
    Http,
    /// By a contract that was there before it.
    Contract(ContractCode),
}

/// What a service begins with that implements a contract which is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractCode {
    /// The world and the contract, by their paths in the folder `wit`.
    pub wit: Vec<(PathBuf, Vec<u8>)>,
    /// The functions in the language.
    pub code: String,
    /// Whether a number of JavaScript holds all integers of the contract.
    pub narrow: bool,
}

/// What `build` is for languages whose build is a script: the tools first.
const SCRIPT: &str =
    "test -d .venv || (python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt) && sh build.sh";

/// What a service that speaks HTTP exports. Rust's has no need of it.
const HTTP_WORLD: &str = include_str!("../../templates/http/service.wit");

/// One file of a template: where it goes, and its text. Both have placeholders.
pub(super) type TemplateFile = (&'static str, &'static str);

impl Language {
    /// The files of a service, beside its contract and its page.
    pub(super) fn files(self) -> &'static [TemplateFile] {
        match self {
            Self::Rust => &[
                ("Cargo.toml", include_str!("../../templates/rust/Cargo.toml")),
                ("src/lib.rs", include_str!("../../templates/rust/src/lib.rs")),
                (".gitignore", "/target\n/{{name}}.wasm\n"),
            ],
            Self::JavaScript => &[
                ("package.json", include_str!("../../templates/javascript/package.json")),
                ("src/service.js", include_str!("../../templates/javascript/src/service.js")),
                (".gitignore", "/node_modules\n/{{name}}.wasm\n"),
            ],
            Self::TypeScript => &[
                ("package.json", include_str!("../../templates/typescript/package.json")),
                ("tsconfig.json", include_str!("../../templates/typescript/tsconfig.json")),
                ("src/service.ts", include_str!("../../templates/typescript/src/service.ts")),
                (".gitignore", "/node_modules\n/{{name}}.wasm\n"),
            ],
            Self::Python => &[
                ("requirements.txt", include_str!("../../templates/python/requirements.txt")),
                ("service.py", include_str!("../../templates/python/service.py")),
                (".gitignore", "/.venv\n/{{name}}.wasm\n__pycache__/\n"),
            ],
            Self::C => &[
                ("requirements.txt", include_str!("../../templates/c/requirements.txt")),
                ("build.sh", include_str!("../../templates/c/build.sh")),
                ("service.c", include_str!("../../templates/c/service.c")),
                (".gitignore", "/.venv\n/target\n/{{name}}.wasm\n"),
            ],
            Self::Zig => &[
                ("requirements.txt", include_str!("../../templates/zig/requirements.txt")),
                ("build.sh", include_str!("../../templates/zig/build.sh")),
                ("service.zig", include_str!("../../templates/zig/service.zig")),
                (".gitignore", "/.venv\n/target\n/{{name}}.wasm\n"),
            ],
            Self::Go => &[
                ("requirements.txt", include_str!("../../templates/go/requirements.txt")),
                ("build.sh", include_str!("../../templates/go/build.sh")),
                ("export_example_{{snake}}_{{snake}}/service.go", include_str!("../../templates/go/service.go")),
                (
                    ".gitignore",
                    "/.venv\n/target\n/{{name}}.wasm\n/wit_exports.go\n/wit_runtime\n/example_{{snake}}_{{snake}}\n",
                ),
            ],
        }
    }

    /// The files of a service that speaks HTTP itself, by `wasi:http` 0.3, beside its page; `None` for languages that
    /// have no template of one.
    pub(super) fn http_files(self) -> Option<&'static [TemplateFile]> {
        match self {
            Self::Rust => Some(&[
                ("Cargo.toml", include_str!("../../templates/rust/Cargo.toml")),
                ("src/lib.rs", include_str!("../../templates/http/lib.rs")),
                (".gitignore", "/target\n/{{name}}.wasm\n"),
            ]),
            Self::JavaScript => Some(&[
                ("wit/{{name}}.wit", HTTP_WORLD),
                ("package.json", include_str!("../../templates/javascript/package.json")),
                ("src/service.js", include_str!("../../templates/http/service.js")),
                (".gitignore", "/node_modules\n/{{name}}.wasm\n"),
            ]),
            Self::Python => Some(&[
                ("wit/{{name}}.wit", HTTP_WORLD),
                ("requirements.txt", include_str!("../../templates/python/requirements.txt")),
                ("build.sh", include_str!("../../templates/http/build.sh")),
                ("service.py", include_str!("../../templates/http/service.py")),
                (".gitignore", "/.venv\n/target\n/{{name}}.wasm\n__pycache__/\n"),
            ]),
            // TypeScript would need declarations of all of `wasi:http`; the bindings of the others are synchronous, in
            // which an answer cannot be written while it is read.
            Self::TypeScript | Self::C | Self::Zig | Self::Go => None,
        }
    }

    /// The files of a service that implements a contract which is there, beside its page and the contract; `None` for
    /// languages in which its functions are not begun.
    pub(super) fn contract_files(self, narrow: bool) -> Option<&'static [TemplateFile]> {
        match self {
            Self::Rust => Some(&[
                ("Cargo.toml", include_str!("../../templates/rust/Cargo.toml")),
                ("src/lib.rs", include_str!("../../templates/contract/lib.rs")),
                (".gitignore", "/target\n/{{name}}.wasm\n"),
            ]),
            Self::JavaScript if narrow => Some(&[
                ("package.json", include_str!("../../templates/javascript/package.json")),
                ("src/service.js", include_str!("../../templates/contract/service.js")),
                (".gitignore", "/node_modules\n/{{name}}.wasm\n"),
            ]),
            Self::JavaScript => Some(&[
                ("package.json", include_str!("../../templates/contract/package.json")),
                ("src/service.js", include_str!("../../templates/contract/service.js")),
                (".gitignore", "/node_modules\n/{{name}}.wasm\n"),
            ]),
            Self::TypeScript | Self::Python | Self::C | Self::Zig | Self::Go => None,
        }
    }

    /// The value of `build` in the manifest. The tools are installed by the first build.
    pub(super) fn build(self, face: &ServiceFace) -> &'static str {
        match self {
            Self::Python if *face == ServiceFace::Http => SCRIPT,
            Self::Rust => {
                "cargo build --quiet --release --target wasm32-wasip2 --target-dir target && \
                 cp target/wasm32-wasip2/release/{{snake}}.wasm {{name}}.wasm"
            }
            Self::JavaScript | Self::TypeScript => {
                "test -d node_modules || npm install --silent --no-audit --no-fund && npm run --silent component"
            }
            Self::Python => {
                "test -d .venv || (python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt) && \
                 .venv/bin/componentize-py -q -d wit -w service componentize service -o {{name}}.wasm"
            }
            Self::C | Self::Zig | Self::Go => SCRIPT,
        }
    }

    /// The settings that its services need beyond the defaults, as lines of their section.
    pub(super) fn settings(self) -> &'static str {
        match self {
            Self::Rust | Self::JavaScript | Self::TypeScript | Self::C | Self::Zig => "",
            // The bindings stand beside the code, which is what a Go module wants.
            Self::Go => "watch = [\"export_example_{{snake}}_{{snake}}\", \"go.mod\", \"wit\"]\n",
            // CPython starts with 16 to 32 MiB, and a first call that loads modules wants more than a Rust service.
            Self::Python => "limits = { memory = \"256MiB\" }\n",
        }
    }

    /// How its people indent: the style and the size in `.editorconfig`.
    pub(super) fn indent(self) -> (&'static str, &'static str) {
        match self {
            Self::Rust | Self::Python | Self::C | Self::Zig => ("space", "4"),
            Self::JavaScript | Self::TypeScript => ("space", "2"),
            Self::Go => ("tab", "4"),
        }
    }
}
