//! Tests of the whole room: `good` manifests and their defaults, `bad` ones and what is said of them, those of the
//! `mesh` apart, and the reference in `docs`.

mod bad;
mod docs;
mod good;
mod mesh;

use super::{Finding, Manifest, ManifestErrors};
use std::fs;
use tempfile::TempDir;

/// A folder in which `users.wasm`, `ca.pem` and a folder `wit` are there.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("users.wasm"), b"\0asm").expect("a file");
    fs::write(folder.path().join("ca.pem"), b"").expect("a file");
    fs::create_dir(folder.path().join("wit")).expect("a folder");
    folder
}

/// The manifest `text`, with these variables in the environment.
fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Manifest, ManifestErrors> {
    let env = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Manifest::parse("atoll.toml", text.into(), folder().path(), &env)
}

/// `line:column message | help` of each finding.
fn told(errors: &ManifestErrors) -> Vec<String> {
    let line = |finding: &Finding| {
        let place = finding.position().map_or_else(|| "-".into(), |(line, column)| format!("{line}:{column}"));
        format!("{place} {} | {}", finding.message(), finding.help())
    };
    errors.findings().iter().map(line).collect()
}

/// A manifest whose one fault is told at `place`, with these words in the message and in the help.
struct Case {
    text: &'static str,
    place: &'static str,
    message: &'static str,
    help: &'static str,
}

#[track_caller]
fn check(cases: &[Case]) {
    for Case { text, place, message, help } in cases {
        let told = told(&parse(text, &[]).expect_err(text));
        let [one] = &told[..] else { panic!("not one finding for:\n{text}\n{told:#?}") };
        let (before, after) = one.split_once(" | ").expect("message and help");
        let right = before.starts_with(&format!("{place} ")) && before.contains(message) && after.contains(help);
        assert!(right, "{text}\nexpected: {place} {message} | {help}\ntold:     {one}");
    }
}

macro_rules! cases {
    ($($text:expr => $place:literal, $message:literal, $help:literal;)*) => {
        super::check(&[$(super::Case { text: $text, place: $place, message: $message, help: $help }),*])
    };
}
use cases;
