//! A value that may come with a second value: `"http://a"`, or `{ url = "http://a", weight = 2 }`.

use super::key::ManifestKey;
use super::kind::{KindError, ValueKind, refused};
use super::suggest::did_you_mean;
use toml::Spanned;
use toml::de::DeValue;

/// A value, alone or in a table together with the key `extra`. If `extra` is not written, it has its default.
pub(crate) struct PairKind<K, A: 'static> {
    /// The value's key in the table.
    pub(crate) name: &'static str,
    pub(crate) of: K,
    pub(crate) extra: &'static ManifestKey<A>,
}

impl<K: ValueKind, A: ValueKind> ValueKind for PairKind<K, A> {
    /// The value with its own span, not the table's; and the second value.
    type Value = (Spanned<K::Value>, A::Value);

    fn accepts(&self) -> String {
        let (name, extra) = (self.name, self.extra.name);
        format!("{}, or {{ {name}, {extra} }} with `{extra}` {}", self.of.accepts(), self.extra.kind.accepts())
    }

    fn help(&self) -> String {
        format!("write it in quotes, or as {{ {} = …, {} = … }}", self.name, self.extra.name)
    }

    #[cfg(test)]
    fn schema(&self) -> serde_json::Value {
        let properties = serde_json::json!({ self.name: self.of.schema(), self.extra.name: self.extra.kind.schema() });
        let table = serde_json::json!({
            "type": "object", "properties": properties, "required": [self.name], "additionalProperties": false
        });
        serde_json::json!({ "anyOf": [self.of.schema(), table] })
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<KindError>> {
        let Some(table) = value.get_ref().as_table() else {
            // Without a table the value must be a text: the error for a number or a list then names both forms.
            if !value.get_ref().is_str() {
                return Err(refused(self, value));
            }
            let read = self.of.read(value)?;
            return Ok((Spanned::new(value.span(), read), self.extra.default()));
        };
        let (mut errors, mut main, mut extra) = (Vec::new(), None, None);
        for (key, value) in table {
            match key.get_ref().as_ref() {
                name if name == self.name => match self.of.read(value) {
                    Ok(read) => main = Some(Spanned::new(value.span(), read)),
                    Err(found) => errors.extend(found),
                },
                name if name == self.extra.name => match self.extra.kind.read(value) {
                    Ok(read) => extra = Some(read),
                    Err(found) => errors.extend(found.into_iter().map(|error| error.of(name))),
                },
                name => {
                    let help = did_you_mean(name, [self.name, self.extra.name], "the keys known here");
                    errors.push(KindError { span: key.span(), message: format!("has an unknown key `{name}`"), help });
                }
            }
        }
        if !table.contains_key(self.name) {
            let message = format!("has a table without `{}`", self.name);
            errors.push(KindError { span: value.span(), message, help: self.help() });
        }
        match main {
            Some(main) if errors.is_empty() => Ok((main, extra.unwrap_or_else(|| self.extra.default()))),
            _ => Err(errors),
        }
    }
}
