//! Reads one Rust file as tokens: what it imports, which types it defines, and where tokens stand in a row.
//!
//! Tokens and not a syntax tree, because tokens show what is inside macros, which a syntax tree does not. Comments and
//! strings are no tokens, so neither can raise a false alarm.

use proc_macro2::{Delimiter, Spacing, Span, TokenStream, TokenTree};

/// One token: its text and its line (from 1).
struct Token {
    text: String,
    line: usize,
    in_tests: bool,
}

/// A path into the crate (`crate::…`, `super::…`, `self::…`, or a child module's name), or one leaf of a `use`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The line of the path's last name, from 1.
    pub line: usize,
    /// The names below the crate's root; empty for the root itself. The last one is `*` if everything is imported.
    pub path: Vec<String>,
    /// `use` at the top of the file: the name by which others find it here.
    pub name: Option<String>,
    /// Under `pub use`, without a restriction.
    pub is_public: bool,
    /// Under `#[cfg(test)]`.
    pub in_tests: bool,
    /// The path begins at another crate: it leads to no file of ours.
    pub is_foreign: bool,
}

impl Import {
    /// The first name below the crate's root; `*` for everything; `crate` if the root itself is named.
    pub fn target(&self) -> &str {
        self.path.first().map_or("crate", String::as_str)
    }
}

/// A type that a file defines as an item of a module: `struct`, `enum`, `union`, `trait` or `type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeItem {
    pub name: String,
    pub line: usize,
    pub in_tests: bool,
}

/// A file as a list of tokens.
pub struct Scan {
    tokens: Vec<Token>,
}

impl Scan {
    /// Reads `text`; the error is the lexer's, as a sentence.
    pub fn new(text: &str) -> Result<Self, String> {
        let stream: TokenStream = text.parse().map_err(|error| format!("is not Rust: {error}"))?;
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        mark_tests(&mut tokens);
        Ok(Self { tokens })
    }

    /// The lines on which `pattern` begins. A pattern's token that ends in `*` stands for every name that begins so.
    pub fn find(&self, pattern: &[&str], tests_too: bool) -> Vec<usize> {
        let matches = |token: &Token, wanted: &str| match wanted.strip_suffix('*') {
            Some(prefix) => token.text.starts_with(prefix),
            None => token.text == wanted,
        };
        let rows = self.tokens.windows(pattern.len());
        rows.filter(|row| row.iter().zip(pattern).all(|(token, wanted)| matches(token, wanted)))
            .filter(|row| tests_too || !row[0].in_tests)
            .map(|row| row[0].line)
            .collect()
    }

    /// Whether the file defines anything; a file of `mod` lines, imports and comments does not.
    pub fn defines_something(&self) -> bool {
        const ITEMS: [&str; 8] = ["fn", "struct", "enum", "union", "trait", "const", "static", "type"];
        self.tokens.iter().any(|token| ITEMS.contains(&token.text.as_str()))
    }

    /// The child modules that the file declares for its tests alone: `#[cfg(test)] mod NAME;`.
    pub fn test_modules(&self) -> Vec<&str> {
        let rows = self.tokens.windows(3);
        rows.filter(|row| row[0].text == "mod" && row[0].in_tests && row[2].text == ";")
            .map(|row| row[1].text.as_str())
            .collect()
    }

    /// The types that are items of the file or of a module in it. Types in functions and associated types are not.
    pub fn types(&self) -> Vec<TypeItem> {
        const KINDS: [&str; 5] = ["struct", "enum", "union", "trait", "type"];
        let mut found = Vec::new();
        let mut bodies = 0; // the braces around this token that are no module's
        let mut is_module = Vec::new(); // for each open brace
        for (at, token) in self.tokens.iter().enumerate() {
            match token.text.as_str() {
                "{" => {
                    let opens_module = at >= 2 && self.text(at - 2) == "mod";
                    is_module.push(opens_module);
                    bodies += usize::from(!opens_module);
                }
                "}" => bodies -= usize::from(!is_module.pop().unwrap_or(true)),
                kind if bodies == 0 && KINDS.contains(&kind) => {
                    let name = self.text(at + 1);
                    if name.starts_with(|c: char| c.is_ascii_uppercase()) {
                        found.push(TypeItem { name: name.to_owned(), line: token.line, in_tests: token.in_tests });
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Every import of a file whose module is `module` (`["breaker", "circuit"]`), however it is spelled.
    /// `is_module` says which paths are modules: it tells a child module's name from that of another crate.
    pub fn imports(&self, module: &[String], is_module: &dyn Fn(&[String]) -> bool) -> Vec<Import> {
        Reader { scan: self, is_module, module: module.to_vec(), inline: Vec::new(), depth: 0, found: Vec::new() }
            .read()
    }

    /// The token at `at`, or the empty text behind the end.
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    fn is_name(&self, at: usize) -> bool {
        self.text(at).starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    }
}

/// A walk over the tokens of one file that collects its imports.
struct Reader<'a> {
    scan: &'a Scan,
    is_module: &'a dyn Fn(&[String]) -> bool,
    /// The module at this token.
    module: Vec<String>,
    /// The depths of braces at which modules inside of the file began.
    inline: Vec<usize>,
    depth: usize,
    found: Vec<Import>,
}

/// Where a path begins that is being followed.
#[derive(Clone)]
struct Base {
    path: Vec<String>,
    /// No name of the path was read yet.
    is_start: bool,
    is_foreign: bool,
    is_public: bool,
}

impl Reader<'_> {
    fn read(mut self) -> Vec<Import> {
        let scan = self.scan;
        let mut at = 0;
        while let Some(token) = scan.tokens.get(at) {
            let before = if at == 0 { "" } else { scan.text(at - 1) };
            let is_visibility = before == "in" && at >= 2 && scan.text(at - 2) == "("; // `pub(in crate::mesh)`
            let begins_path = !matches!(before, "::" | "." | "fn" | "mod") && !is_visibility;
            match token.text.as_str() {
                "mod" if scan.text(at + 2) == "{" => {
                    self.module.push(scan.text(at + 1).to_owned());
                    self.inline.push(self.depth);
                    at += 1; // and its name; the brace is counted in its turn
                }
                "{" => self.depth += 1,
                "}" => {
                    self.depth -= 1;
                    if self.inline.pop_if(|began| *began == self.depth).is_some() {
                        self.module.pop();
                    }
                }
                "use" if scan.text(at + 1) != "<" => {
                    let base = Base { path: Vec::new(), is_start: true, is_foreign: false, is_public: before == "pub" };
                    at = self.tree(at + 1, base);
                    continue;
                }
                "crate" if scan.text(at + 1) == "as" => self.push(at, Vec::new(), None, false, false),
                "crate" | "super" | "self" if begins_path && scan.text(at + 1) == "::" => {
                    at = self.path(at);
                    continue;
                }
                name if begins_path && scan.text(at + 1) == "::" && scan.is_name(at) && self.is_child(name) => {
                    at = self.path(at);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        self.found
    }

    fn is_child(&self, name: &str) -> bool {
        let mut path = self.module.clone();
        path.push(name.to_owned());
        (self.is_module)(&path)
    }

    fn push(&mut self, at: usize, path: Vec<String>, name: Option<String>, is_public: bool, is_foreign: bool) {
        let Some(token) = self.scan.tokens.get(at) else { return };
        self.found.push(Import { line: token.line, path, name, is_public, in_tests: token.in_tests, is_foreign });
    }

    /// Follows a path in an expression or a type; returns where it is done.
    fn path(&mut self, mut at: usize) -> usize {
        let mut path = self.module.clone();
        loop {
            match self.scan.text(at) {
                "crate" => path.clear(),
                "super" => {
                    path.pop();
                }
                "self" => {}
                name => path.push(name.to_owned()),
            }
            if self.scan.text(at + 1) != "::" || !(self.scan.is_name(at + 2)) {
                self.push(at, path, None, false, false);
                return at + 1;
            }
            at += 2;
        }
    }

    /// Follows a use tree; returns where it is done: at its `;`, or behind its branch's comma, or at the closing brace.
    fn tree(&mut self, mut at: usize, mut base: Base) -> usize {
        if self.scan.text(at) == "::" && base.is_start {
            base.is_foreign = true; // `use ::name`
            at += 1;
        }
        loop {
            let next = self.scan.text(at + 1);
            match self.scan.text(at) {
                "{" => {
                    at += 1;
                    while !matches!(self.scan.text(at), "}" | "") {
                        at = self.tree(at, base.clone()).max(at + 1);
                    }
                    return self.end_of_branch(at + 1);
                }
                "crate" if base.is_start => base.path.clear(),
                "super" => {
                    if base.is_start {
                        base.path.clone_from(&self.module);
                    }
                    base.path.pop();
                }
                // `self` at the end names the braces' own prefix; at the start it names this module.
                "self" if base.is_start => base.path.clone_from(&self.module),
                "self" | "::" => {}
                "" | ";" | "}" | "," => return at,
                name => {
                    if base.is_start && !base.is_foreign {
                        base.is_foreign = !self.is_child(name);
                        if !base.is_foreign {
                            base.path.clone_from(&self.module);
                        }
                    }
                    base.path.push(name.to_owned());
                }
            }
            base.is_start = false;
            if next == "::" {
                at += 2;
                continue;
            }
            let alias = if next == "as" { Some(self.scan.text(at + 2).to_owned()) } else { base.path.last().cloned() };
            let at_the_top = self.depth == 0;
            self.push(at, base.path, alias.filter(|_| at_the_top), base.is_public, base.is_foreign);
            return self.end_of_branch(at + if next == "as" { 3 } else { 1 });
        }
    }

    /// Behind the comma that ends a branch of a use tree, or where the tree ends.
    fn end_of_branch(&self, at: usize) -> usize {
        if self.scan.text(at) == "," { at + 1 } else { at }
    }
}

/// Writes the tree's tokens in a row, with the delimiters of its groups, and `::` as one token.
fn flatten(stream: TokenStream, into: &mut Vec<Token>) {
    let token = |text: String, at: Span| Token { text, line: at.start().line, in_tests: false };
    let mut half_of_a_pair = false;
    for tree in stream {
        let was_half = std::mem::take(&mut half_of_a_pair);
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace | Delimiter::None => ("{", "}"),
                };
                into.push(token(open.to_owned(), group.span_open()));
                flatten(group.stream(), into);
                into.push(token(close.to_owned(), group.span_close()));
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && was_half => {
                into.last_mut().expect("the first half was pushed").text = "::".to_owned();
            }
            TokenTree::Punct(punct) => {
                half_of_a_pair = punct.as_char() == ':' && punct.spacing() == Spacing::Joint;
                into.push(token(punct.to_string(), punct.span()));
            }
            TokenTree::Literal(literal) => into.push(token("\"\"".to_owned(), literal.span())), // its text is no token
            TokenTree::Ident(ident) => into.push(token(ident.to_string(), ident.span())),
        }
    }
}

/// Marks each item under `#[cfg(test)]`, `#[cfg(all(test, …))]` or `#[cfg(any(test, feature = "testing"))]`, which is
/// for the tests of other crates: from the attribute to the item's closing brace or semicolon.
fn mark_tests(tokens: &mut [Token]) {
    const CFG_TEST: [&[&str]; 3] = [
        &["#", "[", "cfg", "(", "test", ")", "]"],
        &["#", "[", "cfg", "(", "all", "(", "test", ","],
        &["#", "[", "cfg", "(", "any", "(", "test", ",", "feature", "="],
    ];
    let mut at = 0;
    while at < tokens.len() {
        let begins_with = |row: &&[&str]| {
            tokens.len() - at >= row.len() && tokens[at..].iter().zip(*row).all(|(token, wanted)| token.text == *wanted)
        };
        if !CFG_TEST.iter().any(begins_with) {
            at += 1;
            continue;
        }
        let mut depth = 0;
        while let Some(token) = tokens.get_mut(at) {
            token.in_tests = true;
            at += 1;
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                ";" if depth == 0 => break,
                _ => continue,
            }
            if depth == 0 {
                break;
            }
        }
    }
}
