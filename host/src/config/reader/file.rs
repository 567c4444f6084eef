//! Paths, and the check that the file or folder exists.

use super::key::Sourced;
use super::kind::{KindError, TextKind, ValueKind, refused};
use super::report::Report;
use std::fs;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::DeValue;

/// A path, absolute or relative to the manifest.
pub(crate) struct PathKind;

impl ValueKind for PathKind {
    type Value = PathBuf;

    fn accepts(&self) -> String {
        "a path".into()
    }

    fn help(&self) -> String {
        "write a path in quotes, absolute or relative to the manifest".into()
    }

    #[cfg(test)]
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<PathBuf, Vec<KindError>> {
        let path = TextKind { min: 1 }.read(value).ok().filter(|path| !path.contains('\0'));
        path.map(PathBuf::from).ok_or_else(|| refused(self, value))
    }
}

/// A file or folder that must exist, and the help texts if it does not.
pub(crate) struct RequiredPath {
    /// Its name in errors: "the component".
    pub(crate) name: &'static str,
    /// Whether it is a folder; otherwise it is a file.
    pub(crate) is_folder: bool,
    /// The help if it is a file instead of a folder, or a folder instead of a file.
    pub(crate) wrong_type_help: &'static str,
    /// The help if nothing is there; the full path is added to it.
    pub(crate) absent_help: &'static str,
}

impl RequiredPath {
    /// The path, joined to the manifest's `folder`. If the file or folder is not there, that is reported.
    pub(crate) fn resolve(&self, found: &Sourced<PathBuf>, folder: &Path, report: &Report) -> PathBuf {
        self.look_for(found, folder).unwrap_or_else(|(message, help)| {
            report.push(found.origin.clone(), message, help);
            folder.join(&found.value)
        })
    }

    /// The path, joined to the manifest's `folder`; if the file or folder is not there, a message and its help.
    pub(crate) fn look_for(&self, found: &Sourced<PathBuf>, folder: &Path) -> Result<PathBuf, (String, String)> {
        let path = folder.join(&found.value);
        let shown = found.value.display();
        let is_right = |facts: &fs::Metadata| if self.is_folder { facts.is_dir() } else { facts.is_file() };
        match fs::metadata(&path) {
            Ok(facts) if is_right(&facts) => Ok(path),
            Ok(_) => {
                let kind = if self.is_folder { "folder" } else { "file" };
                Err((format!("`{shown}` is not a {kind}"), self.wrong_type_help.to_owned()))
            }
            Err(error) => {
                let message = format!("cannot find {} `{shown}`: {error}", self.name);
                Err((message, format!("{}; looked for {}", self.absent_help, path.display())))
            }
        }
    }
}

/// A file or folder that the host creates if it is not there.
pub(crate) struct CreatedPath {
    /// Whether it is a folder; otherwise it is a file.
    pub(crate) is_folder: bool,
    /// The help if something else is there.
    pub(crate) help: &'static str,
}

impl CreatedPath {
    /// The path, joined to the manifest's `folder`. If a file is there in place of the folder, or a folder in place of
    /// the file, that is reported: the host could not start.
    pub(crate) fn resolve(&self, found: Sourced<PathBuf>, folder: &Path, report: &Report) -> PathBuf {
        let path = folder.join(&found.value);
        let is_wrong = |facts: fs::Metadata| if self.is_folder { !facts.is_dir() } else { facts.is_dir() };
        if fs::metadata(&path).is_ok_and(is_wrong) {
            let (wanted, there) = if self.is_folder { ("folder", "file") } else { ("file", "folder") };
            let message = format!("`{}` must be a {wanted}, and there is a {there}", found.value.display());
            report.push(found.origin, message, self.help);
        }
        path
    }
}
