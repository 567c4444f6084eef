//! What keeps clients within bounds: what its operations work on.

use crate::gateway::{Gateway, RateLimit};
use crate::mesh::Mesh;
use std::path::PathBuf;
use std::sync::Arc;

/// What these operations work on.
pub(super) struct Guards {
    pub(super) gateway: Arc<Gateway<Mesh>>,
    pub(super) limits: Vec<Arc<RateLimit>>,
    /// The manifest, in which the key of the database is looked up again.
    pub(super) manifest: PathBuf,
}
