//! Compiled code on disk, so that a warm start compiles nothing.
//!
//! An entry is machine code that the host will run: whoever can write it owns the host. So the folder must belong to this user and be
//! closed to others, and an entry that does not is rebuilt. An entry's name holds the component's digest and a hash of everything that
//! the code depends on (Wasmtime's version, its settings, the processor), so a foreign entry is never found.
#![allow(
    unsafe_code,
    reason = "`deserialize_file` trusts the file; the checks of this module are what makes that sound"
)]

use super::error::LoadError;
use crate::base::Digest;
use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::Engine;
use wasmtime::component::Component as Code;

/// Entries that are kept; the oldest go first. A component's code is a few MiB.
const MOST_ENTRIES: usize = 512;

/// The folder of compiled code; without one (it cannot be made, or is not private) everything is compiled afresh.
pub(super) struct Cache {
    folder: Option<PathBuf>,
    /// Hash of what compiled code depends on besides the component.
    compatibility: u64,
    /// Numbers temporary files, so that two compilations of one component do not write the same one.
    next: AtomicU64,
}

impl Cache {
    /// Opens or makes `folder`. A folder that cannot be used is a warning: the host then compiles at every start.
    pub(super) fn open(folder: &Path, engine: &Engine) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let usable = match private_folder(folder) {
            Ok(()) => Some(folder.to_path_buf()),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "compiled code is not cached");
                None
            }
        };
        let cache = Self { folder: usable, compatibility: hasher.finish(), next: AtomicU64::new(0) };
        cache.prune();
        cache
    }

    /// The code of the component `bytes`, from the cache or compiled now (and then kept).
    pub(super) fn get_or_compile(&self, engine: &Engine, digest: Digest, bytes: &[u8]) -> Result<Code, LoadError> {
        let path = self.path(digest);
        if let Some(code) = path.as_deref().and_then(|path| read(engine, path)) {
            return Ok(code);
        }
        let started = std::time::Instant::now();
        let artifact = engine.precompile_component(bytes).map_err(|error| LoadError::Invalid(format!("{error:#}")))?;
        tracing::debug!(digest = %digest.short(), ms = started.elapsed().as_millis(), "compiled");
        if let Some(path) = path {
            match self.write(&path, &artifact) {
                Ok(()) => {
                    if let Some(code) = read(engine, &path) {
                        return Ok(code);
                    }
                }
                Err(error) => tracing::warn!(path = %path.display(), %error, "compiled code is not kept"),
            }
        }
        // SAFETY: `artifact` came out of this engine's compiler a moment ago and has not left this function.
        unsafe { Code::deserialize(engine, &artifact) }.map_err(|error| LoadError::Invalid(format!("{error:#}")))
    }

    fn path(&self, digest: Digest) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{digest}-{:016x}.cwasm", self.compatibility)))
    }

    /// Whole or not at all: a reader sees the finished file or none, also after a crash.
    fn write(&self, path: &Path, artifact: &[u8]) -> io::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let draft = path.with_extension(format!("{}-{number}.tmp", std::process::id()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let written = file.write_all(artifact).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&draft, path));
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written
    }

    /// Removes drafts that a crash left, and the oldest entries beyond the bound.
    fn prune(&self) {
        let Some(entries) = self.folder.as_deref().and_then(|folder| fs::read_dir(folder).ok()) else { return };
        let mut kept = Vec::new();
        for entry in entries.flatten() {
            let path = entry.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("cwasm") => kept.push((entry.metadata().and_then(|meta| meta.modified()).ok(), path)),
                Some("tmp") => drop(fs::remove_file(path)),
                _ => {}
            }
        }
        kept.sort();
        for (_, path) in kept.iter().rev().skip(MOST_ENTRIES) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Makes `folder` if it is missing, and says why it cannot be trusted if it cannot.
fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    trusted(&fs::symlink_metadata(folder)?, 0o077)
}

/// Owned by this user, and none of the `forbidden` permission bits set.
fn trusted(meta: &fs::Metadata, forbidden: u32) -> io::Result<()> {
    if meta.file_type().is_symlink() {
        return Err(io::Error::other("it is a symbolic link"));
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it belongs to another user"));
    }
    if meta.mode() & forbidden != 0 {
        return Err(io::Error::other("other users may use it: chmod go-rwx"));
    }
    Ok(())
}

/// The code in `path`; `None` when it is missing, not private, or not from a compatible engine.
fn read(engine: &Engine, path: &Path) -> Option<Code> {
    trusted(&fs::symlink_metadata(path).ok()?, 0o022).ok()?;
    // SAFETY: the folder and the file belong to this user and nobody else can write them (checked above and in `open`), the host
    // writes entries whole (`write`), and Wasmtime itself refuses an artifact of another version or configuration.
    match unsafe { Code::deserialize_file(engine, path) } {
        Ok(code) => Some(code),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "compiled code is rebuilt");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// The smallest component there is: only the preamble.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn digest() -> Digest {
        Digest([7; 32])
    }

    #[test]
    fn code_is_kept_and_damage_is_rebuilt() {
        let engine = Engine::default();
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(&home.path().join("cache"), &engine);
        cache.get_or_compile(&engine, digest(), EMPTY).unwrap();
        let entry = cache.path(digest()).unwrap();
        assert_eq!(fs::metadata(&entry).unwrap().mode() & 0o777, 0o600);
        // With the entry there, the bytes are not even looked at.
        cache.get_or_compile(&engine, digest(), b"no component").unwrap();
        fs::write(&entry, b"damaged").unwrap();
        cache.get_or_compile(&engine, digest(), EMPTY).unwrap();
        cache.get_or_compile(&engine, digest(), b"no component").unwrap();
    }

    #[test]
    fn a_folder_or_entry_that_others_can_write_is_not_used() {
        let engine = Engine::default();
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let cache = Cache::open(home.path(), &engine);
        cache.get_or_compile(&engine, digest(), EMPTY).unwrap();
        let entry = cache.path(digest()).unwrap();
        fs::set_permissions(&entry, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(cache.get_or_compile(&engine, digest(), b"no component").is_err());
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Cache::open(home.path(), &engine).folder.is_none());
    }

    #[test]
    fn drafts_and_the_oldest_entries_go() {
        let engine = Engine::default();
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(home.path().join("x.1-2.tmp"), b"").unwrap();
        for number in 0..MOST_ENTRIES + 3 {
            fs::write(home.path().join(format!("{number}.cwasm")), b"").unwrap();
        }
        Cache::open(home.path(), &engine);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), MOST_ENTRIES);
    }
}
