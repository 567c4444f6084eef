//! The files that a build reads, and whether they have changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Folders that builds write into or fill with what they install.
const LEFT_OUT: [&str; 3] = ["target", "node_modules", "__pycache__"];
/// The most files that are looked at. A folder with more is not a service's sources.
const MOST: usize = 20_000;

/// What is known of each file: when it was changed, and its length. Editors write aside and rename, so a file's own
/// identity says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SourceFiles(BTreeMap<PathBuf, (SystemTime, u64)>);

impl SourceFiles {
    /// The files below `watch`, without `component`, hidden files and [`LEFT_OUT`]. What cannot be read is not there.
    pub(super) fn below(watch: &[PathBuf], component: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut open: Vec<PathBuf> = watch.to_vec();
        while let Some(path) = open.pop() {
            let Ok(facts) = fs::metadata(&path) else { continue };
            if facts.is_dir() {
                let entries = fs::read_dir(&path).into_iter().flatten().flatten();
                open.extend(entries.map(|entry| entry.path()).filter(|path| is_source(path)));
            } else if path != component {
                let changed = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.insert(path, (changed, facts.len()));
            }
            if files.len() >= MOST {
                break;
            }
        }
        Self(files)
    }

    /// When one of them was changed last; `None` if there is none.
    pub(super) fn newest(&self) -> Option<SystemTime> {
        self.0.values().map(|(changed, _)| *changed).max()
    }

    /// A file that differs from what it was `before`, or that has come or gone.
    pub(super) fn changed_since<'a>(&'a self, before: &'a Self) -> Option<&'a Path> {
        let differs = |path: &PathBuf| self.0.get(path) != before.0.get(path);
        self.0.keys().chain(before.0.keys()).find(|path| differs(path)).map(PathBuf::as_path)
    }
}

fn is_source(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    !name.is_empty() && !name.starts_with('.') && !LEFT_OUT.contains(&name)
}
