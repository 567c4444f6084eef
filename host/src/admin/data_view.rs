//! The wire types of exports, imports and snapshots of a service's data.

use serde::{Deserialize, Serialize};

/// What an import has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedView {
    /// Entries that were written.
    pub written: u64,
    /// Entries that were there already, with the same value.
    pub same: u64,
}

/// A snapshot of a service's data, in a file of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotView {
    /// Its name: the time when it was made, and the version of the database's latest commit then.
    pub name: String,
    /// The file on the host.
    pub path: String,
    /// The bytes of the file.
    pub bytes: u64,
}
