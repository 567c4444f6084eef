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
    /// The world, the contract and, of Go, the packages with the functions, by their paths in the service's folder.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    /// The functions in the language; nothing in Go.
    pub code: String,
    /// Whether a number of JavaScript holds all integers of the contract.
    pub narrow: bool,
}

impl ContractCode {
    /// The folders with the functions, where the language has a package for each interface.
    fn packages(&self) -> Vec<String> {
        let code = self.files.iter().filter(|(path, _)| path.extension().is_some_and(|extension| extension == "go"));
        code.filter_map(|(path, _)| Some(path.parent()?.display().to_string())).collect()
    }
}

/// Installs the tools of `requirements.txt`, where that was not done to its end, or has changed.
macro_rules! with_pip {
    ($build:literal) => {
        concat!(
            "test .venv/installed -nt requirements.txt || (python3 -m venv .venv && .venv/bin/pip install -q -r ",
            "requirements.txt && touch .venv/installed) && ",
            $build
        )
    };
}

/// What a service that speaks HTTP exports. Rust's has no need of it.
const HTTP_WORLD: &str = include_str!("../../templates/http/service.wit");
/// The same for languages whose bindings are synchronous: in 0.3 an answer cannot be written by them while it is read.
const SYNCHRONOUS_HTTP_WORLD: &str = include_str!("../../templates/http/synchronous.wit");
/// What a service in Go ignores. The packages of the bindings, which stand beside its own ones, ignore themselves.
const GO_IGNORE: &str = "/.venv\n/target\n/{{name}}.wasm\n/wit_exports.go\n";
const PIP_IGNORE: &str = "/.venv\n/target\n/{{name}}.wasm\n";
const NPM_IGNORE: &str = "/node_modules\n/{{name}}.wasm\n";

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
                (".gitignore", NPM_IGNORE),
            ],
            Self::TypeScript => &[
                ("package.json", include_str!("../../templates/typescript/package.json")),
                ("tsconfig.json", include_str!("../../templates/typescript/tsconfig.json")),
                ("src/service.ts", include_str!("../../templates/typescript/src/service.ts")),
                (".gitignore", NPM_IGNORE),
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
                (".gitignore", PIP_IGNORE),
            ],
            Self::Zig => &[
                ("requirements.txt", include_str!("../../templates/zig/requirements.txt")),
                ("build.sh", include_str!("../../templates/zig/build.sh")),
                ("service.zig", include_str!("../../templates/zig/service.zig")),
                (".gitignore", PIP_IGNORE),
            ],
            Self::Go => &[
                ("requirements.txt", include_str!("../../templates/go/requirements.txt")),
                ("build.sh", include_str!("../../templates/go/build.sh")),
                ("export_example_{{snake}}_{{snake}}/service.go", include_str!("../../templates/go/service.go")),
                (".gitignore", GO_IGNORE),
            ],
        }
    }

    /// The files of a service that speaks HTTP itself, beside its page: by `wasi:http` 0.3, and by 0.2 where the
    /// bindings are synchronous.
    pub(super) fn http_files(self) -> &'static [TemplateFile] {
        match self {
            Self::Rust => &[
                ("Cargo.toml", include_str!("../../templates/rust/Cargo.toml")),
                ("src/lib.rs", include_str!("../../templates/http/lib.rs")),
                (".gitignore", "/target\n/{{name}}.wasm\n"),
            ],
            Self::JavaScript => &[
                ("wit/{{name}}.wit", HTTP_WORLD),
                ("package.json", include_str!("../../templates/javascript/package.json")),
                ("src/service.js", include_str!("../../templates/http/service.js")),
                (".gitignore", NPM_IGNORE),
            ],
            Self::TypeScript => &[
                ("wit/{{name}}.wit", HTTP_WORLD),
                ("package.json", include_str!("../../templates/typescript/package.json")),
                ("tsconfig.json", include_str!("../../templates/typescript/tsconfig.json")),
                ("src/platform.d.ts", include_str!("../../templates/http/platform.d.ts")),
                ("src/service.ts", include_str!("../../templates/http/service.ts")),
                (".gitignore", NPM_IGNORE),
            ],
            Self::Python => &[
                ("wit/{{name}}.wit", HTTP_WORLD),
                ("requirements.txt", include_str!("../../templates/python/requirements.txt")),
                ("build.sh", include_str!("../../templates/http/build.sh")),
                ("service.py", include_str!("../../templates/http/service.py")),
                (".gitignore", "/.venv\n/target\n/{{name}}.wasm\n__pycache__/\n"),
            ],
            Self::C => &[
                ("wit/{{name}}.wit", SYNCHRONOUS_HTTP_WORLD),
                ("requirements.txt", include_str!("../../templates/c/requirements.txt")),
                ("build.sh", include_str!("../../templates/c/build.sh")),
                ("service.c", include_str!("../../templates/http/service.c")),
                (".gitignore", PIP_IGNORE),
            ],
            Self::Zig => &[
                ("wit/{{name}}.wit", SYNCHRONOUS_HTTP_WORLD),
                ("requirements.txt", include_str!("../../templates/zig/requirements.txt")),
                ("build.sh", include_str!("../../templates/zig/build.sh")),
                ("service.zig", include_str!("../../templates/http/service.zig")),
                (".gitignore", PIP_IGNORE),
            ],
            Self::Go => &[
                ("wit/{{name}}.wit", SYNCHRONOUS_HTTP_WORLD),
                ("requirements.txt", include_str!("../../templates/go/requirements.txt")),
                ("build.sh", include_str!("../../templates/go/build.sh")),
                ("export_wasi_http_incoming_handler/service.go", include_str!("../../templates/http/service.go")),
                (".gitignore", GO_IGNORE),
            ],
        }
    }

    /// The files of a service that implements a contract which is there, beside its page and the contract.
    pub(super) fn contract_files(self, narrow: bool) -> &'static [TemplateFile] {
        match self {
            Self::Rust => &[
                ("Cargo.toml", include_str!("../../templates/rust/Cargo.toml")),
                ("src/lib.rs", include_str!("../../templates/contract/lib.rs")),
                (".gitignore", "/target\n/{{name}}.wasm\n"),
            ],
            Self::JavaScript if narrow => &[
                ("package.json", include_str!("../../templates/javascript/package.json")),
                ("src/service.js", include_str!("../../templates/contract/service.js")),
                (".gitignore", NPM_IGNORE),
            ],
            Self::JavaScript => &[
                ("package.json", include_str!("../../templates/contract/package.json")),
                ("src/service.js", include_str!("../../templates/contract/service.js")),
                (".gitignore", NPM_IGNORE),
            ],
            Self::TypeScript if narrow => &[
                ("package.json", include_str!("../../templates/typescript/package.json")),
                ("tsconfig.json", include_str!("../../templates/typescript/tsconfig.json")),
                ("src/service.ts", include_str!("../../templates/contract/service.ts")),
                (".gitignore", NPM_IGNORE),
            ],
            Self::TypeScript => &[
                ("package.json", include_str!("../../templates/contract/typescript.json")),
                ("tsconfig.json", include_str!("../../templates/typescript/tsconfig.json")),
                ("src/service.ts", include_str!("../../templates/contract/service.ts")),
                (".gitignore", NPM_IGNORE),
            ],
            Self::Python => &[
                ("requirements.txt", include_str!("../../templates/python/requirements.txt")),
                ("service.py", include_str!("../../templates/contract/service.py")),
                (".gitignore", "/.venv\n/{{name}}.wasm\n__pycache__/\n"),
            ],
            Self::C => &[
                ("requirements.txt", include_str!("../../templates/c/requirements.txt")),
                ("build.sh", include_str!("../../templates/c/build.sh")),
                ("service.c", include_str!("../../templates/contract/service.c")),
                (".gitignore", PIP_IGNORE),
            ],
            Self::Zig => &[
                ("requirements.txt", include_str!("../../templates/zig/requirements.txt")),
                ("build.sh", include_str!("../../templates/zig/build.sh")),
                ("service.zig", include_str!("../../templates/contract/service.zig")),
                (".gitignore", PIP_IGNORE),
            ],
            Self::Go => &[
                ("requirements.txt", include_str!("../../templates/go/requirements.txt")),
                ("build.sh", include_str!("../../templates/go/build.sh")),
                (".gitignore", GO_IGNORE),
            ],
        }
    }

    /// The value of `build` in the manifest. The tools are installed by the first build.
    pub(super) fn build(self, face: &ServiceFace) -> &'static str {
        match self {
            Self::Python if *face == ServiceFace::Http => with_pip!("sh build.sh"),
            Self::Rust => {
                "cargo build --quiet --release --target wasm32-wasip2 --target-dir target && \
                 cp target/wasm32-wasip2/release/{{snake}}.wasm {{name}}.wasm"
            }
            Self::JavaScript | Self::TypeScript => {
                // npm writes that file at the end of each install.
                "test node_modules/.package-lock.json -nt package.json || \
                 npm install --loglevel=error --no-audit --no-fund && npm run --silent component"
            }
            Self::Python => {
                with_pip!(".venv/bin/componentize-py -q -d wit -w service componentize service -o {{name}}.wasm")
            }
            Self::C | Self::Zig | Self::Go => with_pip!("sh build.sh"),
        }
    }

    /// The settings that its services need beyond the defaults, as lines of their section.
    pub(super) fn settings(self, face: &ServiceFace) -> String {
        match self {
            Self::Rust | Self::JavaScript | Self::TypeScript | Self::C | Self::Zig => String::new(),
            // The bindings stand beside the code, which is what a Go module wants.
            Self::Go => {
                let packages = match face {
                    ServiceFace::Typed => vec!["export_example_{{snake}}_{{snake}}".to_owned()],
                    ServiceFace::Http => vec!["export_wasi_http_incoming_handler".to_owned()],
                    ServiceFace::Contract(contract) => contract.packages(),
                };
                let packages: String = packages.iter().map(|package| format!("\"{package}\", ")).collect();
                format!("watch = [{packages}\"go.mod\", \"wit\"]\n")
            }
            // CPython starts with 16 to 32 MiB, and a first call that loads modules wants more than a Rust service.
            Self::Python => "limits = { memory = \"256MiB\" }\n".to_owned(),
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
