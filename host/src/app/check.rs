//! Everything that `run` would find wrong, without serving.

use super::build;
use std::path::Path;

/// What a manifest holds that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its services.
    pub services: usize,
    /// Those of them with a component, each compiled and linked.
    pub components: usize,
    /// Its routes.
    pub routes: usize,
}

/// Checks the manifest and every component that it names. It opens no socket and no store.
///
/// # Errors
/// All faults of the manifest, or else all of its components.
pub async fn check(path: &Path) -> anyhow::Result<Summary> {
    let manifest = build::manifest(path)?;
    let runtime = build::engine(&manifest)?;
    let components = build::components(&manifest, &runtime).await?;
    Ok(Summary {
        services: manifest.services.len(),
        components: components.iter().flatten().count(),
        routes: manifest.routes.len(),
    })
}
