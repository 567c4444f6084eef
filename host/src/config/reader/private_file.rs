//! A file with a secret that the manifest names.

use super::finding::ValueOrigin;
use std::path::PathBuf;

/// A file with a key or another secret, which nobody but the host need read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateFile {
    /// Where it is.
    pub path: PathBuf,
    /// Where the manifest names it.
    pub(crate) origin: ValueOrigin,
}
