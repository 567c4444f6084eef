//! `atoll check`: everything that `run` would find wrong, without serving.

use crate::app::assembly::check::check_all;
use crate::app::assembly::known_components::KnownComponents;
use crate::app::assembly::load;
use crate::config::Finding;
use std::path::Path;

/// The size of a manifest that passed the check.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The number of services.
    pub services: usize,
    /// The number of services with a component. Each of them was compiled and linked.
    pub components: usize,
    /// The number of routes.
    pub routes: usize,
    /// What is probably not meant as it is written.
    pub warnings: Vec<Finding>,
}

/// Checks the manifest, every component that it names, and that they fit each other and the routes. It opens no socket
/// and no store.
///
/// # Errors
/// Everything that is wrong with the manifest and its components, and everything that does not fit together.
pub async fn check(path: &Path) -> anyhow::Result<Summary> {
    let draft = load::manifest(path)?;
    let (manifest, assembly) = (&draft.manifest, check_all(&draft, &KnownComponents::None).await?);
    Ok(Summary {
        services: manifest.services.len(),
        components: assembly.components.iter().flatten().count(),
        routes: manifest.routes.len(),
        warnings: assembly.warnings,
    })
}
