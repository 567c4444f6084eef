//! A key of the manifest: its name, its kind with bounds and unit, its default, and what it means. Each key is declared
//! once.

use super::finding::{Span, ValueOrigin};
use super::kind::ValueKind;
use toml::de::DeValue;

/// A key of the manifest.
pub(crate) struct ManifestKey<K> {
    pub(crate) name: &'static str,
    pub(crate) kind: K,
    /// The default, as TOML text. The key's kind reads it like a value in the manifest, so a default follows the same
    /// rules. `None`: the key is required, or its absence has a meaning of its own.
    pub(super) default: Option<&'static str>,
    /// What the key means, in Markdown. A test holds `docs/manifest.md` against it.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test compares docs/manifest.md with it"))]
    pub(super) help: &'static str,
}

impl<K> ManifestKey<K> {
    /// A key with a default, which is TOML.
    pub(crate) const fn new(name: &'static str, kind: K, default: &'static str, help: &'static str) -> Self {
        Self { name, kind, default: Some(default), help }
    }

    /// A key without a default.
    pub(crate) const fn without_default(name: &'static str, kind: K, help: &'static str) -> Self {
        Self { name, kind, default: None, help }
    }
}

impl<K: ValueKind> ManifestKey<K> {
    /// The value if the key is not written.
    pub(super) fn default(&self) -> K::Value {
        let text = self.default.expect("a key that is read with `get` has a default");
        let value = DeValue::parse(text).expect("a default is TOML");
        self.kind.read(&value).expect("a default is within its bounds")
    }
}

/// A value and where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Sourced<T> {
    pub(crate) value: T,
    pub(crate) origin: ValueOrigin,
}

impl<T> Sourced<T> {
    /// Where the value is written; `None` if it is not.
    pub(crate) fn span(&self) -> Option<Span> {
        match &self.origin {
            ValueOrigin::Text(span) => Some(span.clone()),
            ValueOrigin::Variable(_) | ValueOrigin::Absent => None,
        }
    }
}
