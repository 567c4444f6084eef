//! `openapi` of `[gateway]`: whether the API is described, and under which name.

use super::reader::kind::{KindError, TextKind, ValueKind, refused};
use super::reader::suggest::did_you_mean;
use crate::contract::Info;
use toml::Spanned;
use toml::de::DeValue;

/// `true`, `false`, or the API's title and version.
pub(super) struct OpenapiKind;

/// The members of the table.
const MEMBERS: [&str; 3] = ["title", "version", "description"];
/// The kind of each member.
const MEMBER: TextKind = TextKind { min: 1 };

impl ValueKind for OpenapiKind {
    /// What the document says of the API; `None`: there is no document.
    type Value = Option<Info>;

    fn accepts(&self) -> String {
        "true or false, or { title, version, description } with the last optional".into()
    }

    fn help(&self) -> String {
        r#"write true or false without quotes, or { title = "Shop", version = "1.0.0" }"#.into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<KindError>> {
        let Some(table) = value.get_ref().as_table() else {
            let Some(described) = value.get_ref().as_bool() else { return Err(refused(self, value)) };
            let version = env!("CARGO_PKG_VERSION").to_owned();
            return Ok(described.then(|| Info { title: "Atoll".to_owned(), version, description: None }));
        };
        let mut errors = Vec::new();
        let mut member = |name: &str| match MEMBER.read(table.get(name)?) {
            Ok(text) => Some(text),
            Err(found) => {
                errors.extend(found.into_iter().map(|error| error.of(name)));
                None
            }
        };
        let [title, version, description] = MEMBERS.map(&mut member);
        for (key, _) in table {
            let name: &str = key.get_ref();
            if !MEMBERS.contains(&name) {
                let help = did_you_mean(name, MEMBERS, "the keys known here");
                errors.push(KindError { span: key.span(), message: format!("has an unknown key `{name}`"), help });
            }
        }
        for name in ["title", "version"].into_iter().filter(|name| !table.contains_key(*name)) {
            let message = format!("has a table without `{name}`");
            errors.push(KindError { span: value.span(), message, help: self.help() });
        }
        match (title, version) {
            (Some(title), Some(version)) if errors.is_empty() => Ok(Some(Info { title, version, description })),
            _ => Err(errors),
        }
    }
}
