//! `.atoll/admin` beside the manifest: where the admin of the host that serves this manifest listens.

use crate::config::{Manifest, environment};
use rustix::process::{Pid, test_kill_process};
use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The file that a running host leaves. It is removed when this is dropped.
pub(in crate::app) struct AdminFile {
    path: PathBuf,
    text: String,
}

impl AdminFile {
    /// Writes that the admin of the host of `manifest` listens on `address`. Without the file the host serves all the
    /// same, so a failure is only logged.
    pub(in crate::app) fn leave(manifest: &Path, address: SocketAddr, secure: bool) -> Self {
        let scheme = if secure { " https" } else { "" };
        let (path, text) = (path(manifest), format!("{address} {}{scheme}\n", std::process::id()));
        let folder = path.parent().expect("it has a folder");
        let written = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        if let Err(error) = written.and_then(|()| fs::write(&path, &text)) {
            tracing::warn!(path = %path.display(), %error, "the address of the admin is not written down");
        }
        Self { path, text }
    }

    /// Removes what a host that was killed has left, if this process has its number: in a container that is the rule,
    /// and until this host serves the file would be taken for its own.
    pub(in crate::app) fn clear(manifest: &Path) {
        if own_admin(manifest).is_some() {
            let _: io::Result<()> = fs::remove_file(path(manifest));
        }
    }
}

impl Drop for AdminFile {
    fn drop(&mut self) {
        // Another host of this manifest may have replaced the file since.
        if fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            let _: io::Result<()> = fs::remove_file(&self.path);
        }
    }
}

/// Where an admin listens, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAdmin {
    /// The address to connect to.
    pub address: SocketAddr,
    /// Whether by TLS.
    pub secure: bool,
    /// What says so.
    pub source: AdminSource,
}

/// What says where an admin listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminSource {
    /// The file that the running host has left.
    Running(PathBuf),
    /// `listen` in `[admin]` of the manifest, or the variable that overrides it.
    Manifest(PathBuf),
}

impl fmt::Display for AdminSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(path) => write!(f, "by {}", path.display()),
            Self::Manifest(path) => write!(f, "by [admin] of {}", path.display()),
        }
    }
}

/// Where the admin of the host of the manifest at `path` listens: as its running host says; otherwise as the manifest
/// says. `None` if there is no manifest, or if it leaves the port open.
pub fn known_admin(manifest: &Path) -> Option<KnownAdmin> {
    let file = path(manifest);
    let ((address, secure), source) = match running(&file) {
        Some(running) => (running, AdminSource::Running(file)),
        None => {
            let known = Manifest::admin_address(manifest, &environment).filter(|(address, _)| address.port() != 0)?;
            (known, AdminSource::Manifest(manifest.to_owned()))
        }
    };
    Some(KnownAdmin { address: reachable(address), secure, source })
}

/// Where the admin of this process listens, once it serves this manifest. The file may be another host's.
pub fn own_admin(manifest: &Path) -> Option<KnownAdmin> {
    let file = path(manifest);
    let (address, secure) = left_by(&file, |pid| pid == rustix::process::getpid())?;
    Some(KnownAdmin { address: reachable(address), secure, source: AdminSource::Running(file) })
}

/// The development authority of the host of this manifest, if it has made one.
pub fn development_authority(manifest: &Path) -> Option<PathBuf> {
    let authority = manifest.parent().unwrap_or(Path::new("")).join(".atoll/tls/authority.pem");
    authority.is_file().then_some(authority)
}

fn path(manifest: &Path) -> PathBuf {
    manifest.parent().unwrap_or(Path::new("")).join(".atoll/admin")
}

/// The address in `file`, and whether it is one of TLS, if the host that left it still runs: a host that was
/// killed leaves its file behind.
fn running(file: &Path) -> Option<(SocketAddr, bool)> {
    // A process of another user exists too: the signal is refused then.
    left_by(file, |pid| !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
}

/// The address in `file`, and whether it is one of TLS, if `is_meant` says so of the process that left it.
fn left_by(file: &Path, is_meant: impl Fn(Pid) -> bool) -> Option<(SocketAddr, bool)> {
    let text = fs::read_to_string(file).ok()?;
    let mut words = text.split_whitespace();
    let (address, pid) = (words.next()?, words.next()?);
    let secure = words.next() == Some("https");
    let pid = Pid::from_raw(pid.parse().ok()?)?;
    if is_meant(pid) { Some((address.parse().ok()?, secure)) } else { None }
}

/// An admin that listens on every address can be reached on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
