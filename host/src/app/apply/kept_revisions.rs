//! What the history says of a manifest: which components serve in place of the manifest's, and which canaries go on.

use super::stop_point::stop_point;
use crate::archive::{self, Archive, ArchiveError, OpenRollout, Promotion, ServiceRecord};
use crate::base::{Digest, ServiceName};
use crate::config::Manifest;
use anyhow::Context;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

/// The history at a start.
#[derive(Default)]
pub(in crate::app) struct KeptRevisions {
    /// `None`: the host keeps none.
    pub(in crate::app) archive: Option<Arc<Archive>>,
    /// The rollouts that were under way when the host ended.
    pub(in crate::app) open: Vec<(ServiceName, OpenRollout)>,
    /// The files of the manifest's components.
    pub(in crate::app) files: ComponentFiles,
}

/// The files of a manifest's components, and what the history has to note once they serve.
#[derive(Default)]
pub(in crate::app) struct ComponentFiles {
    /// The files that the manifest names.
    pub(in crate::app) files: BTreeMap<ServiceName, PathBuf>,
    /// The services whose component is another one than before, with the digest of that one: what was promoted for it
    /// serves no more.
    renewed: Vec<(ServiceName, String)>,
}

impl KeptRevisions {
    /// Opens the history, keeps the manifest's components in it, and puts those that were promoted in their place.
    ///
    /// # Errors
    /// The history cannot be read or written.
    pub(in crate::app) fn open(manifest: &mut Manifest) -> anyhow::Result<Self> {
        let open = |settings: &archive::Settings| match manifest.history_stop {
            Some(at) => Archive::open_watched(settings, stop_point(at)),
            None => Archive::open(settings),
        };
        let archive = manifest.history.as_ref().map(open).transpose();
        let archive = archive.context("the history of revisions ([history])")?;
        let files = substitute(manifest, archive.as_ref())?;
        let mut kept = Self { files, ..Self::default() };
        let Some(archive) = archive else { return Ok(kept) };
        kept.files.keep(Some(&archive))?;
        for service in &manifest.services {
            let name = &service.spec.name;
            if kept.files.files.contains_key(name) {
                kept.open.extend(archive.record(name).open.map(|open| (name.clone(), open)));
            }
        }
        kept.archive = Some(Arc::new(archive));
        Ok(kept)
    }
}

impl ComponentFiles {
    /// Keeps the components in the history. Nothing is forgotten: the manifest may still be refused.
    ///
    /// # Errors
    /// The history cannot be written.
    pub(super) fn keep(&self, archive: Option<&Archive>) -> Result<(), ArchiveError> {
        let Some(archive) = archive else { return Ok(()) };
        for path in self.files.values() {
            // A component that cannot be read is told with all other errors of the manifest.
            if let Ok(bytes) = fs::read(path) {
                archive.keep(&bytes)?;
            }
        }
        Ok(())
    }

    /// The manifest serves: forgets what was promoted for components that it has no more, of the services that do
    /// `serve`. If the disk takes nothing, the next start or apply forgets it, for it compares the components too.
    pub(in crate::app) fn renew(&self, archive: Option<&Archive>, serves: impl Fn(&ServiceName) -> bool) {
        let Some(archive) = archive else { return };
        for (name, before) in self.renewed.iter().filter(|(name, _)| serves(name)) {
            tracing::info!(service = %name, "the manifest names another component than before: that one serves");
            // What was promoted meanwhile, in place of the new one, stays.
            let forget = |record: &mut ServiceRecord| {
                record.promoted = record.promoted.take().filter(|promoted| promoted.manifest != *before);
            };
            if let Err(error) = archive.change(name, forget) {
                tracing::warn!(service = %name, %error, "what was promoted before stays in the record");
            }
        }
    }
}

/// Puts the components that were promoted in the place of the manifest's. Nothing is written.
///
/// # Errors
/// The history is damaged.
pub(super) fn substitute(manifest: &mut Manifest, archive: Option<&Archive>) -> anyhow::Result<ComponentFiles> {
    let services = manifest.services.iter();
    let files = services.filter_map(|service| Some((service.spec.name.clone(), service.component.clone()?)));
    let mut found = ComponentFiles { files: files.collect(), renewed: Vec::new() };
    let Some(archive) = archive else { return Ok(found) };
    for service in &mut manifest.services {
        let name = service.spec.name.clone();
        let Some(bytes) = service.component.as_ref().and_then(|path| fs::read(path).ok()) else { continue };
        let digest = Digest::of(&bytes);
        let Some(Promotion { digest: promoted, manifest: replaced }) = archive.record(&name).promoted else { continue };
        if replaced != digest.to_string() {
            found.renewed.push((name, replaced));
            continue;
        }
        let promoted = Digest::parse(&promoted).context("a digest of the history")?;
        if let Err(error) = archive.load(&promoted) {
            tracing::error!(service = %name, %error, "the manifest's component serves in its place");
            continue;
        }
        tracing::info!(
            service = %name, revision = promoted.short(), manifest = digest.short(),
            "what was swapped in serves in place of the manifest's component: `atoll adopt` makes it the manifest's"
        );
        service.component = Some(archive.file(&promoted));
        service.spec.manifest = Some(digest);
    }
    Ok(found)
}
