//! One word, one meaning: a type's name is defined in one room, and the glossary has the noun that it is named for.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::Definition;
use super::{Breach, house};

/// Where the terms stand: the platform's own words, and the nouns of the code.
pub const GLOSSARY: [&str; 2] = ["docs/ARCHITECTURE.md", "docs/glossary.md"];

/// Names that two rooms define, except those in `shared`; and entries of `shared` that no two rooms define.
pub fn breaches_of_meanings(definitions: &[Definition], shared: &[(&str, &str)]) -> Vec<Breach> {
    let mut first: BTreeMap<&str, &Definition> = BTreeMap::new();
    let mut used: BTreeSet<&str> = BTreeSet::new();
    let mut breaches = Vec::new();
    for definition in definitions {
        let name = definition.name.as_str();
        let other = *first.entry(name).or_insert(definition);
        if other.room == definition.room {
            continue;
        }
        if shared.iter().any(|(allowed, _)| *allowed == name) {
            used.insert(name);
            continue;
        }
        let rule = format!(
            "`{name}` is also a type of `{}` ({}:{}): one word has one meaning",
            other.room, other.file, other.line
        );
        breaches.push(Breach { file: definition.file.clone(), line: definition.line, rule });
    }
    for (name, _) in shared.iter().filter(|(name, _)| !used.contains(name)) {
        let rule = format!("`{name}` is no name of types in two rooms any more: take it from the list of shared names");
        breaches.push(Breach { file: "tests/tidy/house.rs".to_owned(), line: 1, rule });
    }
    breaches
}

/// The glossary: each term with its row.
pub struct Glossary {
    terms: BTreeMap<String, Term>,
    breaches: Vec<Breach>,
}

struct Term {
    file: String,
    line: usize,
    /// The rooms whose types are named for it; empty for a term of all rooms, or of a table without rooms.
    rooms: Vec<String>,
}

impl Glossary {
    /// Reads the tables whose first column is called `term` or `word`: `| term, other term | meaning | room, room |`.
    pub fn new(documents: &[(&str, &str)]) -> Self {
        let mut glossary = Self { terms: BTreeMap::new(), breaches: Vec::new() };
        for (file, text) in documents {
            glossary.read(file, text);
        }
        glossary
    }

    fn read(&mut self, file: &str, text: &str) {
        let mut in_table = false;
        let mut last = String::new();
        for (index, line) in text.lines().enumerate() {
            let Some(row) = line.trim().strip_prefix('|').and_then(|row| row.strip_suffix('|')) else {
                in_table = false;
                last.clear();
                continue;
            };
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            if matches!(cells[0], "term" | "word") {
                in_table = true;
                continue;
            }
            if !in_table || cells[0].starts_with('-') {
                continue;
            }
            let mut breach = |rule: String| self.breaches.push(Breach { file: file.to_owned(), line: index + 1, rule });
            let rooms: Vec<String> = match cells.get(2).copied() {
                None | Some("" | "any") => Vec::new(),
                Some(rooms) => rooms.split(',').map(|room| room.trim().trim_matches('`').to_owned()).collect(),
            };
            for room in rooms.iter().filter(|room| house::floor(room).is_none()) {
                breach(format!("`{room}` is not a room"));
            }
            if cells.get(1).is_none_or(|meaning| meaning.is_empty()) {
                breach(format!("`{}` has no meaning", cells[0]));
            }
            let row = cells[0].to_lowercase();
            if cells.len() > 2 && row < last {
                breach(format!("`{row}` stands behind `{last}`: the glossary is in alphabetical order"));
            }
            last.clone_from(&row);
            for term in row.split(',').map(|term| term.trim().to_owned()) {
                let entry = Term { file: file.to_owned(), line: index + 1, rooms: rooms.clone() };
                if let Some(other) = self.terms.get(&term) {
                    breach(format!("`{term}` has a meaning already, at {}:{}", other.file, other.line));
                } else {
                    self.terms.insert(term, entry);
                }
            }
        }
    }

    /// A type whose noun is no term; a term that no type of its rooms is named for; a table that is no glossary.
    pub fn breaches(&self, definitions: &[Definition]) -> Vec<Breach> {
        let mut breaches = self.breaches.clone();
        let mut used: BTreeSet<(&str, &str)> = BTreeSet::new();
        for definition in definitions {
            let names = nouns(&definition.name);
            let terms: Vec<&str> =
                names.iter().filter_map(|noun| Some(self.terms.get_key_value(noun)?.0.as_str())).collect();
            if terms.is_empty() {
                let rule = format!(
                    "`{}`: docs/glossary.md has neither this name nor a noun that it ends in or begins with",
                    definition.name
                );
                breaches.push(Breach { file: definition.file.clone(), line: definition.line, rule });
            }
            used.extend(terms.into_iter().map(|term| (term, definition.room.as_str())));
        }
        for (name, term) in &self.terms {
            for room in term.rooms.iter().filter(|room| !used.contains(&(name, room))) {
                let rule = format!("no type of `{room}` is named for `{name}`: take the term or the room away");
                breaches.push(Breach { file: term.file.clone(), line: term.line, rule });
            }
        }
        breaches
    }
}

/// What a type may be named for, in small letters: the words that its name begins with, or ends in, in singular too.
/// `HttpBindings` gives `http`, `http bindings`, `http binding`, `bindings`, `binding`.
fn nouns(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut was_capital = true;
    for letter in name.chars() {
        if words.is_empty() || (letter.is_uppercase() && !was_capital) {
            words.push(String::new());
        }
        was_capital = letter.is_uppercase();
        words.last_mut().expect("the first letter begins a word").extend(letter.to_lowercase());
    }
    let prefixes = (1..=words.len()).map(|to| &words[..to]);
    let suffixes = (1..words.len()).map(|from| &words[from..]);
    let phrases: Vec<String> = prefixes.chain(suffixes).map(|words| words.join(" ")).collect();
    let singular = |phrase: &String| match phrase.strip_suffix("ies") {
        Some(stem) => Some(format!("{stem}y")),
        None => phrase
            .strip_suffix('s')
            .map(|stem| stem.strip_suffix("sse").map_or(stem.to_owned(), |stem| format!("{stem}ss"))),
    };
    let singulars: Vec<String> = phrases.iter().filter_map(singular).collect();
    phrases.into_iter().chain(singulars).collect()
}

#[test]
fn a_name_is_taken_apart_into_the_nouns_that_it_may_be_named_for() {
    assert_eq!(nouns("Entries"), ["entries", "entry"]);
    assert_eq!(nouns("Addresses"), ["addresses", "address"]);
    assert_eq!(nouns("HttpBindings"), ["http", "http bindings", "bindings", "http binding", "binding"]);
    assert_eq!(nouns("TlsError"), ["tls", "tls error", "error", "tl"]);
}
