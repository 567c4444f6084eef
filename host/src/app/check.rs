//! Everything that `run` would find wrong, without serving.

use super::assembly::assemble;
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

/// Checks the manifest, every component that it names, and that they fit each other and the routes. It opens no socket and no store.
///
/// # Errors
/// All faults of the manifest, or else all of its components, or else all that does not fit.
pub async fn check(path: &Path) -> anyhow::Result<Summary> {
    let manifest = build::manifest(path)?;
    let runtime = build::engine(&manifest)?;
    let assembly = assemble(&manifest, &runtime).await?;
    Ok(Summary {
        services: manifest.services.len(),
        components: assembly.parts.iter().flatten().count(),
        routes: manifest.routes.len(),
    })
}
