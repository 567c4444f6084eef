//! Packages of WIT that come from several files and folders, of which several may have the same one.

use crate::world::ContractWorld;
use anyhow::Context;
use std::path::{Path, PathBuf};
use wit_bindgen_core::wit_parser::{PackageId, PackageName, Resolve, UnresolvedPackageGroup};

/// Where each package was taken from.
#[derive(Default)]
pub(crate) struct PackageSources(Vec<(PackageName, PathBuf)>);

impl PackageSources {
    /// Reads the WIT in a file or folder, none of whose packages may be there already.
    ///
    /// # Errors
    /// What is there is no WIT, or is there already.
    pub(crate) fn push(resolve: &mut Resolve, path: &Path) -> anyhow::Result<PackageId> {
        // The parser itself takes each name once, and panics at a second time.
        if let Some(name) = names_in(path).iter().find(|name| resolve.package_names.contains_key(*name)) {
            anyhow::bail!("{} has the package `{name}`, which the host itself offers: leave it out", path.display());
        }
        Ok(resolve.push_path(path)?.0)
    }

    /// Takes the WIT in a file or folder. A package that is there already, and is the same contract, is taken once.
    ///
    /// # Errors
    /// What is there is no WIT, or another contract under a name that was taken.
    pub(crate) fn take(&mut self, resolve: &mut Resolve, path: &Path) -> anyhow::Result<PackageId> {
        let names = names_in(path);
        let twice = names.iter().find(|name| resolve.package_names.contains_key(*name));
        let package = match twice {
            None => Self::push(resolve, path)?,
            Some(name) => {
                let (before, here) = (self.place_of(name), path.display());
                // Nor does it take one again that it has, so this part is read by itself.
                let (alone, package) = ContractWorld::packages(path).with_context(|| {
                    format!("package `{name}` is in {before}, and in {here}, which cannot be read by itself")
                })?;
                let merged = resolve.merge(alone).with_context(|| {
                    format!("package `{name}` is in {before}, and in {here} as another contract: leave one of them out")
                })?;
                merged.packages[package.index()]
            }
        };
        self.0.extend(names.into_iter().map(|name| (name, path.to_owned())));
        Ok(package)
    }

    fn place_of(&self, name: &PackageName) -> String {
        let taken = self.0.iter().find(|(taken, _)| taken == name);
        taken.map_or_else(|| "what the host itself offers".to_owned(), |(_, path)| path.display().to_string())
    }
}

/// The names of the packages in a file, or in a folder and its `deps`. What cannot be read has none: whoever reads it
/// in earnest says why.
fn names_in(path: &Path) -> Vec<PackageName> {
    let mut groups = vec![group(path)];
    for entry in path.join("deps").read_dir().into_iter().flatten().flatten() {
        groups.push(group(&entry.path()));
    }
    let groups = groups.into_iter().flatten();
    groups.flat_map(|group| group.nested.into_iter().chain([group.main])).map(|package| package.name).collect()
}

fn group(path: &Path) -> Option<UnresolvedPackageGroup> {
    if path.is_dir() {
        return UnresolvedPackageGroup::parse_dir(path).ok();
    }
    let text = std::fs::read_to_string(path).ok()?;
    UnresolvedPackageGroup::parse(path, &text).ok()
}
