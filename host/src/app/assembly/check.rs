//! A manifest and its components, assembled only to see what is wrong with them.

use super::known_components::KnownComponents;
use super::load::{self, Compile};
use super::routed_places::RoutedPlaces;
use super::{Assembly, assemble};
use crate::config::Draft;

/// Loads the components for a check, and assembles them. Those that are `known` are not refused for their WIT files.
///
/// # Errors
/// Everything that is wrong with the manifest and its components, and everything that does not fit together.
pub(in crate::app) async fn check_all(draft: &Draft, known: &KnownComponents) -> anyhow::Result<Assembly> {
    match load::engine(&draft.manifest) {
        Ok(runtime) => {
            assemble(draft, &runtime, (Compile::Now, false, known), (&mut RoutedPlaces::default(), Vec::new())).await
        }
        // Settings that are wrong were replaced by their defaults, so the engine's error may be of nobody's making.
        Err(error) => Err(draft.errors().map_or(error, Into::into)),
    }
}
