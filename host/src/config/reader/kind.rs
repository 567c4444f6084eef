//! The kinds of values that a key can have: which values each kind accepts, and the error for any other value.

use super::finding::Span;
use super::masked_text;
use super::suggest::did_you_mean;
use std::collections::BTreeMap;
use std::fmt::Display;
use toml::Spanned;
use toml::de::DeValue;

/// Why a value is refused.
#[derive(Debug)]
pub(crate) struct KindError {
    pub(crate) span: Span,
    /// It follows the key's name: "must be …".
    pub(crate) message: String,
    pub(crate) help: String,
}

/// A kind of value.
pub(crate) trait ValueKind: Sync {
    /// The type that the value is read into.
    type Value;

    /// What is accepted, with its bounds: "a whole number of 1 to 64".
    fn accepts(&self) -> String;

    /// How an accepted value is written.
    fn help(&self) -> String;

    /// The JSON schema of what is accepted, or of more: what only `read` can tell is left to it.
    #[cfg(test)]
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    /// The value, or everything that is wrong with it: a list can have several wrong items.
    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<KindError>>;
}

/// The error for a value that `kind` does not accept.
pub(crate) fn refused(kind: &impl ValueKind, value: &Spanned<DeValue<'_>>) -> Vec<KindError> {
    let message = format!("must be {}, not {}", kind.accepts(), quote(value.get_ref()));
    vec![KindError { span: value.span(), message, help: kind.help() }]
}

/// A value as an error quotes it.
fn quote(value: &DeValue<'_>) -> String {
    /// Longer strings are cut: the error marks the whole value in the text anyway.
    const LONGEST: usize = 60;
    match value {
        DeValue::String(text) => {
            let text = masked_text::mask(text, &[]);
            if text.chars().count() > LONGEST {
                return format!("{:?}", text.chars().take(LONGEST).chain(['…']).collect::<String>());
            }
            format!("{text:?}")
        }
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(items) if items.is_empty() => "an empty list".into(),
        DeValue::Array(items) => format!("a list of {}", items.len()),
        DeValue::Table(_) => "a table".into(),
    }
}

/// A whole number that is not negative and fits into 64 bits.
pub(crate) fn whole(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// `true` or `false`.
pub(crate) struct FlagKind;

impl ValueKind for FlagKind {
    type Value = bool;

    fn accepts(&self) -> String {
        "true or false".into()
    }

    fn help(&self) -> String {
        "write true or false, without quotes".into()
    }

    #[cfg(test)]
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "type": "boolean" })
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<bool, Vec<KindError>> {
        value.get_ref().as_bool().ok_or_else(|| refused(self, value))
    }
}

/// A whole number from `min` to `max`.
pub(crate) struct CountKind<T> {
    pub(crate) min: T,
    pub(crate) max: T,
}

impl<T: Copy + PartialOrd + Display + Sync + TryFrom<u64>> ValueKind for CountKind<T> {
    type Value = T;

    fn accepts(&self) -> String {
        format!("a whole number of {} to {}", self.min, self.max)
    }

    fn help(&self) -> String {
        format!("write a number of {} to {}, without quotes", self.min, self.max)
    }

    #[cfg(test)]
    fn schema(&self) -> serde_json::Value {
        let bound = |bound: T| bound.to_string().parse::<u64>().expect("it is a whole number");
        serde_json::json!({ "type": "integer", "minimum": bound(self.min), "maximum": bound(self.max) })
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<T, Vec<KindError>> {
        let number = whole(value.get_ref()).and_then(|number| T::try_from(number).ok());
        number.filter(|number| (self.min..=self.max).contains(number)).ok_or_else(|| refused(self, value))
    }
}

/// A text of `min` to 8,192 bytes.
pub(crate) struct TextKind {
    pub(crate) min: usize,
}

/// The longest text that a key accepts, in bytes.
const LONGEST_TEXT: usize = 8192;

impl ValueKind for TextKind {
    type Value = String;

    fn accepts(&self) -> String {
        format!("a text of {} to {LONGEST_TEXT} bytes", self.min)
    }

    fn help(&self) -> String {
        "put the value in quotes".into()
    }

    #[cfg(test)]
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<String, Vec<KindError>> {
        let text = value.get_ref().as_str().filter(|text| (self.min..=LONGEST_TEXT).contains(&text.len()));
        text.map(Into::into).ok_or_else(|| refused(self, value))
    }
}

/// One of several words.
pub(crate) struct ChoiceKind<T: 'static>(pub(crate) &'static [(&'static str, T)]);

impl<T: Copy + Sync> ValueKind for ChoiceKind<T> {
    type Value = T;

    fn accepts(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        words.join(" or ")
    }

    fn help(&self) -> String {
        format!("write {}", self.accepts())
    }

    #[cfg(test)]
    fn schema(&self) -> serde_json::Value {
        let words: Vec<&str> = self.0.iter().map(|(word, _)| *word).collect();
        serde_json::json!({ "enum": words })
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<T, Vec<KindError>> {
        let word = value.get_ref().as_str();
        let found = word.and_then(|word| self.0.iter().find(|(known, _)| *known == word));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let mut errors = refused(self, value);
            if let (Some(word), Some(error)) = (word, errors.first_mut()) {
                error.help = did_you_mean(word, self.0.iter().map(|(known, _)| *known), "the words known here");
            }
            errors
        })
    }
}

/// A list of at most `max` values of one kind.
pub(crate) struct ListKind<K> {
    pub(crate) of: K,
    pub(crate) max: usize,
}

impl<K: ValueKind> ValueKind for ListKind<K> {
    type Value = Vec<Spanned<K::Value>>;

    fn accepts(&self) -> String {
        format!("a list of at most {}, each {}", self.max, self.of.accepts())
    }

    fn help(&self) -> String {
        format!("write at most {} in square brackets, separated by commas", self.max)
    }

    #[cfg(test)]
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "type": "array", "maxItems": self.max, "items": self.of.schema() })
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<KindError>> {
        let items = value.get_ref().as_array().filter(|items| items.len() <= self.max);
        let items = items.ok_or_else(|| refused(self, value))?;
        gather(items.iter().map(|item| Ok(Spanned::new(item.span(), self.of.read(item)?))))
    }
}

/// A table of values of one kind, under names that the manifest chooses.
pub(crate) struct TableKind<K>(pub(crate) K);

/// The largest number of entries in a [`TableKind`].
const MOST_ENTRIES: usize = 256;

impl<K: ValueKind> ValueKind for TableKind<K> {
    type Value = BTreeMap<String, K::Value>;

    fn accepts(&self) -> String {
        format!("a table of at most {MOST_ENTRIES}, each {}", self.0.accepts())
    }

    fn help(&self) -> String {
        "write it in braces: { name = value }".into()
    }

    #[cfg(test)]
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "type": "object", "additionalProperties": self.0.schema() })
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<KindError>> {
        let table = value.get_ref().as_table().filter(|table| table.len() <= MOST_ENTRIES);
        let table = table.ok_or_else(|| refused(self, value))?;
        gather(table.iter().map(|(name, value)| {
            let name = name.get_ref().to_string();
            match self.0.read(value) {
                Ok(value) => Ok((name, value)),
                Err(errors) => Err(errors.into_iter().map(|error| error.of(&name)).collect()),
            }
        }))
    }
}

impl KindError {
    /// The same error, said of the entry `name`.
    pub(crate) fn of(self, name: &str) -> Self {
        Self { message: format!("has an entry `{name}`, which {}", self.message), ..self }
    }
}

/// All values, or all errors.
fn gather<T, C: FromIterator<T>>(
    results: impl Iterator<Item = Result<T, Vec<KindError>>>,
) -> Result<C, Vec<KindError>> {
    let mut errors = Vec::new();
    let values = results.filter_map(|result| result.map_err(|mut found| errors.append(&mut found)).ok()).collect();
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}
