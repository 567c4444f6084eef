//! Tests of the whole room: policies of callers in `auth`; `good` manifests and their defaults, `bad` manifests and
//! their findings (between services in `mesh`, for TLS in `tls`, for events in `topics`), the reference in
//! `docs`, and the JSON schema in `schema`.

mod auth;
mod bad;
mod docs;
mod good;
mod idle_keys;
mod mesh;
mod schema;
mod tls;
mod topics;

use super::{Finding, Manifest, ManifestErrors};
use std::fs;
use tempfile::TempDir;

/// A folder with the files `users.wasm`, `ca.pem`, `secret`, `token` and `key`, and the folders `wit` and `public`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("users.wasm"), b"\0asm").expect("a file");
    fs::write(folder.path().join("ca.pem"), b"").expect("a file");
    fs::write(folder.path().join("token"), b"00112233445566778899aabbccddeeff").expect("a file");
    fs::write(folder.path().join("secret"), b"hush-hush-hush-hush-hush-hush-hush").expect("a file");
    fs::write(folder.path().join("key"), b"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").expect("a file");
    fs::create_dir(folder.path().join("wit")).expect("a folder");
    fs::create_dir(folder.path().join("public")).expect("a folder");
    fs::write(folder.path().join("public/index.html"), b"").expect("a file");
    folder
}

/// The manifest `text`, with these variables in the environment.
fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Manifest, ManifestErrors> {
    let env = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Manifest::parse("atoll.toml", text.into(), folder().path(), &env)
}

/// `line:column message | help` of each finding.
fn lines(errors: &ManifestErrors) -> Vec<String> {
    let line = |finding: &Finding| {
        let position = finding.position().map_or_else(|| "-".into(), |(line, column)| format!("{line}:{column}"));
        format!("{position} {} | {}", finding.message(), finding.help())
    };
    errors.findings().iter().map(line).collect()
}

/// A manifest with one finding: at `position`, with these words in its message and in its help.
struct Case {
    text: &'static str,
    position: &'static str,
    message: &'static str,
    help: &'static str,
}

#[track_caller]
fn check(cases: &[Case]) {
    for Case { text, position, message, help } in cases {
        let lines = lines(&parse(text, &[]).expect_err(text));
        let [one] = &lines[..] else { panic!("not one finding for:\n{text}\n{lines:#?}") };
        let (before, after) = one.split_once(" | ").expect("message and help");
        let right = before.starts_with(&format!("{position} ")) && before.contains(message) && after.contains(help);
        assert!(right, "{text}\nexpected: {position} {message} | {help}\nfound:    {one}");
    }
}

macro_rules! cases {
    ($($text:expr => $position:literal, $message:literal, $help:literal;)*) => {
        super::check(&[$(super::Case { text: $text, position: $position, message: $message, help: $help }),*])
    };
}
use cases;
