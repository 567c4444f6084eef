//! The name of something that a caller may do.

use super::kind::{KindError, ValueKind, refused};
use toml::Spanned;
use toml::de::DeValue;

/// A scope, as OAuth 2 has it (RFC 6749, section 3.3): visible ASCII without `"` and `\`.
pub(crate) struct ScopeKind;

impl ValueKind for ScopeKind {
    type Value = String;

    fn accepts(&self) -> String {
        "a scope of 1 to 128 visible characters without quotes".into()
    }

    fn help(&self) -> String {
        "write it as tokens have it: \"orders:read\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<String, Vec<KindError>> {
        let legal = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        let text = value.get_ref().as_str().filter(|text| (1..=128).contains(&text.len()) && text.bytes().all(legal));
        text.map(Into::into).ok_or_else(|| refused(self, value))
    }
}
