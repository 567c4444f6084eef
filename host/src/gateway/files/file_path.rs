//! The path of a file below a folder, as a request names it.

use super::file_type;
use crate::route::decode;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The one name with a dot at its beginning that is public (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// The path of a file or folder below a folder: whole names, none of which leads up or is hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePath {
    path: PathBuf,
    is_folder: bool,
}

impl FilePath {
    /// The path of a URL, which begins with a slash; `None` if no file that is served can have it: it has a name that
    /// begins with a dot (`.well-known` may be the first), an empty name, or one with a slash, backslash or NUL in it.
    pub fn parse(path: &str) -> Option<Self> {
        let mut names = path.strip_prefix('/')?.split('/').peekable();
        let mut file = Self { path: PathBuf::new(), is_folder: false };
        while let Some(spelt) = names.next() {
            let name = decode(spelt);
            if name.is_empty() && names.peek().is_none() {
                file.is_folder = true;
                break;
            }
            let is_first = file.path.as_os_str().is_empty();
            let is_hidden = name.first() == Some(&b'.') && !(is_first && *name == *WELL_KNOWN);
            if name.is_empty() || is_hidden || name.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0)) {
                return None;
            }
            file.path.push(OsStr::from_bytes(&name));
        }
        Some(file)
    }

    /// The path, relative to the folder; empty for the folder itself.
    pub fn as_path(&self) -> &Path {
        &self.path
    }

    /// Whether it ends with a slash, as that of a folder does.
    pub fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// Whether it is the name of a script, a style, an image and the like, by what it ends in. A page that is missing
    /// may be a view of a single-page application; one of these is just missing.
    pub(super) fn is_asset(&self) -> bool {
        !self.is_folder && file_type::of(&self.path).is_some_and(|known| !known.starts_with("text/html"))
    }

    /// The path of the file `name` in this folder.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// `path` with `suffix` at its end.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Component;

    #[test]
    fn a_path_is_made_of_whole_names() {
        for (path, file, is_folder) in [
            ("/", "", true),
            ("/index.html", "index.html", false),
            ("/a/b.js", "a/b.js", false),
            ("/a/", "a", true),
            ("/caf%C3%A9", "café", false),
            ("/a%20b", "a b", false),
            ("/a%252e", "a%2e", false),
            ("/a..b", "a..b", false),
            ("/.well-known/acme", ".well-known/acme", false),
            ("/~a", "~a", false),
            ("/-rf", "-rf", false),
        ] {
            let parsed = FilePath::parse(path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!((parsed.as_path(), parsed.is_folder()), (Path::new(file), is_folder), "{path}");
        }
    }

    #[test]
    fn no_path_leads_up_or_to_a_hidden_file() {
        for path in [
            "",
            "a",
            "//",
            "//etc/passwd",
            "/a//b",
            "/.",
            "/..",
            "/../a",
            "/a/../b",
            "/%2e%2e/a",
            "/.%2e/a",
            "/..%2fa",
            "/a%2fb",
            "/a%5c..%5cb",
            "/a\\..\\b",
            "/a%00.html",
            "/.env",
            "/%2eenv",
            "/.git/config",
            "/a/.git/config",
            "/a/.well-known/b",
            "/...",
        ] {
            assert_eq!(FilePath::parse(path), None, "{path}");
        }
    }

    #[test]
    fn assets_are_known_by_what_they_end_in() {
        for (path, is_asset) in [
            ("/a.js", true),
            ("/a/b.css", true),
            ("/a.png", true),
            ("/a", false),
            ("/a.html", false),
            ("/john.doe", false),
            ("/a.js/", false),
        ] {
            assert_eq!(FilePath::parse(path).map(|path| path.is_asset()), Some(is_asset), "{path}");
        }
    }

    proptest! {
        /// Whatever a client asks for, the path has plain names alone, and none that is hidden.
        #[test]
        fn a_parsed_path_stays_below_its_folder(path in r"/?(/|\.|%2[eEfF]|%5[cC]|%00|%|a|é|\\|well-known){0,12}") {
            if let Some(parsed) = FilePath::parse(&path) {
                for (at, component) in parsed.as_path().components().enumerate() {
                    let Component::Normal(name) = component else { panic!("{path}: {component:?}") };
                    let hidden = name.as_bytes().starts_with(b".");
                    prop_assert!(!hidden || (at == 0 && name.as_bytes() == WELL_KNOWN), "{}", path);
                }
            }
        }
    }
}
