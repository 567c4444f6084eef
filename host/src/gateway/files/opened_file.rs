//! Opens a file below a folder and nowhere else.

use rustix::fs::{FileType, Mode, OFlags, fstat, open, openat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

/// A file that is open, and what it is.
#[derive(Debug)]
pub(super) struct OpenedFile {
    pub(super) file: File,
    pub(super) length: u64,
    /// When it was changed: seconds since 1970, and nanoseconds.
    pub(super) modified: (u64, u32),
}

/// What is at a path.
#[derive(Debug)]
pub(super) enum Opened {
    File(OpenedFile),
    Folder,
}

/// `NONBLOCK`: without it, to open a pipe would wait for its other end.
const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::DIRECTORY);

/// Opens the folder `root`. It may be a link, which then leads anew at each request: a release is put in place by one.
pub(super) fn open_root(root: &Path) -> io::Result<OwnedFd> {
    Ok(open(root, FOLDER, Mode::empty())?)
}

/// Opens what is at `path`, which is relative, below `root`; `None` if there is nothing that may be served: no file or
/// folder, one that this process may not read, or a link that leads out of `root`.
///
/// # Errors
/// The disk fails, or the process has too many files open.
pub(super) fn open_below(root: BorrowedFd<'_>, path: &Path) -> io::Result<Option<Opened>> {
    if path.as_os_str().is_empty() {
        return Ok(Some(Opened::Folder));
    }
    let opened = match open_beneath(root, path) {
        // An older kernel, or one that is told to refuse the call.
        Err(Errno::NOSYS | Errno::PERM) => open_by_steps(root, path),
        opened => opened,
    };
    match opened {
        Ok(file) => look_at(file),
        Err(error) if is_absence(error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The kernel follows links as long as they stay below `root`, also where somebody moves a folder meanwhile.
#[cfg(target_os = "linux")]
fn open_beneath(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    use rustix::fs::{ResolveFlags, openat2};
    /// How often a path is resolved anew that somebody changes meanwhile.
    const AGAIN: usize = 3;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut opened = Err(Errno::AGAIN);
    for _ in 0..AGAIN {
        opened = openat2(root, path, READ, Mode::empty(), resolve);
        if !matches!(opened, Err(Errno::AGAIN)) {
            break;
        }
    }
    opened
}

#[cfg(not(target_os = "linux"))]
fn open_beneath(_: BorrowedFd<'_>, _: &Path) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

/// Without `openat2` no link is followed at all: between a look at a link and the opening of what it names, it may have
/// become another one.
fn open_by_steps(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let mut names = path.components().peekable();
    let mut folder: Option<OwnedFd> = None;
    while let Some(component) = names.next() {
        let Component::Normal(name) = component else { return Err(Errno::NOENT) };
        let flags = if names.peek().is_some() { FOLDER } else { READ };
        let parent = folder.as_ref().map_or(root, AsFd::as_fd);
        folder = Some(openat(parent, name, flags | OFlags::NOFOLLOW, Mode::empty())?);
    }
    folder.ok_or(Errno::NOENT)
}

/// Whether an error says that there is nothing to serve, and not that something is wrong. `XDEV`: a link leads out.
/// `NXIO`: a socket.
fn is_absence(error: Errno) -> bool {
    let absent = [
        Errno::NOENT,
        Errno::NOTDIR,
        Errno::LOOP,
        Errno::NAMETOOLONG,
        Errno::XDEV,
        Errno::ACCESS,
        Errno::PERM,
        Errno::NXIO,
        Errno::INVAL,
        Errno::ILSEQ,
        Errno::AGAIN,
    ];
    absent.contains(&error)
}

fn look_at(file: OwnedFd) -> io::Result<Option<Opened>> {
    let facts = fstat(&file)?;
    Ok(match FileType::from_raw_mode(facts.st_mode) {
        FileType::Directory => Some(Opened::Folder),
        FileType::RegularFile => {
            let modified =
                (u64::try_from(facts.st_mtime).unwrap_or(0), u32::try_from(facts.st_mtime_nsec).unwrap_or(0));
            let length = u64::try_from(facts.st_size).unwrap_or(0);
            Some(Opened::File(OpenedFile { file: file.into(), length, modified }))
        }
        // A pipe, a socket, a device.
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// What `open` finds at a path: `Some(content)`, or `None`.
    fn found(opened: Result<OwnedFd, Errno>) -> Option<String> {
        match look_at(opened.ok()?).expect("a file can be looked at")? {
            Opened::File(opened) => Some(io::read_to_string(opened.file).expect("text")),
            Opened::Folder => Some("(folder)".into()),
        }
    }

    #[test]
    fn no_link_leads_out_of_the_folder() {
        let outside = tempfile::tempdir().expect("a folder");
        fs::write(outside.path().join("secret"), "secret").expect("written");
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("real")).expect("made");
        fs::write(at("real/a"), "a").expect("written");
        symlink("real", at("inner")).expect("linked");
        symlink("real/a", at("inner-file")).expect("linked");
        symlink(outside.path(), at("out")).expect("linked");
        symlink("../".repeat(20) + "etc/passwd", at("up")).expect("linked");
        symlink("/proc/self/root", at("magic")).expect("linked");
        symlink("loop", at("loop")).expect("linked");
        let root = open_root(folder.path()).expect("the folder");
        let by_steps = |path: &str| found(open_by_steps(root.as_fd(), Path::new(path)));
        let opened = |path: &str| match open_below(root.as_fd(), Path::new(path)).expect("no failure of the disk") {
            Some(Opened::File(opened)) => Some(io::read_to_string(opened.file).expect("text")),
            Some(Opened::Folder) => Some("(folder)".into()),
            None => None,
        };
        for path in ["real/a", "real"] {
            assert_eq!((opened(path), by_steps(path)), (opened(path), opened(path)), "{path}");
            assert!(opened(path).is_some(), "{path}");
        }
        for path in ["out", "out/secret", "up", "magic", "magic/etc/passwd", "loop", "none", "real/a/b", "../real/a"] {
            assert_eq!((opened(path), by_steps(path)), (None, None), "{path}");
        }
        // Links that stay inside: the kernel follows them, if it can be asked to.
        for path in ["inner/a", "inner-file"] {
            assert_eq!(by_steps(path), None, "{path}");
            if cfg!(target_os = "linux") {
                assert_eq!(opened(path).as_deref(), Some("a"), "{path}");
            }
        }
    }

    #[test]
    fn what_is_no_file_is_not_served_and_waits_for_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
        let socket = folder.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        let root = open_root(folder.path()).expect("the folder");
        for name in ["pipe", "socket"] {
            assert!(open_below(root.as_fd(), Path::new(name)).expect("no failure").is_none(), "{name}");
        }
    }
}
