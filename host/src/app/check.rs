//! `atoll check`: everything that `run` would find wrong, without serving.

use super::assembly::assemble;
use super::load;
use std::path::Path;

/// The size of a manifest that passed the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The number of services.
    pub services: usize,
    /// The number of services with a component. Each of them was compiled and linked.
    pub components: usize,
    /// The number of routes.
    pub routes: usize,
}

/// Checks the manifest, every component that it names, and that they fit each other and the routes. It opens no socket
/// and no store.
///
/// # Errors
/// Everything that is wrong with the manifest; otherwise with its components; otherwise everything that does not fit
/// together.
pub async fn check(path: &Path) -> anyhow::Result<Summary> {
    let manifest = load::manifest(path)?;
    let runtime = load::engine(&manifest)?;
    let assembly = assemble(&manifest, &runtime).await?;
    Ok(Summary {
        services: manifest.services.len(),
        components: assembly.components.iter().flatten().count(),
        routes: manifest.routes.len(),
    })
}
