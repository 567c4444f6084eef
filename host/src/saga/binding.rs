//! Where an argument of a step comes from.

use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// An argument, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// A part of the input or of an earlier result.
    Path(BindingPath),
    /// JSON as it is.
    Literal(String),
    /// A record, each field bound by itself; in the order of the manifest.
    Record(Vec<(String, Self)>),
    /// A list, each item bound by itself.
    List(Vec<Self>),
}

/// A part of what a saga knows: `$input.lines`, `$reserve.total.amount`, `$saga.key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingPath {
    /// What it begins with.
    pub root: BindingRoot,
    /// The fields of records, by their names in the contract, from outside to inside.
    pub fields: Vec<String>,
}

/// What a path begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindingRoot {
    /// The input of the saga.
    Input,
    /// The key of the saga: the same text in each of its calls, and in no call of another saga.
    Key,
    /// The result of an earlier step.
    Step(Arc<str>),
}

/// A text that looks like a path and is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidBinding(String);

/// What a saga knows when a call is made, as JSON with the names of the contract.
pub trait BindingScope {
    /// The JSON of a root; `None`: it is not known, as the result of a step in doubt.
    fn json(&self, root: &BindingRoot) -> Option<&str>;
}

impl BindingPath {
    /// Reads `$input.lines`.
    ///
    /// # Errors
    /// The text is no path.
    pub fn parse(text: &str) -> Result<Self, InvalidBinding> {
        let invalid = |why: &str| InvalidBinding(format!("`{text}` is no path: {why}"));
        let path = text.strip_prefix('$').ok_or_else(|| invalid("a path begins with `$`"))?;
        let mut parts = path.split('.');
        let first = parts.next().unwrap_or_default();
        let fields: Vec<String> = parts.map(str::to_owned).collect();
        if first.is_empty() || fields.iter().any(String::is_empty) {
            return Err(invalid("write `$input`, `$saga.key` or `$STEP`, and fields after it, joined by `.`"));
        }
        let root = match first {
            "input" => BindingRoot::Input,
            "saga" if fields == ["key"] => return Ok(Self { root: BindingRoot::Key, fields: Vec::new() }),
            "saga" => return Err(invalid("of a saga there is `$saga.key`")),
            step => BindingRoot::Step(step.into()),
        };
        Ok(Self { root, fields })
    }

    /// The JSON at this path; `null` below something that is absent.
    fn json(&self, scope: &impl BindingScope) -> String {
        let Some(mut json) = scope.json(&self.root).map(str::to_owned) else { return "null".to_owned() };
        for field in &self.fields {
            // What is no object is an option without a value: the types were checked.
            let object: Option<BTreeMap<String, Box<RawValue>>> = serde_json::from_str(&json).ok();
            let found = object.and_then(|mut object| object.remove(field));
            json = found.map_or_else(|| "null".to_owned(), |found| found.get().to_owned());
        }
        json
    }
}

impl fmt::Display for BindingPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.root {
            BindingRoot::Input => f.write_str("$input")?,
            BindingRoot::Key => f.write_str("$saga.key")?,
            BindingRoot::Step(step) => write!(f, "${step}")?,
        }
        self.fields.iter().try_for_each(|field| write!(f, ".{field}"))
    }
}

impl Binding {
    /// The value as JSON.
    pub fn json(&self, scope: &impl BindingScope) -> String {
        match self {
            Self::Path(path) => path.json(scope),
            Self::Literal(json) => json.clone(),
            Self::Record(fields) => {
                let field = |(name, binding): &(String, Self)| format!("{}:{}", quoted(name), binding.json(scope));
                format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(","))
            }
            Self::List(items) => {
                format!("[{}]", items.iter().map(|item| item.json(scope)).collect::<Vec<_>>().join(","))
            }
        }
    }

    /// Whether a path of it begins with the result of `step`.
    pub fn names_step(&self, step: &str) -> bool {
        match self {
            Self::Path(path) => matches!(&path.root, BindingRoot::Step(name) if **name == *step),
            Self::Literal(_) => false,
            Self::Record(fields) => fields.iter().any(|(_, binding)| binding.names_step(step)),
            Self::List(items) => items.iter().any(|item| item.names_step(step)),
        }
    }
}

/// The text as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct KnownValues;

    impl BindingScope for KnownValues {
        fn json(&self, root: &BindingRoot) -> Option<&str> {
            match root {
                BindingRoot::Input => {
                    Some(r#"{"lines":[1, 2],"id":"18446744073709551615","amount":9007199254740993,"no":null}"#)
                }
                BindingRoot::Key => Some("\"checkout/1\""),
                BindingRoot::Step(_) => None,
            }
        }
    }

    #[test]
    fn a_path_is_read_and_written() {
        for text in ["$input", "$input.lines", "$saga.key", "$reserve", "$reserve.total.amount"] {
            assert_eq!(BindingPath::parse(text).map(|path| path.to_string()), Ok(text.to_owned()));
        }
        for wrong in ["", "input", "$", "$.a", "$input.", "$input..a", "$saga", "$saga.name", "$saga.key.x"] {
            assert!(BindingPath::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_are_taken_as_they_are_written() {
        let json = |text: &str| Binding::Path(BindingPath::parse(text).unwrap()).json(&KnownValues);
        let cases = [
            ("$input.lines", "[1, 2]"),
            ("$input.id", "\"18446744073709551615\""),
            ("$input.amount", "9007199254740993"),
            ("$input.no.deeper", "null"),
            ("$saga.key", "\"checkout/1\""),
            ("$unknown.x", "null"),
        ];
        for (path, expected) in cases {
            assert_eq!(json(path), expected, "{path}");
        }
        let path = |text: &str| Binding::Path(BindingPath::parse(text).unwrap());
        let fields = vec![("a".to_owned(), path("$input.amount")), ("b".to_owned(), Binding::Literal("true".into()))];
        let record = Binding::List(vec![Binding::Record(fields), path("$reserve")]);
        assert_eq!(record.json(&KnownValues), r#"[{"a":9007199254740993,"b":true},null]"#);
        assert!(record.names_step("reserve") && !record.names_step("input"));
    }
}
