//! The Go module of the bindings: it is whole, so that nothing is fetched when it is built.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

/// What the generated packages import, as a folder beside them.
const FOLDER: &str = "wit_runtime";
const MODULE: &str = include_str!("../go/go.mod");
const RUNTIME: &str = include_str!("../go/runtime.go");
const TYPES: &str = include_str!("../go/types.go");
/// A function without a body is declared in `runtime.go`: the compiler takes that if there is a file in assembly.
const ASSEMBLY: &str = "// Here is nothing: the functions without bodies are imports.\n";
/// The `.gitignore` of a folder that is made anew by each build.
const IGNORED: &str = "# `atoll wit bindings` makes this folder of the contract.\n*\n";
/// The most fields of a tuple, which are those of flat arguments: Go has a type for each number of them.
pub(crate) const MOST_FIELDS: usize = 16;

/// Makes one whole module of what the generator has written.
pub(crate) fn complete(files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    let module = files.entry("go.mod".into()).or_default();
    module.extend(format!("\nreplace go.bytecodealliance.org/pkg => ./{FOLDER}\n").bytes());
    let own = [
        ("go.mod", MODULE.to_owned()),
        ("wit/runtime/runtime.go", RUNTIME.to_owned()),
        ("wit/runtime/empty.s", ASSEMBLY.to_owned()),
        ("wit/types/types.go", TYPES.to_owned()),
        ("wit/types/tuples.go", tuples()),
    ];
    files.extend(own.map(|(path, text)| (PathBuf::from(FOLDER).join(path), text.into_bytes())));
    ignore(files);
}

/// Has git pass over each folder that is made of the contract. They stand beside packages of the service's own, whose
/// names may be like theirs; in those of exports the service's functions stand, too.
fn ignore(files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    let folders: BTreeSet<PathBuf> = files
        .keys()
        .filter(|path| path.components().count() > 1 && !path.to_string_lossy().starts_with("export_"))
        .filter_map(|path| Some(PathBuf::from(path.components().next()?.as_os_str())))
        .collect();
    files.extend(folders.into_iter().map(|folder| (folder.join(".gitignore"), IGNORED.into())));
}

/// `Tuple1` to `Tuple16`: Go has no type with any number of fields.
fn tuples() -> String {
    let mut text = "package wit_types\n".to_owned();
    for size in 1..=MOST_FIELDS {
        let types: Vec<String> = (0..size).map(|field| format!("T{field}")).collect();
        let fields: String = (0..size).map(|field| format!("\tF{field} T{field}\n")).collect();
        let written = write!(
            text,
            "\n// Tuple{size} is a tuple of {size}.\ntype Tuple{size}[{} any] struct {{\n{fields}}}\n",
            types.join(", ")
        );
        written.expect("a text takes everything");
    }
    text
}
