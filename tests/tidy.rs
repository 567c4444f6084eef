//! Holds the walls of the house: who may import whom, and the rules of form that a compiler does not know.
//!
//! `house` has the tables: rooms, floors, wings, bans. `scan` reads a file, `graph` knows who imports whom inside of a
//! room, `words` what types are called, `form` how a text looks, and `drawing` draws the house. This file checks the
//! tree by the rules, and reports all breaches together, each as `file:line: rule`. `samples` has for each rule a text
//! that breaks it.

mod drawing;
mod form;
mod graph;
mod house;
mod samples;
mod scan;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use self::graph::Tree;
use self::scan::Scan;
use crate::it::components::workspace;

/// Where Rust code of this project stands.
const CODE: [&str; 7] = ["host/src", "host/bindings", "host/rules/src", "tests", "components", "bench", "fuzz"];

/// The crates of the host: their rooms are one house.
const CRATES: [&str; 2] = ["host/rules/src/", "host/src/"];

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
    let sources = read(&CODE, &["rs"]);
    assert!(sources.contains_key("host/src/lib.rs"), "the walk did not find the code");
    let documents = documents();
    let measured = read(
        &form::MEASURED,
        &["rs", "sh", "toml", "py", "yml", "just", "justfile", "run", "commits", "audit", "rustc"],
    );
    let exists = |path: &str| workspace().join(path).exists();

    let mut breaches: Vec<Breach> = sources.iter().flat_map(|(file, text)| breaches_of_source(file, text)).collect();
    breaches.extend(breaches_of_rooms(&room_folders(), &sources));
    breaches.extend(documents.iter().flat_map(|(file, text)| breaches_of_document(file, text, exists)));
    breaches.extend(measured.iter().chain(&documents).flat_map(|(file, text)| form::breaches_of_columns(file, text)));
    report(breaches);
}

#[test]
fn wings_and_files_import_one_way() {
    let tree = Tree::new(&read(&CODE, &["rs"]));
    let rooms = room_folders();
    let mut breaches = tree.breaches_of_test_names();
    breaches.extend(rooms.iter().flat_map(|room| tree.breaches_of_room(room, house::wings(room), &house::CIRCLES)));
    report(breaches);
}

#[test]
fn one_word_has_one_meaning() {
    let definitions = Tree::new(&read(&CODE, &["rs"])).definitions();
    let documents = documents();
    let glossary: Vec<(&str, &str)> =
        words::GLOSSARY.iter().map(|&file| (file, documents.get(file).map_or("", String::as_str))).collect();
    let mut breaches = words::breaches_of_meanings(&definitions, &house::SHARED_NAMES);
    breaches.extend(words::Glossary::new(&glossary).breaches(&definitions));
    report(breaches);
}

/// `just drawing` runs this test with the variable set: the drawing is written then, and not only compared.
#[test]
fn the_drawing_is_that_of_the_imports() {
    let drawing = drawing::draw(&Tree::new(&read(&CODE, &["rs"])), &room_folders());
    let path = workspace().join(drawing::DOCUMENT);
    let document = fs::read_to_string(&path).unwrap_or_default();
    if is_set("ATOLL_WRITE_DRAWING") {
        fs::write(path, drawing::replace(&document, &drawing).expect("the document has the markers")).unwrap();
    } else {
        report(drawing::breaches(&document, &drawing));
    }
}

#[expect(clippy::disallowed_methods, reason = "the test's own switch: no room reads it")]
fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some()
}

/// The project's prose, by its path relative to the workspace.
fn documents() -> BTreeMap<String, String> {
    read(&["docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"], &["md"])
}

fn report(mut breaches: Vec<Breach>) {
    breaches.sort();
    breaches.dedup();
    let lines: Vec<String> = breaches.iter().map(Breach::to_string).collect();
    assert!(lines.is_empty(), "{} breach(es) of the house rules:\n{}", lines.len(), lines.join("\n"));
}

/// What one file of code breaks by itself. `file` is relative to the workspace, with `/`.
fn breaches_of_source(file: &str, text: &str) -> Vec<Breach> {
    let mut breaches = form::breaches_of_rust(file, text);
    let mut breach = |line, rule: String| breaches.push(Breach { file: file.to_owned(), line, rule });
    let scan = match Scan::new(text) {
        Ok(scan) => scan,
        Err(reason) => {
            breach(1, reason);
            return breaches;
        }
    };
    if !may_hold_unsafe(file) {
        for line in scan.find(&["unsafe"], true) {
            let places = "one module of `runtime`, for `listen/unsent.rs` and for a component's `bindings.rs`";
            breach(line, format!("`unsafe` is for {places}"));
        }
    }
    let Some(module) = host_module(file) else { return breaches };
    let room = module.first().map(String::as_str);
    if let Some(room) = room {
        for import in scan.imports(&module, &|_| false).iter().filter(|import| !import.is_foreign) {
            if let Some(rule) = house::broken_by_import(room, import.target()) {
                breach(import.line, rule);
            }
        }
    }
    for ban in house::BANS.iter().filter(|ban| (ban.holds_in)(room)) {
        let tests_too = ban.holds_in_tests;
        let is_exempt = ban.why == house::WASMTIME && file == house::ENGINE_VALUES;
        if is_exempt || (!tests_too && is_test_file(&module)) {
            continue;
        }
        for line in scan.find(ban.tokens, tests_too) {
            breach(line, format!("`{}`: {}", ban.tokens.concat(), ban.why));
        }
    }
    breaches
}

/// What the rooms break as wholes: each folder is a room of the table with code in it, and one file of the host holds
/// `unsafe`.
fn breaches_of_rooms(folders: &[String], sources: &BTreeMap<String, String>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let defines = |text: &String| Scan::new(text).is_ok_and(|scan| scan.defines_something());
    for room in folders {
        let mut breach =
            |rule: String| breaches.push(Breach { file: format!("{}/mod.rs", house::home(room)), line: 1, rule });
        if house::floor(room).is_none() {
            breach(format!("`{room}` is not a room of the table of floors"));
        }
        if !sources.contains_key(&format!("{}/mod.rs", house::home(room))) {
            breach(format!("room `{room}` has no `mod.rs` with its charter"));
        }
        let folder = format!("{}/", house::home(room));
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

/// The paths of the project's code that a document names and that are not there. A segment in capitals is a
/// placeholder. Paths of `components` are left out: the guides have readers make some.
fn breaches_of_document(file: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Breach> {
    const FOLDERS: [&str; 7] = ["host/src/", "host/rules/", "tests/", "docs/", "bench/", "fuzz/", "findings/"];
    let mut breaches = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let begins = |start: usize| {
            let before = line[..start].trim_end_matches("../");
            !before.ends_with(|c: char| c.is_ascii_alphanumeric() || "_-./{}<>$".contains(c))
        };
        let starts = FOLDERS.iter().flat_map(|folder| line.match_indices(folder)).map(|(start, _)| start);
        for start in starts.filter(|&start| begins(start)) {
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
    file.starts_with("host/src/runtime/")
        || file == "host/src/listen/unsent.rs"
        || (file.starts_with("components/") && file.ends_with("/bindings.rs"))
}

/// The module of a file of the host: none of `lib.rs` and `main.rs`, which stand outside of the rooms, is empty.
fn host_module(file: &str) -> Option<Vec<String>> {
    let path = CRATES.iter().find_map(|folder| file.strip_prefix(folder))?.strip_suffix(".rs")?;
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

/// The folders of the host's crates.
fn room_folders() -> Vec<String> {
    let entries = CRATES.iter().flat_map(|folder| fs::read_dir(workspace().join(folder)).unwrap().map(Result::unwrap));
    entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// The text of every file below these folders whose name ends so, by its path relative to the workspace.
/// A folder may be a file, too. An ending is an extension, or the name of a file without one.
fn read(folders: &[&str], endings: &[&str]) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut open: Vec<String> = folders.iter().map(|&folder| folder.to_owned()).collect();
    while let Some(path) = open.pop() {
        let full = workspace().join(&path);
        if full.is_dir() {
            let entries = fs::read_dir(full).unwrap().map(Result::unwrap);
            let names = entries.map(|entry| entry.file_name().into_string().unwrap());
            // What others built or installed: cargo's target folders, what is built for `dist`, npm's packages.
            let others = |name: &str| name.starts_with('.') || ["target", "dist", "node_modules"].contains(&name);
            let ours = names.filter(|name| !others(name));
            open.extend(ours.map(|name| format!("{path}/{name}")));
        } else if Path::new(&path).extension().or(full.file_name()).is_some_and(|end| endings.iter().any(|&e| e == end))
        {
            // A file of the list may be missing: the rules for it then have nothing to hold.
            files.extend(fs::read_to_string(full).map(|text| (path, text)));
        }
    }
    files
}

/// With the feature `default-send-request` of wasmtime-wasi-http any guest could dial out, to the admin's port for one.
/// What the feature brings along would stand in the lock file.
#[test]
fn guests_are_given_no_client() {
    let lock = fs::read_to_string(workspace().join("Cargo.lock")).unwrap();
    let package = lock.split("[[package]]").find(|package| package.contains("name = \"wasmtime-wasi-http\"")).unwrap();
    assert!(package.contains("\"hyper\"") && !package.contains("rustls"), "{package}");
}
