//! What the history says at a start: which components serve in place of the manifest's, and which canaries go on.

use crate::archive::{Archive, OpenRollout, Promotion};
use crate::base::{Digest, ServiceName};
use crate::config::Manifest;
use anyhow::Context;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

/// The history at a start.
#[derive(Default)]
pub(super) struct KeptRevisions {
    /// `None`: the host keeps none.
    pub(super) archive: Option<Arc<Archive>>,
    /// The rollouts that were under way when the host ended.
    pub(super) open: Vec<(ServiceName, OpenRollout)>,
    /// The files of the manifest's components.
    pub(super) files: BTreeMap<ServiceName, PathBuf>,
}

impl KeptRevisions {
    /// Opens the history, keeps the manifest's components in it, and puts those that were promoted in their place.
    ///
    /// # Errors
    /// The history cannot be read or written.
    pub(super) fn open(manifest: &mut Manifest) -> anyhow::Result<Self> {
        let files = |manifest: &Manifest| {
            let services = manifest.services.iter();
            services.filter_map(|service| Some((service.spec.name.clone(), service.component.clone()?))).collect()
        };
        let mut kept = Self { files: files(manifest), ..Self::default() };
        let Some(settings) = &manifest.history else { return Ok(kept) };
        let archive = Archive::open(settings).context("the history of revisions ([history])")?;
        for service in &mut manifest.services {
            let name = service.spec.name.clone();
            // A component that cannot be read is told with all other errors of the manifest.
            let Some(bytes) = service.component.as_ref().and_then(|path| fs::read(path).ok()) else { continue };
            let digest = archive.keep(&bytes)?;
            let record = archive.record(&name);
            kept.open.extend(record.open.map(|open| (name.clone(), open)));
            let Some(Promotion { digest: promoted, manifest: replaced }) = record.promoted else { continue };
            if replaced != digest.to_string() {
                tracing::info!(service = %name, "the manifest names another component than before: that one serves");
                archive.change(&name, |record| record.promoted = None)?;
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
        kept.archive = Some(Arc::new(archive));
        Ok(kept)
    }
}
