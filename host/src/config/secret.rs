//! A secret of the host itself. A manifest is committed, and a secret must not be: it is the value of a variable of the
//! host's environment, or the content of a file.

use super::granted_env::{self, EnvSource};
use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::{KindError, ValueKind, refused};
use super::reader::section::Section;
use crate::discovery::RegistrySecret;
use std::fmt;
use std::path::Path;
use toml::Spanned;
use toml::de::DeValue;

/// A reference to a secret.
pub(super) struct SecretKind;

/// The text of a secret, which does not print.
#[derive(Clone)]
pub struct SecretText(String);

impl SecretText {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

impl ValueKind for SecretKind {
    type Value = EnvSource;

    fn accepts(&self) -> String {
        "{ from_env } or { file }".into()
    }

    fn help(&self) -> String {
        "write { from_env = \"VARIABLE\" } or { file = \"path\" }: a manifest is committed, and a secret must not be"
            .into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<EnvSource, Vec<KindError>> {
        if value.get_ref().is_str() {
            // Without the text: it may be a secret.
            let message = "must not stand in the manifest".into();
            return Err(vec![KindError { span: value.span(), message, help: self.help() }]);
        }
        value.get_ref().as_table().ok_or_else(|| refused(self, value))?;
        granted_env::source(value).map_err(|error| vec![KindError { help: self.help(), ..error }])
    }
}

/// Reads the secret that `key` refers to. `None` if the key is absent, or if there is no such secret, which is
/// reported.
pub(super) fn read(
    section: &mut Section<'_>,
    key: &'static ManifestKey<SecretKind>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<Sourced<SecretText>> {
    section.hide_text(key.name);
    let found = section.find(key)?;
    value(section, key.name, found, folder, env)
}

/// Reads the secret of a registry that `key` refers to, as [`read`] does. Whoever uses a file reads it again each time.
pub(super) fn read_anew(
    section: &mut Section<'_>,
    key: &'static ManifestKey<SecretKind>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<RegistrySecret> {
    section.hide_text(key.name);
    let found = section.find(key)?;
    let file = if let EnvSource::File(path) = &found.value { Some(folder.join(path)) } else { None };
    let text = value(section, key.name, found, folder, env)?.value;
    Some(file.map_or_else(|| RegistrySecret::Text(text.0), RegistrySecret::File))
}

fn value(
    section: &Section<'_>,
    name: &str,
    Sourced { value, origin }: Sourced<EnvSource>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<Sourced<SecretText>> {
    if let EnvSource::File(path) = &value {
        section.report.note_private(folder.join(path), origin.clone());
    }
    match granted_env::value(value, folder, env) {
        Ok(text) if text.trim().is_empty() => {
            section.report.push(origin, format!("`{name}` is empty"), "set it, or leave the key out");
            None
        }
        Ok(text) => Some(Sourced { value: SecretText(text), origin }),
        Err((message, help)) => {
            let message = format!("`{name}` cannot be read: {}", message.trim_start_matches("but "));
            section.report.push(origin, message, help);
            None
        }
    }
}
