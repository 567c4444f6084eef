//! The names of policies, in `default_auth` and in `auth` of a route.

use super::reader::kind::{KindError, ListKind, TextKind, ValueKind, refused};
use toml::Spanned;
use toml::de::DeValue;

/// The name that no policy can have: `auth = "none"`.
pub(super) const NONE: &str = "none";
/// The names of policies.
const POLICIES: ListKind<TextKind> = ListKind { of: TextKind { min: 1 }, max: 16 };

/// `"none"`, or the names of policies.
pub(super) struct AuthNamesKind;

impl ValueKind for AuthNamesKind {
    /// Empty: none.
    type Value = Vec<Spanned<String>>;

    fn accepts(&self) -> String {
        "\"none\", or a policy, or a list of at most 16".into()
    }

    fn help(&self) -> String {
        "write the NAME of an [auth.NAME] in quotes, or several in square brackets; \"none\" lets everybody in".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<KindError>> {
        match value.get_ref() {
            DeValue::String(name) if name == NONE => Ok(Vec::new()),
            DeValue::String(name) if !name.is_empty() => Ok(vec![Spanned::new(value.span(), name.to_string())]),
            DeValue::Array(items) if !items.is_empty() => POLICIES.read(value),
            _ => Err(refused(self, value)),
        }
    }
}
