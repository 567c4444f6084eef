//! Compiled code on disk, so that a warm start compiles nothing.
//!
//! An entry is machine code that the host will run: whoever can write it owns the host. So the folder must belong to this user and be
//! closed to others, and an entry that does not is rebuilt. An entry's name holds the component's digest and a hash of everything that
//! the code depends on (Wasmtime's version, its settings, the processor), so a foreign entry is never found. Beside the code lies its
//! [`ArtifactStamp`]: code that is not what was sealed is never mapped.
#![allow(
    unsafe_code,
    reason = "`deserialize_file` trusts the file; the checks of this module are what makes that sound"
)]

use super::compilers::Compilers;
use super::error::LoadError;
use super::seal::{ArtifactStamp, hex};
use crate::base::Digest;
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

/// Entries that are kept though this host has not asked for them; the oldest go first. A component's code is a few MiB.
const MOST_UNUSED: usize = 512;
/// A draft that is older was left by a crash: nobody writes for so long.
const DRAFT_LIFE: Duration = Duration::from_secs(3600);
/// Bytes of code that are read at a time to sum them up.
const CHUNK: usize = 64 << 10;

/// The folder of compiled code; without one (it cannot be made, or is not private) everything is compiled afresh.
pub(super) struct Cache {
    folder: Option<PathBuf>,
    /// Hash of what compiled code depends on besides the component.
    compatibility: u64,
    /// Which host this is, among all that may have sealed an entry.
    host: u64,
    opened: SystemTime,
    /// Numbers temporary files, so that two compilations of one component do not write the same one.
    next: AtomicU64,
    compilers: Compilers,
}

impl Cache {
    /// Opens or makes `folder`. A folder that cannot be used is a warning: the host then compiles at every start.
    pub(super) fn open(folder: &Path, engine: &Engine) -> Self {
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

    /// The seal of a component whose code is here, and was found to link by this very host. The code itself is not looked at: whether it
    /// is as it was sealed shows when it is loaded.
    pub(super) fn seal(&self, digest: Digest) -> Option<ArtifactStamp> {
        let paths = self.paths(digest)?;
        let seal = self.sealed(&paths, digest).filter(|seal| seal.host == self.host)?;
        if !is_there(&paths, &seal) {
            return None;
        }
        // The time of its last use: what nobody uses goes first.
        let used = File::open(&paths.seal).and_then(|file| file.set_times(FileTimes::new().set_modified(self.opened)));
        used.ok().map(|()| seal)
    }

    /// The code of the component `bytes`, from the cache or compiled now.
    pub(super) fn get_or_compile(&self, engine: &Engine, digest: Digest, bytes: &[u8]) -> Result<Code, LoadError> {
        self.get(engine, digest).map_or_else(|| self.compile(engine, digest, bytes), Ok)
    }

    /// The code of the component `bytes`, compiled now and then kept. Until it is [confirmed](Cache::confirm), its seal says that nobody
    /// knows whether it links.
    pub(super) fn compile(&self, engine: &Engine, digest: Digest, bytes: &[u8]) -> Result<Code, LoadError> {
        let started = std::time::Instant::now();
        let artifact = self
            .compilers
            .run(|| engine.precompile_component(bytes))
            .map_err(|error| LoadError::Invalid(format!("{error:#}")))?;
        tracing::debug!(digest = %digest.short(), ms = started.elapsed().as_millis(), "compiled");
        if let Some(paths) = self.paths(digest) {
            let seal = ArtifactStamp {
                length: artifact.len() as u64,
                sum: hex(&Sha256::digest(&artifact)),
                host: 0,
                slots: 0,
            };
            let kept = self.write(&paths.code, &artifact);
            match kept.and_then(|()| self.write(&paths.seal, seal.text(digest).as_bytes())) {
                Ok(()) => {
                    if let Some(code) = self.get(engine, digest) {
                        return Ok(code);
                    }
                }
                Err(error) => tracing::warn!(path = %paths.code.display(), %error, "compiled code is not kept"),
            }
        }
        // SAFETY: `artifact` came out of this engine's compiler a moment ago and has not left this function.
        unsafe { Code::deserialize(engine, &artifact) }.map_err(|error| LoadError::Invalid(format!("{error:#}")))
    }

    /// The code of a component, mapped into memory; `None` when it is missing, not private, not as it was sealed, or not from a compatible
    /// engine.
    pub(super) fn get(&self, engine: &Engine, digest: Digest) -> Option<Code> {
        let paths = self.paths(digest)?;
        if !paths.code.try_exists().unwrap_or(true) {
            return None;
        }
        let code = self.sealed(&paths, digest).ok_or_else(|| io::Error::other("it has no seal"));
        let code = code.and_then(|seal| {
            trusted(&fs::symlink_metadata(&paths.code)?, 0o022)?;
            if sum_of_file(&paths.code)? != seal.sum {
                return Err(io::Error::other("it is damaged"));
            }
            // SAFETY: the folder and the file belong to this user and nobody else can write them (checked above and in `open`); the
            // file holds, byte for byte, what the compiler made (its sum is that of its seal); and Wasmtime itself refuses an artifact
            // of another version or configuration.
            unsafe { Code::deserialize_file(engine, &paths.code) }.map_err(io::Error::other)
        });
        code.inspect_err(|error| tracing::warn!(path = %paths.code.display(), %error, "compiled code is rebuilt")).ok()
    }

    /// Notes that the component's code, if it is here, links on this host, and how many slots an instance takes. Answers whether that will
    /// be found again: only then can the code be let go.
    pub(super) fn confirm(&self, digest: Digest, slots: u32) -> bool {
        let Some(paths) = self.paths(digest) else { return false };
        let sealed = self.sealed(&paths, digest).filter(|seal| is_there(&paths, seal));
        let Some(seal) = sealed else { return false };
        let seal = ArtifactStamp { host: self.host, slots, ..seal };
        self.write(&paths.seal, seal.text(digest).as_bytes()).is_ok()
    }

    /// Removes drafts that a crash left, and the oldest entries beyond the bound; what was asked for since the cache was opened stays.
    pub(super) fn prune(&self) {
        let Some(entries) = self.folder.as_deref().and_then(|folder| fs::read_dir(folder).ok()) else { return };
        let mut unused = Vec::new();
        for entry in entries.flatten() {
            let path = entry.path();
            let modified = entry.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            match path.extension().and_then(|extension| extension.to_str()) {
                // Its seal's time says when it was last used. One without a seal is never used again.
                Some("cwasm") if !path.with_extension("seal").exists() && modified < self.opened => {
                    unused.push((SystemTime::UNIX_EPOCH, path));
                }
                Some("seal") if modified < self.opened => unused.push((modified, path)),
                Some("tmp") if modified + DRAFT_LIFE < self.opened => drop(fs::remove_file(path)),
                _ => {}
            }
        }
        unused.sort();
        for (_, path) in unused.iter().rev().skip(MOST_UNUSED) {
            // The seal first: without it the code is not an entry any more.
            let _ = fs::remove_file(path.with_extension("seal"));
            let _ = fs::remove_file(path.with_extension("cwasm"));
        }
    }

    fn paths(&self, digest: Digest) -> Option<Paths> {
        let code = self.folder.as_ref()?.join(format!("{digest}-{:016x}.cwasm", self.compatibility));
        Some(Paths { seal: code.with_extension("seal"), code })
    }

    /// The seal, whoever wrote it, if nobody else can have.
    fn sealed(&self, paths: &Paths, digest: Digest) -> Option<ArtifactStamp> {
        trusted(&fs::symlink_metadata(&paths.seal).ok()?, 0o022).ok()?;
        ArtifactStamp::parse(&fs::read_to_string(&paths.seal).ok()?, digest)
    }

    /// Whole or not at all, also for whoever reads at the same time. After a crash of the machine the file may hold anything: it is not
    /// synced, for its sum tells.
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

/// The two files of an entry.
struct Paths {
    code: PathBuf,
    seal: PathBuf,
}

/// Whether the code is there, nobody else's, and as long as the seal says.
fn is_there(paths: &Paths, seal: &ArtifactStamp) -> bool {
    fs::symlink_metadata(&paths.code).is_ok_and(|code| trusted(&code, 0o022).is_ok() && code.len() == seal.length)
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Which build of the host this is. Whether a component links depends on the interfaces that the host offers; another file of another time is
/// another host, and what it finds sealed by others it checks again.
fn this_host() -> u64 {
    let file = std::env::current_exe().and_then(fs::metadata);
    let file = file.map(|meta| (meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ino(), meta.dev()));
    // Nobody knows: then it is one that never was, and nothing is sealed for it.
    let unknown = |_| (u64::from(std::process::id()), 0, 0, 0, hash(&SystemTime::now()));
    hash(&(env!("CARGO_PKG_VERSION"), file.unwrap_or_else(unknown)))
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

/// The SHA-256 of a file, in hex digits. It is read and not mapped: pages that are only summed up do not become resident.
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
