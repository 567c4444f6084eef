//! Sets `cfg(loom)` for this crate alone, and writes the mutants of the inline-poll protocol.
//!
//! With `cfg(loom)` the breaker's `sync.rs` takes loom's types. A mutant is a copy of the host's source with one place
//! changed; `src/inline_poll/mutants.rs` lists them. Each copy gets a test, which passes if a model fails with the
//! copy.

#[path = "src/inline_poll/mutants.rs"]
mod mutants;

use mutants::{MUTANTS, Mutant};
use std::fs;
use std::path::{Path, PathBuf};

/// Relative to this crate. `src/inline_poll/mod.rs` names it too.
const PROTOCOL: &str = "../../host/src/runtime/instance/inline_poll/protocol.rs";

fn main() {
    println!("cargo:rustc-check-cfg=cfg(loom)");
    println!("cargo:rustc-cfg=loom");
    for read in ["build.rs", "src/inline_poll/mutants.rs", PROTOCOL] {
        println!("cargo:rerun-if-changed={read}");
    }
    let host = code(&fs::read_to_string(PROTOCOL).expect("a build script runs in its crate's folder"));
    let out = out_dir();
    let mut tests = String::new();
    for mutant in &MUTANTS {
        let file = out.join(mutant.name).with_extension("rs");
        fs::write(&file, host.replace(&code(mutant.original), mutant.mutated)).expect("OUT_DIR can be written");
        tests += &test(mutant, &file, host.matches(&code(mutant.original)).count());
    }
    fs::write(out.join("mutants.rs"), tests).expect("OUT_DIR can be written");
}

/// The folder that cargo gives to this build.
#[expect(clippy::disallowed_methods, reason = "cargo passes settings to a build script in the environment alone")]
fn out_dir() -> PathBuf {
    std::env::var_os("OUT_DIR").expect("cargo sets it").into()
}

/// `source` without comments and indentation.
fn code(source: &str) -> String {
    let lines = source.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The module of a mutant, whose source is `file`, with its test. `found`: how often the mutant's original line stands
/// in the host's source. If that is not once, the test fails.
fn test(mutant: &Mutant, file: &Path, found: usize) -> String {
    let Mutant { name, original, caught_by, failure, .. } = mutant;
    if found != 1 {
        let reason = format!("stands {found} times in the host's source, not once: write the mutant anew\n{original}");
        return format!("#[test]\nfn {name}() {{\n    panic!(\"{{}}\", {reason:?});\n}}\n");
    }
    format!(
        "mod {name} {{
            use super::super::{{models, protocol, sync}};
            #[allow(dead_code, unused_imports, unused_variables)]
            #[path = {file:?}]
            mod mutant;
            protocol!(mutant);
            #[test]
            #[should_panic(expected = {failure:?})]
            fn is_caught() {{ models::{caught_by}::<mutant::InlinePoll>() }}
        }}\n"
    )
}
