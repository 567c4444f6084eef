//! Who imports whom inside of a room: its files, and its wings.
//!
//! An import through a re-export counts as an import of the file that defines the name: `super::Settings` in
//! `breaker/breaker.rs` leads to `breaker/settings.rs`. Tests are left out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use super::scan::{Import, Scan, TypeItem};
use super::{Breach, host_module, house, is_test_file};

/// The path of a module below the crate's root: `["mesh", "dial", "client"]`.
type Module = Vec<String>;

/// The files of the host outside of its tests.
pub struct Tree {
    files: BTreeMap<Module, File>,
    /// The paths of the files that are named as tests are, and that no `#[cfg(test)] mod` declares.
    false_tests: Vec<String>,
}

struct File {
    path: String,
    imports: Vec<Import>,
    types: Vec<TypeItem>,
}

/// Where a type is defined.
#[derive(Clone, Debug)]
pub struct Definition {
    pub name: String,
    pub room: String,
    pub file: String,
    pub line: usize,
}

/// The levels of a room's wings, from the top; a wing imports only from levels below its own.
pub type Levels<'a> = &'a [&'a [&'a str]];

/// Files of a room that may import each other in a circle: the room, the files, why.
pub type Circle = (&'static str, &'static [&'static str], &'static str);

/// For each importer whom it imports, and the first line that does.
type Edges = BTreeMap<String, BTreeMap<String, String>>;

impl Tree {
    /// Reads the files of the host among `sources`; a file that is not Rust is reported elsewhere.
    pub fn new(sources: &BTreeMap<String, String>) -> Self {
        let host = sources.iter().filter_map(|(path, text)| {
            let module = host_module(path)?;
            let scan = Scan::new(text).ok()?;
            (path != "host/src/main.rs").then_some((module, (path, scan)))
        });
        let scans: BTreeMap<Module, (&String, Scan)> = host.collect();
        let declared_for_tests: BTreeSet<Module> = scans
            .iter()
            .flat_map(|(module, (_, scan))| {
                scan.test_modules().into_iter().map(|name| [module.as_slice(), &[name.to_owned()]].concat())
            })
            .collect();
        let is_declared = |module: &Module| (1..=module.len()).any(|to| declared_for_tests.contains(&module[..to]));
        let is_test = |module: &Module| is_test_file(module) || is_declared(module);
        let false_tests = scans
            .iter()
            .filter(|(module, _)| is_test_file(module) && !is_declared(module))
            .map(|(_, (path, _))| (*path).clone())
            .collect();
        let is_module = |path: &[String]| scans.contains_key(path);
        let files = scans.iter().filter(|(module, _)| !is_test(module)).map(|(module, (path, scan))| {
            let imports = scan.imports(module, &is_module).into_iter().filter(|import| !import.in_tests);
            let types = scan.types().into_iter().filter(|item| !item.in_tests);
            (module.clone(), File { path: (*path).clone(), imports: imports.collect(), types: types.collect() })
        });
        Self { files: files.collect(), false_tests }
    }

    /// A file that is named as tests are would escape the rules for the host's own code, although it is part of it.
    pub fn breaches_of_test_names(&self) -> Vec<Breach> {
        let rule = "named as a test file, but no `#[cfg(test)] mod` declares it";
        let breach = |file: &String| Breach { file: file.clone(), line: 1, rule: rule.to_owned() };
        self.false_tests.iter().map(breach).collect()
    }

    /// The types of the rooms, in the order of their files.
    pub fn definitions(&self) -> Vec<Definition> {
        let rooms = self.files.iter().filter_map(|(module, file)| Some((module.first()?, file)));
        let types = rooms.flat_map(|(room, file)| {
            file.types.iter().map(|item| Definition {
                name: item.name.clone(),
                room: room.clone(),
                file: file.path.clone(),
                line: item.line,
            })
        });
        types.collect()
    }

    /// The wings of the room from its files: the folders, and the files that stand beside its `mod.rs`.
    pub fn wings(&self, room: &str) -> BTreeSet<&str> {
        self.of(room).filter_map(|(module, _)| module.get(1).map(String::as_str)).collect()
    }

    pub fn has_folders(&self, room: &str) -> bool {
        self.of(room).any(|(module, _)| module.len() > 2)
    }

    /// Whether the wing is a folder and not a file.
    pub fn is_folder(&self, room: &str, wing: &str) -> bool {
        self.of(room).any(|(module, file)| {
            module.get(1).is_some_and(|name| name == wing) && (module.len() > 2 || file.path.ends_with("/mod.rs"))
        })
    }

    fn of(&self, room: &str) -> impl Iterator<Item = (&Module, &File)> {
        self.files.iter().filter(move |(module, _)| module.first().is_some_and(|first| first == room))
    }

    /// The imports between the files of the room; `node` says under which name a file counts.
    fn edges(&self, room: &str, node: impl Fn(&Module, &File) -> String) -> Edges {
        let mut edges = Edges::new();
        for (module, file) in self.of(room) {
            let from = node(module, file);
            let imports = edges.entry(from.clone()).or_default();
            for import in file.imports.iter().filter(|import| !import.is_foreign) {
                let Some((target, its_file)) = self.resolve(&import.path, 0) else { continue };
                let to = node(target, its_file);
                if target.first().is_some_and(|first| first == room) && to != from {
                    imports.entry(to).or_insert_with(|| format!("{}:{}", file.path, import.line));
                }
            }
        }
        edges
    }

    /// The file to which a path leads, through the re-exports on the way.
    fn resolve(&self, path: &[String], hops: usize) -> Option<(&Module, &File)> {
        const LONGEST: usize = 8; // two files could re-export from each other
        let (module, file) = (0..=path.len()).rev().find_map(|to| self.files.get_key_value(&path[..to]))?;
        let Some((name, rest)) = path[module.len()..].split_first() else { return Some((module, file)) };
        let named = |import: &&Import| import.name.as_ref() == Some(name) && import.path != path[..=module.len()];
        match file.imports.iter().find(named) {
            Some(import) if import.is_foreign => None,
            Some(import) if hops < LONGEST => self.resolve(&[import.path.as_slice(), rest].concat(), hops + 1),
            _ => Some((module, file)),
        }
    }

    /// The imports between the wings of the room. `mod.rs` of the room itself counts as `mod`.
    pub fn wing_edges(&self, room: &str) -> Edges {
        self.edges(room, |module, _| module.get(1).map_or("mod", String::as_str).to_owned())
    }

    /// What the room breaks: circles among its files that `allowed` does not name, imports that climb between wings.
    pub fn breaches_of_room(&self, room: &str, wings: Option<Levels>, allowed: &[Circle]) -> Vec<Breach> {
        let mut breaches = self.breaches_of_files(room, allowed);
        match wings {
            Some(levels) => breaches.extend(self.breaches_of_wings(room, levels)),
            None if self.has_folders(room) => {
                let hint = hint(&self.wing_edges(room));
                let rule = format!("`{room}` has folders, but no order of wings in `tests/tidy/house.rs`{hint}");
                breaches.push(charter(room, rule));
            }
            None => {}
        }
        breaches
    }

    fn breaches_of_files(&self, room: &str, allowed: &[Circle]) -> Vec<Breach> {
        let name = |path: &str| path.trim_start_matches(&format!("{}/", house::home(room))).to_owned();
        let edges = self.edges(room, |_, file| name(&file.path));
        let circles = circles(&edges);
        let mut breaches = Vec::new();
        let allowed: Vec<BTreeSet<&str>> = allowed
            .iter()
            .filter(|(of, _, _)| *of == room)
            .map(|(_, files, _)| files.iter().copied().collect())
            .collect();
        for files in allowed.iter().filter(|files| !circles.iter().any(|(all, _)| all == *files)) {
            let rule = format!("the list of circles names {files:?}, which is none, or not all of one");
            breaches.push(charter(room, rule));
        }
        for (_, circle) in circles.iter().filter(|(all, _)| !allowed.contains(all)) {
            let mut steps = circle[0].clone();
            for (from, to) in circle.iter().zip(circle.iter().cycle().skip(1)) {
                write!(steps, " (line {}) → {to}", place(&edges[from][to]).1).expect("a string takes all");
            }
            let next = circle.get(1).unwrap_or(&circle[0]);
            let (file, line) = place(&edges[&circle[0]][next]);
            breaches.push(Breach {
                file,
                line,
                rule: format!("files of {room} import each other in a circle: {steps}"),
            });
        }
        breaches
    }

    fn breaches_of_wings(&self, room: &str, table: Levels) -> Vec<Breach> {
        let edges = self.wing_edges(room);
        let mut breaches = Vec::new();
        let there = self.wings(room);
        for wing in &there {
            if !table.iter().any(|level| level.contains(wing)) {
                let rule = format!("`{room}/{wing}` is not in the room's order of wings{}", hint(&edges));
                breaches.push(charter(room, rule));
            }
        }
        for wing in table.iter().copied().flatten().filter(|wing| !there.contains(*wing)) {
            breaches.push(charter(room, format!("the order of wings names `{room}/{wing}`, which is not there")));
        }
        let level = |wing: &str| match wing {
            "mod" => Some(0), // the room's charter and re-exports: above its wings
            _ => table.iter().position(|level| level.contains(&wing)).map(|at| at + 1),
        };
        for (from, imports) in &edges {
            for (to, at) in imports {
                let (Some(above), Some(below)) = (level(from), level(to)) else { continue };
                if below > above {
                    continue;
                }
                let direction = if below == above { "sideways" } else { "up" };
                let (file, line) = place(at);
                breaches.push(Breach {
                    file,
                    line,
                    rule: format!(
                        "{room}/{from} imports {room}/{to}, {direction}: a wing imports only from wings below it"
                    ),
                });
            }
        }
        breaches
    }
}

fn charter(room: &str, rule: String) -> Breach {
    Breach { file: format!("{}/mod.rs", house::home(room)), line: 1, rule }
}

/// The levels that the imports themselves would allow, for whoever writes the table.
fn hint(edges: &Edges) -> String {
    let mut levels: Vec<Vec<&str>> = Vec::new();
    let mut open: Vec<&str> = edges.keys().map(String::as_str).filter(|wing| *wing != "mod").collect();
    while !open.is_empty() {
        let imported = |wing: &&str| open.iter().any(|other| other != wing && edges[*other].contains_key(*wing));
        let top: Vec<&str> = open.iter().filter(|wing| !imported(wing)).copied().collect();
        if top.is_empty() {
            return format!(", and its imports have no order: {} import each other", open.join(", "));
        }
        open.retain(|wing| !top.contains(wing));
        levels.push(top);
    }
    format!("; its imports allow {levels:?}")
}

/// The sets of nodes that reach each other, each with a shortest circle through its first node.
fn circles(edges: &Edges) -> Vec<(BTreeSet<&str>, Vec<String>)> {
    let mut found: Vec<(BTreeSet<&str>, Vec<String>)> = Vec::new();
    for start in edges.keys().map(String::as_str) {
        if found.iter().any(|(all, _)| all.contains(start)) {
            continue;
        }
        let Some(circle) = shortest_circle(edges, start) else { continue };
        let ahead = reachable(edges, start).into_iter();
        found.push((ahead.filter(|node| reachable(edges, node).contains(start)).collect(), circle));
    }
    found
}

fn shortest_circle(edges: &Edges, start: &str) -> Option<Vec<String>> {
    let mut open = VecDeque::from([vec![start.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(path) = open.pop_front() {
        let last = path.last().expect("a path has its start");
        for next in edges.get(last).into_iter().flat_map(BTreeMap::keys) {
            if next == start {
                return Some(path);
            }
            if seen.insert(next) {
                open.push_back([path.as_slice(), std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}

/// The nodes that imports lead to from `start`; `start` itself only by a circle.
pub fn reachable<'a>(edges: &'a Edges, start: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![start];
    while let Some(node) = open.pop() {
        for next in edges.get(node).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    found
}

/// `file:line` in its two parts.
fn place(at: &str) -> (String, usize) {
    let (file, line) = at.rsplit_once(':').expect("written as `file:line`");
    (file.to_owned(), line.parse().expect("written as `file:line`"))
}
