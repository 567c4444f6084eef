//! A value that may have a second one about it: `"http://a"`, or `{ url = "http://a", weight = 2 }`.

use crate::config::kind::{KindError, ValueKind, refused};
use crate::config::section::ManifestKey;
use crate::config::suggest::did_you_mean;
use toml::Spanned;
use toml::de::DeValue;

/// A value, alone or in a table with `about`, which has its default where it is not written.
pub(super) struct Pair<K, A: 'static> {
    /// What the value is called in the table.
    pub(super) name: &'static str,
    pub(super) of: K,
    pub(super) about: &'static ManifestKey<A>,
}

impl<K: ValueKind, A: ValueKind> ValueKind for Pair<K, A> {
    /// The value with its own place, not that of the table.
    type Value = (Spanned<K::Value>, A::Value);

    fn accepts(&self) -> String {
        let (name, about) = (self.name, self.about.name);
        format!("{}, or {{ {name}, {about} }} with `{about}` {}", self.of.accepts(), self.about.kind.accepts())
    }

    fn help(&self) -> String {
        format!("write it in quotes, or as {{ {} = …, {} = … }}", self.name, self.about.name)
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<KindError>> {
        let Some(table) = value.get_ref().as_table() else {
            // What is no text is neither of the two.
            let right = value.get_ref().is_str();
            let read = if right { self.of.read(value)? } else { return Err(refused(self, value)) };
            return Ok((Spanned::new(value.span(), read), self.about.default()));
        };
        let (mut problems, mut main, mut about) = (Vec::new(), None, None);
        for (key, value) in table {
            match key.get_ref().as_ref() {
                name if name == self.name => match self.of.read(value) {
                    Ok(read) => main = Some(Spanned::new(value.span(), read)),
                    Err(found) => problems.extend(found),
                },
                name if name == self.about.name => match self.about.kind.read(value) {
                    Ok(read) => about = Some(read),
                    Err(found) => problems.extend(found.into_iter().map(|problem| problem.of(name))),
                },
                name => {
                    let help = did_you_mean(name, [self.name, self.about.name], "the keys known here");
                    problems.push(KindError { span: key.span(), says: format!("has an unknown key `{name}`"), help });
                }
            }
        }
        if !table.contains_key(self.name) {
            let says = format!("has a table without `{}`", self.name);
            problems.push(KindError { span: value.span(), says, help: self.help() });
        }
        match main {
            Some(main) if problems.is_empty() => Ok((main, about.unwrap_or_else(|| self.about.default()))),
            _ => Err(problems),
        }
    }
}
