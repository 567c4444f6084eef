//! Compiled code on disk, so that a warm start compiles nothing.
//!
//! An entry is machine code that the host will run, so a user who can write it owns the host. The folder and its files
//! must belong to this user and be closed to others; the host compiles again what does not. The name of an entry holds
//! the component's digest and a hash of all that the code depends on (Wasmtime's version, its settings, the processor),
//! so the host never finds an entry of another engine. Beside the code is its [`ArtifactStamp`], in a file `*.seal`:
//! code whose checksum differs from its stamp is never mapped. Of a component with debug information there is a third
//! file, `*.wasm`: the component as it is, in which lines of source are looked up. It is never run.
#![allow(unsafe_code, reason = "`deserialize_file` trusts the file, and the checks of this module make that sound")]

use super::compilers::Compilers;
use super::stamp::ArtifactStamp;
use crate::base::{Digest, hex};
use crate::diagnosis::has_source_lines;
use crate::runtime::error::LoadError;
use crate::telemetry::code_metrics;
use sha2::{Digest as _, Sha256};
use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use wasmtime::Engine;
use wasmtime::component::Component as Code;

/// Entries that are kept although this host has not used them. The oldest go first. A component's code is a few MiB.
const MOST_UNUSED: usize = 512;
/// An older draft was left by a crash: no write takes so long.
const DRAFT_LIFE: Duration = Duration::from_secs(3600);
/// Bytes of code that are read at a time to compute their checksum.
const CHUNK: usize = 64 << 10;

/// The folder of compiled code. If it cannot be made, or is not private, every component is compiled at each start.
pub(crate) struct CodeCache {
    folder: Option<PathBuf>,
    /// A hash of all that compiled code depends on besides the component.
    compatibility: u64,
    /// Which build of the host this is, among all that may have written a stamp.
    host: u64,
    opened: SystemTime,
    /// Numbers temporary files, so that two compilations of one component do not write the same one.
    next: AtomicU64,
    compilers: Compilers,
}

impl CodeCache {
    /// Opens or makes `folder`. If it cannot be used, the host logs a warning and compiles at every start.
    pub(crate) fn open(folder: &Path, engine: &Engine) -> Self {
        let usable = match private_folder(folder) {
            Ok(()) => Some(folder.to_path_buf()),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "compiled code is not cached");
                None
            }
        };
        Self {
            folder: usable,
            compatibility: hash(&engine.precompile_compatibility_hash()),
            host: this_host(),
            opened: SystemTime::now(),
            next: AtomicU64::new(0),
            compilers: Compilers::default(),
        }
    }

    /// The stamp of a component whose code is here, if this very build of the host found that it links. The code itself
    /// is not read: whether it fits its stamp is checked when it is loaded.
    pub(crate) fn stamp(&self, digest: Digest) -> Option<ArtifactStamp> {
        let paths = self.paths(digest)?;
        let stamp = self.read_stamp(&paths, digest).filter(|stamp| stamp.host == self.host)?;
        if !has_code(&paths, &stamp) {
            return None;
        }
        // The file's time is the time of its last use: `prune` removes first what was not used for longest.
        let used = File::open(&paths.stamp).and_then(|file| file.set_times(FileTimes::new().set_modified(self.opened)));
        used.ok().map(|()| stamp)
    }

    /// Whether there is code of the component, whichever build of the host has checked that it links.
    pub(crate) fn has(&self, digest: Digest) -> bool {
        let Some(paths) = self.paths(digest) else { return false };
        self.read_stamp(&paths, digest).is_some_and(|stamp| has_code(&paths, &stamp))
    }

    /// The code of the component `bytes`, from the cache or compiled now.
    pub(crate) fn get_or_compile(&self, engine: &Engine, digest: Digest, bytes: &[u8]) -> Result<Code, LoadError> {
        self.get(engine, digest).map_or_else(|| self.compile(engine, digest, bytes), Ok)
    }

    /// The code of the component `bytes`, compiled now and then kept. Until it is [confirmed](CodeCache::confirm), its
    /// stamp says that no host knows whether it links.
    pub(crate) fn compile(&self, engine: &Engine, digest: Digest, bytes: &[u8]) -> Result<Code, LoadError> {
        let started = std::time::Instant::now();
        let artifact = self
            .compilers
            .run(|| engine.precompile_component(bytes))
            .map_err(|error| LoadError::Invalid(format!("{error:#}")))?;
        let took = started.elapsed();
        code_metrics().compiled(took);
        tracing::debug!(digest = %digest.short(), ms = took.as_millis(), "compiled");
        if let Some(paths) = self.paths(digest) {
            let stamp = ArtifactStamp {
                length: artifact.len() as u64,
                sum: hex(&Sha256::digest(&artifact)),
                host: 0,
                slots: 0,
            };
            let kept = self.write(&paths.code, &artifact);
            if has_source_lines(bytes)
                && let Err(error) = self.write(&paths.component, bytes)
            {
                tracing::warn!(path = %paths.component.display(), %error, "debug information is not kept");
            }
            match kept.and_then(|()| self.write(&paths.stamp, stamp.text(digest).as_bytes())) {
                Ok(()) => {
                    if let Some(code) = self.read(engine, digest) {
                        return Ok(code);
                    }
                }
                Err(error) => tracing::warn!(path = %paths.code.display(), %error, "compiled code is not kept"),
            }
        }
        // SAFETY: this engine's compiler made `artifact` a moment ago, and `artifact` has not left this function.
        unsafe { Code::deserialize(engine, &artifact) }.map_err(|error| LoadError::Invalid(format!("{error:#}")))
    }

    /// The code of the component `bytes`, compiled now and not kept: for a component that is never run.
    pub(crate) fn compile_unkept(&self, engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Code> {
        self.compilers.run(|| Code::from_binary(engine, bytes))
    }

    /// The code of a component, mapped into memory. `None` if it is missing, is not private, does not fit its stamp, or
    /// comes from an engine that is not compatible.
    pub(crate) fn get(&self, engine: &Engine, digest: Digest) -> Option<Code> {
        self.read(engine, digest).inspect(|_| code_metrics().loaded())
    }

    fn read(&self, engine: &Engine, digest: Digest) -> Option<Code> {
        let paths = self.paths(digest)?;
        if !paths.code.try_exists().unwrap_or(true) {
            return None;
        }
        let stamp =
            self.read_stamp(&paths, digest).ok_or_else(|| io::Error::other("it has no stamp (a file `*.seal`)"));
        let code = stamp.and_then(|stamp| {
            trusted(&fs::symlink_metadata(&paths.code)?, 0o022)?;
            if sum_of_file(&paths.code)? != stamp.sum {
                return Err(io::Error::other("it is damaged"));
            }
            // SAFETY: the folder and the file belong to this user, and no other user can write them (checked above and
            // in `open`). The file holds, byte for byte, what the compiler made (its checksum is that of its stamp).
            // And Wasmtime itself refuses an artifact of another version or configuration.
            unsafe { Code::deserialize_file(engine, &paths.code) }.map_err(io::Error::other)
        });
        code.inspect_err(|error| tracing::warn!(path = %paths.code.display(), %error, "compiled code is rebuilt")).ok()
    }

    /// The file of a component that has debug information, if it is here and undamaged.
    pub(crate) fn debug_information(&self, digest: Digest) -> Option<Vec<u8>> {
        let bytes = fs::read(self.paths(digest)?.component).ok()?;
        Some(bytes).filter(|bytes| Digest::of(bytes) == digest)
    }

    /// Records that the component's code, if it is here, links on this host, and how many slots an instance takes.
    /// Returns whether the code and this record will be found again: only then can the code be dropped from memory.
    pub(crate) fn confirm(&self, digest: Digest, slots: u32) -> bool {
        let Some(paths) = self.paths(digest) else { return false };
        let stamp = self.read_stamp(&paths, digest).filter(|stamp| has_code(&paths, stamp));
        let Some(stamp) = stamp else { return false };
        let stamp = ArtifactStamp { host: self.host, slots, ..stamp };
        self.write(&paths.stamp, stamp.text(digest).as_bytes()).is_ok()
    }

    /// Removes drafts that a crash left, and the oldest entries beyond the bound. Entries that were used since the
    /// cache was opened stay.
    pub(crate) fn prune(&self) {
        let Some(entries) = self.folder.as_deref().and_then(|folder| fs::read_dir(folder).ok()) else { return };
        let mut unused = Vec::new();
        for entry in entries.flatten() {
            let path = entry.path();
            let modified = entry.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            match path.extension().and_then(|extension| extension.to_str()) {
                // The time of the stamp is that of the last use. Code without a stamp is never used again.
                Some("cwasm" | "wasm") if !path.with_extension("seal").exists() && modified < self.opened => {
                    unused.push((SystemTime::UNIX_EPOCH, path));
                }
                Some("seal") if modified < self.opened => unused.push((modified, path)),
                Some("tmp") if modified + DRAFT_LIFE < self.opened => drop(fs::remove_file(path)),
                _ => {}
            }
        }
        unused.sort();
        for (_, path) in unused.iter().rev().skip(MOST_UNUSED) {
            // The stamp first: code without a stamp is no entry any more, so a crash between the two leaves nothing
            // wrong.
            let _ = fs::remove_file(path.with_extension("seal"));
            let _ = fs::remove_file(path.with_extension("cwasm"));
            let _ = fs::remove_file(path.with_extension("wasm"));
        }
    }

    fn paths(&self, digest: Digest) -> Option<EntryPaths> {
        let code = self.folder.as_ref()?.join(format!("{digest}-{:016x}.cwasm", self.compatibility));
        Some(EntryPaths { stamp: code.with_extension("seal"), component: code.with_extension("wasm"), code })
    }

    /// The stamp of an entry, by whichever build of the host wrote it, unless another user can have written it.
    fn read_stamp(&self, paths: &EntryPaths, digest: Digest) -> Option<ArtifactStamp> {
        trusted(&fs::symlink_metadata(&paths.stamp).ok()?, 0o022).ok()?;
        ArtifactStamp::parse(&fs::read_to_string(&paths.stamp).ok()?, digest)
    }

    /// Writes the whole file or nothing: a process that reads at the same time sees the old file or the new one. The
    /// file is not synced. After a crash of the machine it may hold anything, and its checksum shows that.
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let draft = path.with_extension(format!("{}-{number}.tmp", std::process::id()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let written = file.write_all(content).and_then(|()| fs::rename(&draft, path));
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written
    }
}

/// The files of an entry.
struct EntryPaths {
    code: PathBuf,
    stamp: PathBuf,
    /// Only of a component with debug information.
    component: PathBuf,
}

/// Whether the code is there, belongs to this user alone, and has the length that its stamp names.
fn has_code(paths: &EntryPaths, stamp: &ArtifactStamp) -> bool {
    fs::symlink_metadata(&paths.code).is_ok_and(|code| trusted(&code, 0o022).is_ok() && code.len() == stamp.length)
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Which build of the host this is. Whether a component links depends on the interfaces that the host offers. A binary
/// with another file or time is another host, and it checks again what other hosts recorded.
fn this_host() -> u64 {
    let file = std::env::current_exe().and_then(fs::metadata);
    let file = file.map(|meta| (meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ino(), meta.dev()));
    // If the binary cannot be read, the host is one that never was before, so no stamp is its own.
    let unknown = |_| (u64::from(std::process::id()), 0, 0, 0, hash(&SystemTime::now()));
    hash(&(env!("CARGO_PKG_VERSION"), file.unwrap_or_else(unknown)))
}

/// Makes `folder` if it is missing. The error says why the folder cannot be trusted.
fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    trusted(&fs::symlink_metadata(folder)?, 0o077)
}

/// Checks that the file or folder belongs to this user and has none of the `forbidden` permission bits.
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

/// The SHA-256 of a file, in hex digits. The file is read and not mapped, so that its pages do not become resident.
fn sum_of_file(path: &Path) -> io::Result<String> {
    let (mut file, mut sum, mut chunk) = (File::open(path)?, Sha256::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&sum.finalize())),
            read => sum.update(&chunk[..read]),
        }
    }
}

#[cfg(test)]
mod tests;
