//! Tests of the whole room: `good` manifests and their defaults, `bad` ones and what is said of them, and the reference in `docs`.

mod bad;
mod docs;
mod good;

use super::{Manifest, ManifestErrors};
use std::fs;
use tempfile::TempDir;

/// A folder in which `users.wasm` and a folder `wit` are there.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("users.wasm"), b"\0asm").expect("a file");
    fs::create_dir(folder.path().join("wit")).expect("a folder");
    folder
}

/// The manifest `text`, with these variables in the environment.
fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Manifest, ManifestErrors> {
    let env = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Manifest::parse("atoll.toml", text.into(), folder().path(), &env)
}
