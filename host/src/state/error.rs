//! What can go wrong with a service's data.

use crate::base::{ErrorKind, ServiceName};
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why the store refused or failed. The text of a cause is not in the text of the error: [`StateError::with_causes`]
/// has both.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A key no longer has the version that the transaction checks. Nothing was applied; read again and repeat.
    #[error("key `{}` has changed since it was read; read it again and repeat", .key.escape_ascii())]
    Conflict {
        /// The first checked key that has changed.
        key: Vec<u8>,
    },
    /// What the host checks in a bucket of its own no longer holds. Nothing was applied.
    #[error("a note of the host has changed")]
    ConflictBeside {
        /// The first checked key that has changed.
        key: Vec<u8>,
        /// The version that it has.
        version: u64,
    },
    /// Something is larger than [`limit`](super::limit) allows. Nothing was applied.
    #[error("{what} may not be larger than {limit} {unit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The largest size that is allowed, in `unit`.
        limit: usize,
        /// What `limit` counts.
        unit: &'static str,
    },
    /// A key is empty. Nothing was applied.
    #[error("a key must have at least one byte")]
    EmptyKey,
    /// A counter's value is no decimal number, or the sum would not fit in 64 bits. Nothing was applied.
    #[error("key `{}` holds no decimal number, or the sum would not fit in 64 bits", .key.escape_ascii())]
    NotANumber {
        /// The counter's key.
        key: Vec<u8>,
    },
    /// This service has too many commits waiting. Nothing was applied; try again later.
    #[error("too many commits of this service are waiting already; try again later")]
    Overloaded,
    /// The host is shutting down. Nothing was applied.
    #[error("the store is closed")]
    Closed,
    /// Another process has the database open.
    #[error(
        "{} is in use by another host; stop that host, or give this one another `path` in [state]",
        .path.display()
    )]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The file is not a database of this program.
    #[error(
        "{} is not a database of this program; move the file away, or set another `path` in [state]",
        .path.display()
    )]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a later version of this program.
    #[error(
        "{} has format {found}, and this version of the program reads format {known}; use a newer version",
        .path.display()
    )]
    Format {
        /// The database.
        path: PathBuf,
        /// The format that it has.
        found: u64,
        /// The format that this program reads.
        known: u64,
    },
    /// The values of the database are encrypted, and there is no key.
    #[error("the values in {} are encrypted; name their key in `encryption` of [state]", .path.display())]
    NoKey {
        /// The database.
        path: PathBuf,
    },
    /// The values of the database are not encrypted, so they have no key.
    #[error("the values in {} are not encrypted: name a key in `encryption`, and restart", .path.display())]
    NotEncrypted {
        /// The database.
        path: PathBuf,
    },
    /// The key that is to be replaced is not named.
    #[error(
        "the key of {} is not replaced: `previous` of `encryption` in [state] is not the key that the database has, so \
         after a crash that manifest might not open it; name the key before as `previous`",
        .path.display()
    )]
    NotPrevious {
        /// The database.
        path: PathBuf,
    },
    /// The values of the database are encrypted with another key.
    #[error(
        "the values in {} are encrypted with another key than that of `encryption` in [state]; \
         if the key was replaced, name the one before it as `previous`",
        .path.display()
    )]
    WrongKey {
        /// The database.
        path: PathBuf,
    },
    /// The database is damaged.
    #[error(
        "{} is damaged ({detail}); nothing was deleted: keep a copy, and restore the file from a backup",
        .path.display()
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What redb found, or the message of its panic. redb gives no error value for it, only a text.
        detail: String,
    },
    /// What the store said when the call was recorded that is replayed now.
    #[error("{text}")]
    Replayed {
        /// What the guest read.
        text: String,
        /// Whether it was told that something is too large.
        too_large: bool,
    },
    /// The database server is away, or refuses to serve now. Nothing was applied; try again later.
    #[error("{place} {}: {problem}", if *cause == "away" { "is away" } else { "takes no writes" })]
    Unavailable {
        /// The server and the database.
        place: String,
        /// What it says, or what has happened to the connection.
        problem: String,
        /// A cause of `atoll_state_failed_commits_total`.
        cause: &'static str,
    },
    /// The database server will not do as it is, or as the manifest says that it is. Nothing was applied.
    #[error("{place} cannot be used: {problem}")]
    Unfit {
        /// The server and the database.
        place: String,
        /// Why, and what to do where that is known.
        problem: String,
    },
    /// Data on the database server are damaged. Nothing was applied, and nothing was deleted.
    #[error(
        "the data are damaged: {problem}; {place} was changed by something else than Atoll, or its disk has failed: \
         restore the data from a backup, or erase those of the service"
    )]
    Damaged {
        /// The server and the database.
        place: String,
        /// What is damaged, and how that was seen.
        problem: String,
        /// The bucket that is damaged, where that is known.
        bucket: Option<ServiceName>,
        /// Its key, where the value of one key is damaged.
        key: Option<Box<[u8]>>,
    },
    /// Another host has the data on the database server.
    #[error(
        "the data `{namespace}` on {place} are in use by another host: stop that host, give this one another \
         `namespace` in [state], or say `shared = true` on both"
    )]
    Taken {
        /// The server and the database.
        place: String,
        /// What the data are called there.
        namespace: String,
    },
    /// Another host has had the data since, or they have gone back: what this host remembers of them no longer holds.
    /// Nothing was applied, and nothing will be.
    #[error("{place}: {problem}; this host writes nothing more there, and has to be started again")]
    Superseded {
        /// The server and the database.
        place: String,
        /// How that was seen.
        problem: &'static str,
    },
    /// The database server cannot do what was asked for, ever.
    #[error("{place} cannot {what}; docs/state-backends.md says which backend can")]
    Unsupported {
        /// The server and the database.
        place: String,
        /// What it was asked for.
        what: &'static str,
    },
    /// The disk failed, or is full. A commit that fails so is on disk whole or not at all, and only reading can tell
    /// which.
    #[error("{}: {problem}", .path.display())]
    Io {
        /// The database.
        path: PathBuf,
        /// What failed, and what to do where that is known.
        problem: &'static str,
        /// The error of the system or of redb, if there was one.
        source: Option<StorageCause>,
    },
}

/// The error of the system or of redb that caused a [`StateError`]. It is shared, since one failed batch is the answer
/// to many commits. Two causes are equal if their texts are.
#[derive(Clone)]
pub struct StorageCause(Arc<dyn Error + Send + Sync>);

impl StorageCause {
    pub(super) fn new(cause: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(cause))
    }

    /// The error of the system, if that is what it is, or what redb's error holds.
    fn system_error(&self) -> Option<&io::Error> {
        let cause: &(dyn Error + 'static) = &*self.0;
        match cause.downcast_ref::<redb::Error>() {
            Some(redb::Error::Io(error)) => Some(error),
            _ => cause.downcast_ref::<io::Error>(),
        }
    }
}

impl StateError {
    /// The kind of error with which the guest's call fails; `None` where the guest itself has to handle this error.
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Conflict { .. }
            | Self::ConflictBeside { .. }
            | Self::TooLarge { .. }
            | Self::EmptyKey
            | Self::NotANumber { .. }
            | Self::Replayed { .. } => None,
            Self::Overloaded => Some(ErrorKind::Overloaded),
            Self::Closed => Some(ErrorKind::Draining),
            Self::InUse { .. }
            | Self::NotADatabase { .. }
            | Self::Format { .. }
            | Self::NoKey { .. }
            | Self::NotEncrypted { .. }
            | Self::NotPrevious { .. }
            | Self::WrongKey { .. }
            | Self::Corrupt { .. }
            | Self::Unavailable { .. }
            | Self::Unfit { .. }
            | Self::Damaged { .. }
            | Self::Taken { .. }
            | Self::Superseded { .. }
            | Self::Unsupported { .. }
            | Self::Io { .. } => Some(ErrorKind::Host),
        }
    }

    /// What it is for the service whose guest asked: a kind of `atoll_state_operations_failed_total`.
    pub fn failure(&self) -> &'static str {
        match self {
            Self::Conflict { .. } | Self::ConflictBeside { .. } => "conflict",
            Self::TooLarge { .. } | Self::EmptyKey | Self::NotANumber { .. } => "invalid",
            Self::Overloaded => "overloaded",
            _ => "unavailable",
        }
    }

    /// Why a commit that failed with this error did not reach the disk: a cause of `atoll_state_failed_commits_total`.
    pub(super) fn write_cause(&self) -> &'static str {
        let source = match self {
            Self::Io { source, .. } => source,
            Self::Corrupt { .. } | Self::Damaged { .. } => return "damaged",
            Self::Unavailable { cause, .. } => return cause,
            Self::Unfit { .. } => return "away",
            // Reads go on.
            Self::Taken { .. } | Self::Superseded { .. } => return "read-only",
            _ => return "io",
        };
        match source.as_ref().and_then(StorageCause::system_error).map(io::Error::kind) {
            // EFBIG is a limit on the file's size: for the store the same as a full disk.
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge) => "full",
            Some(io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied) => "read-only",
            _ => "io",
        }
    }

    /// Whether data are damaged: others are not, and the server is there.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }

    /// Whether another try can help: after a new read for [`StateError::Conflict`], after a while for
    /// [`StateError::Overloaded`] and [`StateError::Unavailable`].
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::Overloaded | Self::Unavailable { .. })
    }

    /// What is wrong, without the place, where the error has both.
    pub(super) fn problem(&self) -> String {
        match self {
            Self::Unavailable { problem, .. } | Self::Unfit { problem, .. } | Self::Damaged { problem, .. } => {
                problem.clone()
            }
            other => other.to_string(),
        }
    }

    /// The text that the guest may see: no path, nothing of the host.
    pub fn for_guest(&self) -> String {
        if matches!(self, Self::Unavailable { .. } | Self::Taken { .. } | Self::Superseded { .. }) {
            return "the store is away; nothing was changed, try again later".into();
        }
        if self.kind() == Some(ErrorKind::Host) { "the store failed".into() } else { self.to_string() }
    }

    /// The error and all its causes in one line, for the log:
    /// `/data/state.redb: the database failed: No space left on device`.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

impl PartialEq for StorageCause {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for StorageCause {}

impl fmt::Debug for StorageCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for StorageCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for StorageCause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
