//! `env` and `secrets` of a `[service.NAME]`: the environment variables of its guests, and the secrets that they read
//! with their configuration. A manifest is committed, and a secret must not
//! be: the value of a secret is a variable of the host's own environment, or the content of a file.

use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::kind::{KindError, TextKind, ValueKind, refused};
use super::reader::section::Section;
use super::reader::suggest::did_you_mean;
use crate::runtime::GuestEnv;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use toml::Spanned;
use toml::de::DeValue;

static ENV: ManifestKey<GuestEnvKind> = ManifestKey::new(
    "env",
    GuestEnvKind { texts: true },
    "{}",
    "The environment variables of its component, as `wasi:cli/environment`. A secret is written by reference: \
     `from_env` names a variable of the host's own environment, `file` a file, whose last line break is left out. \
     Both are read when the host starts, and hold at most 64 KiB.",
);

static SECRETS: ManifestKey<GuestEnvKind> = ManifestKey::new(
    "secrets",
    GuestEnvKind { texts: false },
    "{}",
    "The secrets that the component reads through `wasi:config/store`, beside the values of `config`. They are written \
     by reference, as in `env`, and read when the host starts. No log, metric or answer of the host shows one.",
);

/// The most variables.
const MOST: usize = 256;
/// The longest value that is read from a variable or a file, in bytes.
const LONGEST: usize = 64 << 10;
/// The two ways to refer to a value, and what the text behind each is.
const FROM_ENV: &str = "from_env";
/// The first of them in short, as the host's own secrets are written.
const ENV_IN_SHORT: &str = "env";
const FILE: &str = "file";
/// A text of the manifest itself.
const TEXT: TextKind = TextKind { min: 0 };
/// The name of a variable, or a path.
const NAME: TextKind = TextKind { min: 1 };

/// Where the value of a variable comes from.
#[derive(Debug)]
pub(super) enum EnvSource {
    Text(String),
    /// The host's variable of this name.
    Variable(String),
    /// The file at this path, which is absolute or relative to the manifest.
    File(String),
}

/// A table of variables.
struct GuestEnvKind {
    /// Whether a value may stand in the manifest.
    texts: bool,
}

impl ValueKind for GuestEnvKind {
    /// The variables by name.
    type Value = Vec<(String, Spanned<EnvSource>)>;

    fn accepts(&self) -> String {
        let text = if self.texts { format!("{}, or ", TEXT.accepts()) } else { String::new() };
        format!("a table of at most {MOST}, each {text}{{ {FROM_ENV} }} or {{ {FILE} }}")
    }

    fn help(&self) -> String {
        let text = if self.texts { "LOG = \"debug\", " } else { "" };
        format!("write it in braces: {{ {text}TOKEN = {{ {FROM_ENV} = \"SHOP_TOKEN\" }} }}")
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<KindError>> {
        let table = value.get_ref().as_table().filter(|table| table.len() <= MOST);
        let table = table.ok_or_else(|| refused(self, value))?;
        let (mut variables, mut errors) = (Vec::new(), Vec::new());
        for (key, value) in table {
            let name = key.get_ref().to_string();
            if name.is_empty() || name.contains(['=', '\0']) {
                let message = format!("has an entry {name:?}, which is no name of a variable");
                errors.push(KindError { span: key.span(), message, help: "use a name without `=`".into() });
            }
            match source(value) {
                // Without the text: it may be a secret.
                Ok(EnvSource::Text(_)) if !self.texts => errors.push(KindError {
                    span: value.span(),
                    message: format!("has an entry `{name}`, which must not stand in the manifest"),
                    help: format!("write {{ {FROM_ENV} = \"VARIABLE\" }} or {{ {FILE} = \"path\" }}"),
                }),
                Ok(source) => variables.push((name, Spanned::new(value.span(), source))),
                Err(error) => errors.push(error.of(&name)),
            }
        }
        if errors.is_empty() { Ok(variables) } else { Err(errors) }
    }
}

/// The source that `value` names.
pub(super) fn source(value: &Spanned<DeValue<'_>>) -> Result<EnvSource, KindError> {
    let help = || format!("write a text in quotes, or {{ {FROM_ENV} = \"VARIABLE\" }}, or {{ {FILE} = \"path\" }}");
    let refusal = |message: &str| KindError { span: value.span(), message: message.into(), help: help() };
    let Some(table) = value.get_ref().as_table() else {
        let text = TEXT.read(value).ok().filter(|text| !text.contains('\0'));
        return text.map(EnvSource::Text).ok_or_else(|| refusal(&format!("must be {} without NUL", TEXT.accepts())));
    };
    let mut entries = table.iter();
    let (Some((key, named)), None) = (entries.next(), entries.next()) else {
        return Err(refusal(&format!("must have one of `{FROM_ENV}` and `{FILE}`")));
    };
    let name = key.get_ref().as_ref();
    let text = NAME.read(named).ok().filter(|text| !text.contains('\0'));
    match (name, text) {
        (FROM_ENV | ENV_IN_SHORT, Some(text)) if !text.contains('=') => Ok(EnvSource::Variable(text)),
        (FILE, Some(text)) => Ok(EnvSource::File(text)),
        (FROM_ENV | ENV_IN_SHORT | FILE, _) => {
            Err(KindError { span: named.span(), ..refusal(&format!("has a wrong `{name}`")) })
        }
        (name, _) => {
            let help = did_you_mean(name, [FROM_ENV, FILE], "the keys known here");
            Err(KindError { span: key.span(), message: format!("has an unknown key `{name}`"), help })
        }
    }
}

/// Reads the variables, with the values that they refer to. A value that cannot be read is reported at its position;
/// the report never shows a value.
pub(super) fn read(service: &mut Section<'_>, folder: &Path, env: &dyn Fn(&str) -> Option<String>) -> GuestEnv {
    read_key(service, &ENV, folder, env)
}

/// Reads the secrets, likewise. None has the name of a value in `config`: which of the two would the component get?
pub(super) fn secrets(
    service: &mut Section<'_>,
    config: &BTreeMap<String, String>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> GuestEnv {
    service.hide_text(SECRETS.name);
    let secrets = read_key(service, &SECRETS, folder, env);
    let origin = ValueOrigin::Text(service.span.clone());
    for name in secrets.names().filter(|name| config.contains_key(*name)) {
        let message = format!("`config` and `secrets` have the same entry `{name}`");
        service.report.push_if_whole(origin.clone(), message, "leave one of them out");
    }
    secrets
}

fn read_key(
    service: &mut Section<'_>,
    key: &'static ManifestKey<GuestEnvKind>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> GuestEnv {
    let report = service.report;
    let variables = service.get(key).into_iter().filter_map(|(name, source)| {
        let origin = ValueOrigin::Text(source.span());
        if let (EnvSource::File(path), false) = (source.get_ref(), key.kind.texts) {
            report.note_private(folder.join(path), origin.clone());
        }
        match value(source.into_inner(), folder, env) {
            Ok(value) if !key.kind.texts && value.trim().is_empty() => {
                let message = format!("`{}` has an entry `{name}`, which is empty", key.name);
                report.push(origin, message, "set it, or leave the entry out");
                None
            }
            Ok(value) => Some((name, value)),
            Err((message, help)) => {
                report.push(origin, format!("`{}` has an entry `{name}`, {message}", key.name), help);
                None
            }
        }
    });
    variables.collect()
}

/// The value that `source` names; otherwise a message and its help.
pub(super) fn value(
    source: EnvSource,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<String, (String, &'static str)> {
    let (value, from) = match source {
        EnvSource::Text(text) => return Ok(text),
        EnvSource::Variable(name) => {
            let unset = || (format!("but {name} is not set"), "set it in the environment in which the host starts");
            (env(&name).ok_or_else(unset)?, name)
        }
        EnvSource::File(path) => {
            let unreadable = |error| {
                (
                    format!("but the file `{path}` cannot be read: {error}"),
                    "a path begins at the folder of the manifest",
                )
            };
            let text = file(&folder.join(&path)).map_err(unreadable)?;
            (text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text)).unwrap_or(&text).into(), path)
        }
    };
    if value.len() > LONGEST {
        return Err((format!("but `{from}` is longer than 64 KiB"), "pass what is so long in another way"));
    }
    // The host's environment is read with a replacement character in place of each byte that is no UTF-8.
    if value.contains(['\0', char::REPLACEMENT_CHARACTER]) {
        return Err((format!("but `{from}` is no text of UTF-8"), "encode it, in base64 for example"));
    }
    Ok(value)
}

/// The text of a file, of a bounded length. A pipe or a device is refused: to open a pipe waits for its writer.
fn file(path: &Path) -> std::io::Result<String> {
    if !path.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut text = String::new();
    File::open(path)?.take(LONGEST as u64 + 3).read_to_string(&mut text)?;
    Ok(text)
}
