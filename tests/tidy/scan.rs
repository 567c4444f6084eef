//! Reads one Rust file as tokens: what it imports by `crate`, `self` and `super`, and where tokens stand in a row.
//!
//! Tokens and not a syntax tree, because they see into macros, where a syntax tree sees nothing. Comments and strings are no
//! tokens, so neither can raise a false alarm.

use proc_macro2::{Delimiter, Spacing, Span, TokenStream, TokenTree};

/// One token: its text and its line (from 1).
struct Token {
    text: String,
    line: usize,
    in_tests: bool,
}

/// A path that begins at the crate's root or climbs there.
#[derive(Debug, PartialEq, Eq)]
pub struct Import {
    /// The line of that name, from 1.
    pub line: usize,
    /// The first name below the crate's root; `*` for everything; `crate` if the root itself is named.
    pub target: String,
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

    /// Every import of a file whose module is `module` (`["breaker", "circuit"]`), however it is spelled.
    pub fn imports(&self, module: &[String]) -> Vec<Import> {
        let mut module = module.to_vec();
        let mut inline_modules = Vec::new(); // the depths of braces at which modules inside of the file began
        let mut depth = 0;
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(token) = self.tokens.get(at) {
            let begins_path = at == 0 || self.text(at - 1) != "::";
            match token.text.as_str() {
                "mod" if self.text(at + 2) == "{" => {
                    module.push(self.text(at + 1).to_owned());
                    inline_modules.push(depth);
                    at += 1; // and its name; the brace is counted in its turn
                }
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    if inline_modules.pop_if(|began| *began == depth).is_some() {
                        module.pop();
                    }
                }
                "crate" if self.text(at + 1) == "as" => {
                    found.push(Import { line: token.line, target: "crate".to_owned() });
                }
                "crate" | "super" | "self" if begins_path && self.text(at + 1) == "::" => {
                    at = self.path(at, &module, &mut found);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        found
    }

    /// Follows the path or the use tree that begins at `at`, seen from `module`; returns where it is done.
    fn path(&self, mut at: usize, module: &[String], found: &mut Vec<Import>) -> usize {
        let mut base = module.to_vec();
        loop {
            match self.text(at) {
                "crate" => base.clear(),
                "super" => {
                    base.pop();
                }
                "self" if self.text(at + 1) == "::" => {}
                "::" => {}
                "{" => return self.branches(at + 1, &base, found),
                name => {
                    // `self` in the braces of a use tree names the braces' own prefix: here the root or a room.
                    let name = if name == "self" { "crate" } else { name };
                    let target = base.first().map_or(name, String::as_str).to_owned();
                    found.push(Import { line: self.tokens.get(at).map_or(0, |token| token.line), target });
                    return at + 1;
                }
            }
            at += 1;
        }
    }

    /// Follows each branch between the braces of a use tree; `at` is behind the opening one.
    fn branches(&self, mut at: usize, base: &[String], found: &mut Vec<Import>) -> usize {
        while !matches!(self.text(at), "}" | "") {
            at = self.path(at, base, found);
            // What is left of the branch lies inside the room that was found: skip to the comma.
            let mut depth = 0;
            loop {
                match self.text(at) {
                    "{" => depth += 1,
                    "}" if depth > 0 => depth -= 1,
                    "}" | "" => break,
                    "," if depth == 0 => {
                        at += 1;
                        break;
                    }
                    _ => {}
                }
                at += 1;
            }
        }
        at + 1
    }

    /// The token at `at`, or the empty text behind the end.
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
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

/// Marks each item under `#[cfg(test)]`: from the attribute to the item's closing brace or semicolon.
fn mark_tests(tokens: &mut [Token]) {
    const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut at = 0;
    while at + CFG_TEST.len() <= tokens.len() {
        if !tokens[at..].iter().zip(CFG_TEST).all(|(token, wanted)| token.text == wanted) {
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
