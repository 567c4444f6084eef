//! What keeps clients within bounds: what its operations work on.

use crate::gateway::{Gateway, RateLimit};
use crate::mesh::Mesh;
use std::path::PathBuf;
use std::sync::Arc;

/// What these operations work on.
pub(in crate::app) struct Guards {
    pub(in crate::app) gateway: Arc<Gateway<Mesh>>,
    pub(in crate::app) limits: Vec<Arc<RateLimit>>,
    /// The manifest, in which the key of the database is looked up again.
    pub(in crate::app) manifest: PathBuf,
}
