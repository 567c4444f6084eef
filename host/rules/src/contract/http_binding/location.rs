//! The `Location` of an answer: a path with names in braces, which are filled from the answer or from the arguments of
//! the call.

use std::fmt::Write;

/// A path with `{names}` in it: of fields of the answer's record, and of parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Text that is sent as it is written.
    Literal(String),
    /// A field of the answer's record, by its name in the contract.
    Field(String),
    /// A parameter of the function, by its name in the contract.
    Parameter(String),
}

/// What a name in braces stands for.
pub(super) enum LocationName {
    Field(String),
    Parameter(String),
}

impl Location {
    /// Parses a template. `find` looks up a name, or says why the name cannot be used.
    ///
    /// # Errors
    /// The reason, as a sentence.
    pub(super) fn parse(
        template: &str,
        mut find: impl FnMut(&str) -> Result<LocationName, String>,
    ) -> Result<Self, String> {
        // `//host` would be a reference to another host.
        if !template.starts_with('/') || template.starts_with("//") {
            return Err(format!("`{template}` is not a path of this host"));
        }
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((literal, opened)) = rest.split_once('{') {
            let (name, after) =
                opened.split_once('}').ok_or_else(|| format!("`{template}` has a `{{` without `}}`"))?;
            parts.push(Part::Literal(visible(literal)?));
            parts.push(match find(name)? {
                LocationName::Field(name) => Part::Field(name),
                LocationName::Parameter(name) => Part::Parameter(name),
            });
            rest = after;
        }
        parts.push(Part::Literal(visible(rest)?));
        Ok(Self { parts })
    }

    /// The fields of the answer's record that the location needs, by their names in the contract.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The parameters that the location needs, by their names in the contract. No parameter has the name of one of
    /// [`Location::fields`].
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Parameter(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The path with all names filled in. `value` gives the text of a field or a parameter by its name in the contract,
    /// not encoded.
    ///
    /// `None` if a text is missing, or would lead to another path: an empty segment and dot segments cannot be encoded.
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
        Some(character) => Err(format!("{character:?} may not stand in a location, except within braces")),
        None => Ok(literal.to_owned()),
    }
}

/// Appends `text` to `path` as one segment. All but the unreserved characters (RFC 3986 §2.3) are encoded.
fn encode(text: &str, path: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(byte)),
            _ => write!(path, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
    }
}
