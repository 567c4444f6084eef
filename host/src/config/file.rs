//! Paths, and what must be where they lead.

use crate::config::kind::{KindError, Text, ValueKind, refused};
use crate::config::section::{Report, Sourced};
use std::fs;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::DeValue;

/// A path, absolute or relative to the manifest.
pub(super) struct File;

impl ValueKind for File {
    type Value = PathBuf;

    fn accepts(&self) -> String {
        "a path".into()
    }

    fn help(&self) -> String {
        "write a path in quotes, absolute or relative to the manifest".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<PathBuf, Vec<KindError>> {
        let path = Text { min: 1 }.read(value).ok().filter(|path| !path.contains('\0'));
        path.map(PathBuf::from).ok_or_else(|| refused(self, value))
    }
}

/// What must be at a path, and how to mend it when it is not.
pub(super) struct Wanted {
    /// What errors call it: "the component".
    pub(super) name: &'static str,
    /// Otherwise it is a file.
    pub(super) is_folder: bool,
    /// The help when it is the other of the two.
    pub(super) mistaken: &'static str,
    /// The help when nothing is there; where it was looked for is added.
    pub(super) absent: &'static str,
}

impl Wanted {
    /// The path from the manifest's `folder`; what is not there, or is something else, is noted.
    pub(super) fn at(&self, found: &Sourced<PathBuf>, folder: &Path, report: &Report) -> PathBuf {
        let path = folder.join(&found.value);
        let shown = found.value.display();
        let right = |facts: &fs::Metadata| if self.is_folder { facts.is_dir() } else { facts.is_file() };
        match fs::metadata(&path) {
            Ok(facts) if right(&facts) => {}
            Ok(_) => {
                let kind = if self.is_folder { "folder" } else { "file" };
                report.push(found.place.clone(), format!("`{shown}` is no {kind}"), self.mistaken);
            }
            Err(error) => {
                let message = format!("cannot find {} `{shown}`: {error}", self.name);
                let help = format!("{}; looked for {}", self.absent, path.display());
                report.push(found.place.clone(), message, help);
            }
        }
        path
    }
}
