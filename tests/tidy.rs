//! Holds the walls of the house: who may import whom, and the rules of form that a compiler does not know.
//!
//! `house` is the table of rooms, floors and bans. `scan` reads a file. Here the rules are put to the tree, and each breach is
//! reported as `file:line: rule`, all at once. `samples` shows for each rule a text that breaks it.

mod house;
mod samples;
mod scan;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use self::scan::Scan;
use crate::it::components::workspace;

/// Where Rust code of this project stands.
const CODE: [&str; 4] = ["host/src", "tests", "components", "bench"];

/// A file longer than this has more than one subject.
const LINES_PER_FILE: usize = 500;

/// One breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Breach {
    file: String,
    line: usize,
    rule: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.rule)
    }
}

#[test]
fn the_walls_hold() {
    let sources = read(&CODE, "rs");
    let mut documents = read(&["docs"], "md");
    for name in ["README.md", "CONTRIBUTING.md"] {
        documents.extend(fs::read_to_string(workspace().join(name)).map(|text| (name.to_owned(), text)));
    }
    assert!(sources.contains_key("host/src/lib.rs"), "the walk did not find the code");

    let mut breaches: Vec<Breach> = sources.iter().flat_map(|(file, text)| breaches_of_source(file, text)).collect();
    breaches.extend(breaches_of_rooms(&room_folders(), &sources));
    let exists = |path: &str| workspace().join(path).exists();
    breaches.extend(documents.iter().flat_map(|(file, text)| breaches_of_document(file, text, exists)));
    report(breaches);
}

fn report(mut breaches: Vec<Breach>) {
    breaches.sort();
    breaches.dedup();
    let lines: Vec<String> = breaches.iter().map(Breach::to_string).collect();
    assert!(lines.is_empty(), "{} breach(es) of the house rules:\n{}", lines.len(), lines.join("\n"));
}

/// What one file of code breaks by itself. `file` is relative to the workspace, with `/`.
fn breaches_of_source(file: &str, text: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut breach = |line, rule: String| breaches.push(Breach { file: file.to_owned(), line, rule });

    if !text.starts_with("//!") {
        breach(1, "the first line is a `//!` line that says what the file is about".to_owned());
    }
    let lines = text.lines().count();
    if lines > LINES_PER_FILE {
        breach(lines, format!("{lines} lines: a file has at most {LINES_PER_FILE}"));
    }
    let scan = match Scan::new(text) {
        Ok(scan) => scan,
        Err(reason) => {
            breach(1, reason);
            return breaches;
        }
    };
    if !may_hold_unsafe(file) {
        for line in scan.find(&["unsafe"], true) {
            breach(line, "`unsafe` is for one module of `runtime` and for a component's `bindings.rs`".to_owned());
        }
    }
    let Some(module) = host_module(file) else { return breaches };
    let room = module.first().map(String::as_str);
    if let Some(room) = room {
        for import in scan.imports(&module) {
            if let Some(rule) = house::broken_by_import(room, &import.target) {
                breach(import.line, rule);
            }
        }
    }
    for ban in house::BANS.iter().filter(|ban| (ban.holds_in)(room)) {
        let tests_too = ban.holds_in_tests;
        if !tests_too && is_test_file(&module) {
            continue;
        }
        for line in scan.find(ban.tokens, tests_too) {
            breach(line, format!("`{}`: {}", ban.tokens.concat(), ban.why));
        }
    }
    breaches
}

/// What the rooms break as wholes: each folder is a room of the table with code in it, and one file of the host holds `unsafe`.
fn breaches_of_rooms(folders: &[String], sources: &BTreeMap<String, String>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let defines = |text: &String| Scan::new(text).is_ok_and(|scan| scan.defines_something());
    for room in folders {
        let mut breach =
            |rule: String| breaches.push(Breach { file: format!("host/src/{room}/mod.rs"), line: 1, rule });
        if house::floor(room).is_none() {
            breach(format!("`{room}` is not a room of the table of floors"));
        }
        if !sources.contains_key(&format!("host/src/{room}/mod.rs")) {
            breach(format!("room `{room}` has no `mod.rs` with its charter"));
        }
        let folder = format!("host/src/{room}/");
        if !sources.iter().any(|(file, text)| file.starts_with(&folder) && defines(text)) {
            breach(format!("room `{room}` is empty: a room comes with its first code"));
        }
    }
    let holds_unsafe = |text: &String| Scan::new(text).is_ok_and(|scan| !scan.find(&["unsafe"], true).is_empty());
    let unsafe_files =
        sources.iter().filter(|(file, text)| file.starts_with("host/src/runtime/") && holds_unsafe(text));
    for (file, _) in unsafe_files.skip(1) {
        let rule = "a second module of `runtime` with `unsafe`: one holds it all".to_owned();
        breaches.push(Breach { file: file.clone(), line: 1, rule });
    }
    breaches
}

/// The paths below `host/src` that a document names and that are not there. A segment in capitals is a placeholder.
fn breaches_of_document(file: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Breach> {
    const HOUSE: &str = "host/src/";
    let mut breaches = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (start, _) in line.match_indices(HOUSE) {
            let rest = &line[start..];
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_-./".contains(c))).unwrap_or(rest.len());
            let path = rest[..end].trim_end_matches(['.', '/']);
            let is_placeholder = path.split('/').any(|part| part.starts_with(|c: char| c.is_ascii_uppercase()));
            if !is_placeholder && !exists(path) {
                breaches.push(Breach {
                    file: file.to_owned(),
                    line: index + 1,
                    rule: format!("`{path}` does not exist"),
                });
            }
        }
    }
    breaches
}

fn may_hold_unsafe(file: &str) -> bool {
    file.starts_with("host/src/runtime/") || (file.starts_with("components/") && file.ends_with("/bindings.rs"))
}

/// The module of a file of the host: none of `lib.rs` and `main.rs`, which stand outside of the rooms, is empty.
fn host_module(file: &str) -> Option<Vec<String>> {
    let path = file.strip_prefix("host/src/")?.strip_suffix(".rs")?;
    let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
    module.pop_if(|last| last == "mod");
    if matches!(path, "lib" | "main") {
        module.clear();
    }
    Some(module)
}

/// A room's tests in a file of their own: `tests.rs`, `NAME_tests.rs`, or anything in a folder `tests`.
fn is_test_file(module: &[String]) -> bool {
    module.iter().any(|name| name == "tests" || name.ends_with("_tests"))
}

/// The folders of `host/src`.
fn room_folders() -> Vec<String> {
    let entries = fs::read_dir(workspace().join("host/src")).unwrap().map(Result::unwrap);
    entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// The text of every file with this extension below `folders`, by its path relative to the workspace.
fn read(folders: &[&str], extension: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut open: Vec<String> = folders.iter().map(|&folder| folder.to_owned()).collect();
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(workspace().join(&folder)) else { continue };
        for entry in entries.map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            let path = format!("{folder}/{name}");
            if entry.path().is_dir() {
                // What others built: cargo's target folders, the components' dist.
                if !name.starts_with('.') && name != "target" && name != "dist" {
                    open.push(path);
                }
            } else if Path::new(&name).extension().is_some_and(|found| found == extension) {
                files.insert(path, fs::read_to_string(entry.path()).unwrap());
            }
        }
    }
    files
}

/// With the feature `default-send-request` of wasmtime-wasi-http any guest could dial out, to the admin's port for one. What the
/// feature brings along would stand in the lock file.
#[test]
fn guests_are_given_no_client() {
    let lock = fs::read_to_string(workspace().join("Cargo.lock")).unwrap();
    let package = lock.split("[[package]]").find(|package| package.contains("name = \"wasmtime-wasi-http\"")).unwrap();
    assert!(package.contains("\"hyper\"") && !package.contains("rustls"), "{package}");
}
