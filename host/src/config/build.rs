//! `build` and `watch` of a `[service.NAME]`: how its component is made, for `atoll build` and `atoll dev`.

use super::reader::finding::ValueOrigin;
use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::{ListKind, TextKind};
use super::reader::section::Section;
use std::path::{Path, PathBuf};

/// How the component of a service is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildConfig {
    /// A command line for `sh -c`. It runs in `folder`.
    pub command: String,
    /// The folder of the component.
    pub folder: PathBuf,
    /// The file that the command makes. It may be missing before the first build.
    pub component: PathBuf,
    /// The files and folders whose change makes the component out of date; at least one.
    pub watch: Vec<PathBuf>,
}

impl BuildConfig {
    /// The command that builds services of the manifest with this name, as it is written in its reader's folder.
    pub fn verb(services: &[&str], manifest: &str) -> String {
        let verb = format!("atoll build {}", services.join(" "));
        // The manifest that the verb takes without being told.
        if matches!(manifest, "atoll.toml" | "./atoll.toml") {
            verb
        } else {
            format!("{verb} --manifest {}", quoted(manifest))
        }
    }
}

/// A path as one word of a command line, as a shell reads it.
pub fn quoted(path: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+,:@%=".contains(letter);
    if !path.is_empty() && path.chars().all(is_plain) {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

static BUILD: ManifestKey<TextKind> = ManifestKey::without_default(
    "build",
    TextKind { min: 1 },
    "The command that makes its component, in the component's folder: `npm run build`. `atoll build` and `atoll dev` \
     run it by `sh -c`; a host never does. Absent: the component is made elsewhere.",
);
static WATCH: ManifestKey<ListKind<TextKind>> = ManifestKey::new(
    "watch",
    ListKind { of: TextKind { min: 1 }, max: 64 },
    r#"["."]"#,
    "What `build` reads: files and folders, relative to the component's folder. A change in them makes the component \
     out of date. Left out are the component itself, hidden files, and the folders `target`, `node_modules` and \
     `__pycache__`.",
);

/// Reads both keys. `component` is what the service names, whether it is there or not.
pub(super) fn read(
    section: &mut Section<'_>,
    component: Option<&Sourced<PathBuf>>,
    folder: &Path,
) -> Option<BuildConfig> {
    let (build, watch) = (section.find(&BUILD), section.get_sourced(&WATCH));
    let Some(build) = build else {
        if let ValueOrigin::Text(_) = watch.origin {
            let help = "add `build` with the command that makes the component, or leave `watch` out";
            section.report.push_if_whole(watch.origin.clone(), "`watch` says what a `build` reads", help);
        }
        return None;
    };
    let Some(component) = component else {
        let help = "name the file that the command makes: component = \"users/users.wasm\"";
        section.report.push_if_whole(build.origin.clone(), "`build` makes a component, and none is named", help);
        return None;
    };
    let component = folder.join(&component.value);
    // The parent of `users.wasm` is a path without a word, in which no shell starts.
    let folder = component.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.to_owned();
    let watch = watch.value.iter().map(|path| folder.join(path.get_ref())).collect();
    Some(BuildConfig { command: build.value, folder, component, watch })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_builds_is_one_that_a_shell_takes() {
        for (manifest, rest) in [
            ("atoll.toml", ""),
            ("./atoll.toml", ""),
            ("shop/atoll.toml", " --manifest shop/atoll.toml"),
            ("my shop/atoll.toml", " --manifest 'my shop/atoll.toml'"),
            ("$HOME/it's.toml", r" --manifest '$HOME/it'\''s.toml'"),
        ] {
            assert_eq!(BuildConfig::verb(&["users", "orders"], manifest), format!("atoll build users orders{rest}"));
        }
    }
}
