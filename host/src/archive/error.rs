//! Why something was not kept or not found.

use crate::base::Digest;
use std::io;
use std::path::PathBuf;

/// Why the archive failed. The record on the disk is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file or the folder cannot be read or written.
    #[error("the history cannot be kept: {}: {source}", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another host has the folder.
    #[error("another host keeps its history in {}: give each host a `path` of its own in [history]", .0.display())]
    InUse(PathBuf),
    /// A record is none of this version.
    #[error("{} is no record of a service's history: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A component is not there any more.
    #[error("the component {} is not kept any more: swap its file in", .0.short())]
    Gone(Digest),
    /// A component's file is damaged.
    #[error("the kept component {} is damaged: swap its file in", .0.short())]
    Damaged(Digest),
}
