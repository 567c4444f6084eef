//! What can go wrong with a service's data.

use crate::base::ErrorKind;
use std::path::PathBuf;

/// Why the store refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A key no longer has the version that the transaction checks. Nothing was applied; read again and repeat.
    #[error("key `{}` has changed since it was read; read it again and repeat", .key.escape_ascii())]
    Conflict {
        /// The first checked key that has changed.
        key: Vec<u8>,
    },
    /// Something is larger than [`limit`](super::limit) allows. Nothing was applied.
    #[error("{what} may not be larger than {limit} {unit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The most that is allowed, in `unit`.
        limit: usize,
        /// What `limit` counts.
        unit: &'static str,
    },
    /// A key without a byte. Nothing was applied.
    #[error("a key has at least one byte")]
    EmptyKey,
    /// A counter's value is no decimal number, or the sum would not fit in 64 bits. Nothing was applied.
    #[error("key `{}` holds no decimal number that the sum could be added to", .key.escape_ascii())]
    NotANumber {
        /// The counter's key.
        key: Vec<u8>,
    },
    /// This service has too many commits waiting. Nothing was applied; try again later.
    #[error("too many commits of this service wait already; try again later")]
    Overloaded,
    /// The host is going down. Nothing was applied.
    #[error("the store is closed")]
    Closed,
    /// Another process has the database open.
    #[error("{} is in use by another host; stop that host, or give this one another `path` in [state]", .path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{} is not a database of this program; move the file away, or set another `path` in [state]", .path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a later version of this program.
    #[error("{} has format {found}, and this version of the program reads format {known}; use a newer version", .path.display())]
    Format {
        /// The database.
        path: PathBuf,
        /// The format that it has.
        found: u64,
        /// The format that this program reads.
        known: u64,
    },
    /// The database is damaged.
    #[error("{} is damaged ({detail}); nothing was deleted: keep a copy, and restore the file from a backup", .path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What the database found.
        detail: String,
    },
    /// The disk failed, or is full. A commit that fails so is on disk whole or not at all, and only reading can tell which.
    #[error("{}: {detail}", .path.display())]
    Io {
        /// The database.
        path: PathBuf,
        /// What the system said, and what to do where that is known.
        detail: String,
    },
}

impl StateError {
    /// The kind of a failed call that this error makes; `None` where the guest that asked has to deal with it.
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Conflict { .. } | Self::TooLarge { .. } | Self::EmptyKey | Self::NotANumber { .. } => None,
            Self::Overloaded => Some(ErrorKind::Overloaded),
            Self::Closed => Some(ErrorKind::Draining),
            Self::InUse { .. }
            | Self::NotADatabase { .. }
            | Self::Format { .. }
            | Self::Corrupt { .. }
            | Self::Io { .. } => Some(ErrorKind::Host),
        }
    }

    /// Whether asking again can help: after reading again for [`StateError::Conflict`], after a while for [`StateError::Overloaded`].
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::Overloaded)
    }

    /// What the guest may see: no path, nothing of the host.
    pub fn for_guest(&self) -> String {
        if self.kind() == Some(ErrorKind::Host) { "the store failed".into() } else { self.to_string() }
    }
}
