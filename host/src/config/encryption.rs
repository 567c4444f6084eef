//! `encryption` of `[state]`: the key of the values in the database.

use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::section::Section;
use super::secret::{self, SecretKind};
use crate::state::{Encryption, StateKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;

static KEY: ManifestKey<SecretKind> = ManifestKey::without_default(
    "key",
    SecretKind,
    "The key: 32 random bytes in base64, as `openssl rand -base64 32` makes them. It is required. Without it nobody \
     can read the values, not even its owner: keep a copy apart from the backups.",
);
static PREVIOUS: ManifestKey<SecretKind> = ManifestKey::without_default(
    "previous",
    SecretKind,
    "The key before `key`, for the start at which the key is replaced. Only the services' keys are written again, not \
     the values.",
);

/// Reads the section, if it is there. With a key that is missing or wrong, which is reported, there is no encryption.
pub(super) fn read(state: &mut Section<'_>, folder: &Path, env: &dyn Fn(&str) -> Option<String>) -> Option<Encryption> {
    let there = state.has("encryption");
    let mut section = state.section("encryption");
    let (key, previous) = (state_key(&mut section, &KEY, folder, env), state_key(&mut section, &PREVIOUS, folder, env));
    if there && section.lacks(KEY.name) {
        let origin = ValueOrigin::Text(section.span.clone());
        let help = "add key = { env = \"ATOLL_STATE_KEY\" }, or key = { file = \"path\" }";
        section.report.push_if_whole(origin, "`encryption` has no `key`", help);
    }
    section.close();
    key.map(|key| Encryption { key, previous })
}

fn state_key(
    section: &mut Section<'_>,
    key: &'static ManifestKey<SecretKind>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<StateKey> {
    let secret = secret::read(section, key, folder, env)?;
    let bytes = STANDARD.decode(secret.value.expose().trim()).ok();
    let bytes = bytes.and_then(|bytes| <[u8; StateKey::LENGTH]>::try_from(bytes).ok());
    if bytes.is_none() {
        // Without the text: it is a secret.
        let message = format!("`{}` is not a key: 32 bytes in base64, 44 characters", key.name);
        section.report.push(secret.origin, message, "make one with `openssl rand -base64 32`");
    }
    bytes.map(StateKey::new)
}

#[cfg(test)]
mod tests {
    use crate::config::Manifest;
    use crate::state::{Encryption, StateKey};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    fn parse(text: &str) -> Result<Option<Encryption>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("key"), format!("{}\n", STANDARD.encode([1; 32]))).expect("a file");
        let env = |name: &str| match name {
            "KEY" => Some(STANDARD.encode([2; 32])),
            "SHORT" => Some("c2hvcnQtYW5kLXNlY3JldA==".to_owned()),
            _ => None,
        };
        let parsed = Manifest::parse("atoll.toml", text.into(), folder.path(), &env);
        parsed.map(|manifest| manifest.state.encryption).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_key_comes_from_a_file_or_the_environment() {
        assert_eq!(parse("[state]"), Ok(None));
        let (one, two) = (StateKey::new([1; 32]), StateKey::new([2; 32]));
        let of = |key, previous| Ok(Some(Encryption { key, previous }));
        assert_eq!(parse("[state]\nencryption = { key = { file = 'key' } }"), of(one.clone(), None));
        assert_eq!(parse("[state.encryption]\nkey = { env = 'KEY' }"), of(two.clone(), None));
        let both = "[state.encryption]\nkey = { from_env = 'KEY' }\nprevious = { file = 'key' }";
        assert_eq!(parse(both), of(two, Some(one)));
    }

    #[test]
    fn a_wrong_key_is_refused_and_not_shown() {
        for (text, expected) in [
            ("[state]\nencryption = {}", "`encryption` has no `key`"),
            ("[state]\nencryption = { key = { env = 'GONE' } }", "GONE is not set"),
            ("[state]\nencryption = { key = { env = 'SHORT' } }", "`key` is not a key: 32 bytes in base64"),
            ("[state]\nencryption = { key = 'hush' }", "`key` must not stand in the manifest"),
            ("[state]\nencryption = { keys = 1 }", "unknown key `keys`"),
        ] {
            let errors = parse(text).expect_err(text);
            assert!(errors.contains(expected), "{text}: {errors}");
            assert!(!errors.contains("c2hvcnQ") && !errors.contains("short-and"), "{errors}");
        }
    }
}
