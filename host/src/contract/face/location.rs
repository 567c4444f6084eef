//! The `Location` of an answer: a path with names in braces, filled from the answer or from what the function was called with.

use std::fmt::Write;

/// A path with `{names}` of fields of the answer's record and of parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Goes out as it is written.
    Literal(String),
    /// A field of the answer's record, by its name in the contract.
    Field(String),
    /// A parameter of the function, by its name in the contract.
    Parameter(String),
}

/// What a name in braces was found to be.
pub(super) enum Named {
    Field(String),
    Parameter(String),
}

impl Location {
    /// Takes a template apart and looks up each of its names. `find` says why a name will not do.
    pub(super) fn parse(template: &str, mut find: impl FnMut(&str) -> Result<Named, String>) -> Result<Self, String> {
        // `//host` would be another host's address.
        if !template.starts_with('/') || template.starts_with("//") {
            return Err(format!("`{template}` is no path of this host"));
        }
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((literal, opened)) = rest.split_once('{') {
            let (name, after) =
                opened.split_once('}').ok_or_else(|| format!("`{template}` has a `{{` without `}}`"))?;
            parts.push(Part::Literal(visible(literal)?));
            parts.push(match find(name)? {
                Named::Field(name) => Part::Field(name),
                Named::Parameter(name) => Part::Parameter(name),
            });
            rest = after;
        }
        parts.push(Part::Literal(visible(rest)?));
        Ok(Self { parts })
    }

    /// The fields of the answer's record that it needs, by their names in the contract.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The parameters that it needs, by their names in the contract. None of them has the name of one of [`Location::fields`].
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Parameter(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Fills the names in. `value` gives the text of a field or a parameter by its name in the contract, as it is and not encoded.
    ///
    /// `None` where `value` has none, or one that would lead elsewhere: an empty segment and dot segments cannot be encoded.
    pub fn render(&self, mut value: impl FnMut(&str) -> Option<String>) -> Option<String> {
        let mut path = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => path.push_str(text),
                Part::Field(name) | Part::Parameter(name) => match value(name)?.as_str() {
                    "" | "." | ".." => return None,
                    text => encode(text, &mut path),
                },
            }
        }
        Some(path)
    }
}

fn visible(literal: &str) -> Result<String, String> {
    match literal.chars().find(|c| !c.is_ascii_graphic() || *c == '}') {
        Some(character) => Err(format!("{character:?} may not stand in a location outside of a name")),
        None => Ok(literal.to_owned()),
    }
}

/// Writes `text` as one segment: all but the unreserved characters of RFC 3986 §2.3 are encoded.
fn encode(text: &str, path: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(byte)),
            _ => write!(path, "%{byte:02X}").expect("a string takes all that is written"),
        }
    }
}
