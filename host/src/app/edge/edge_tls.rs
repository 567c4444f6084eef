//! The TLS of both edges: its files are checked with the manifest, read at the start, and watched while the host
//! serves.

use super::development_authority;
use crate::acme::CertificateKeeper;
use crate::app::late_findings::LateFindings;
use crate::config::{Finding, Manifest, ManifestErrors, TlsConfig};
use crate::listen::{AcmeChallenges, Listener, ServerTls, TlsFile, TlsFileError};
use crate::mesh::Tls;
use crate::telemetry::TlsMetrics;
use anyhow::Context;
use std::sync::Arc;
use tokio::task::JoinSet;

/// The TLS of the edges that have some.
#[derive(Clone)]
pub(in crate::app) struct EdgeTls {
    pub(super) gateway: Option<Arc<ServerTls>>,
    pub(in crate::app) admin: Option<Arc<ServerTls>>,
}

/// The TLS sections of the manifest, each with its edge.
fn sections(manifest: &Manifest) -> impl Iterator<Item = &TlsConfig> {
    manifest.gateway.tls.iter().map(|tls| &tls.tls).chain(&manifest.admin.tls)
}

/// Reads the files of both edges, and adds what is wrong with them to the findings. Returns what is doubtful about
/// them.
///
/// The certificate of the development authority is made at the start, so there may be none yet.
pub(in crate::app) fn check(manifest: &Manifest, findings: &mut LateFindings<'_>) -> Vec<Finding> {
    let mut warnings = Vec::new();
    let has_files = |tls: &&TlsConfig| !tls.settings.certificates.is_empty() || tls.acme.is_some();
    for tls in sections(manifest).filter(|tls| tls.development.is_none()).filter(has_files) {
        if let Some(path) = tls.acme.as_ref().and_then(|acme| acme.ca.as_deref())
            && let Err(error) = Tls::with_ca(path)
        {
            let file = TlsFile::Cert(tls.settings.certificates.len());
            findings.edge(manifest.diagnose_tls(tls, file, format!("`ca` of `acme`: {error}"), error.help()));
        }
        match ServerTls::check(&tls.settings) {
            Ok(found) => {
                let help = "have it renewed: clients refuse it";
                warnings.extend(found.into_iter().map(|(file, text)| manifest.diagnose_tls(tls, file, text, help)));
            }
            Err(errors) => errors.iter().for_each(|error| findings.edge(finding(manifest, tls, error))),
        }
    }
    warnings
}

fn finding(manifest: &Manifest, tls: &TlsConfig, error: &TlsFileError) -> Finding {
    manifest.diagnose_tls(tls, error.file, error.to_string(), error.help())
}

impl EdgeTls {
    /// Reads the files, and makes the certificate of the development authority if that is wanted. `announce` gets a
    /// line that says how to trust it.
    ///
    /// # Errors
    /// Everything that is wrong with the files ([`ManifestErrors`]); the authority cannot be made.
    pub(in crate::app) fn load(manifest: &Manifest, announce: &impl Fn(&str)) -> anyhow::Result<Self> {
        let mut folders: Vec<_> = sections(manifest).filter_map(|tls| tls.development.as_deref()).collect();
        folders.dedup();
        for folder in folders {
            let authority = development_authority::renew(folder).with_context(|| {
                format!("`self_signed` needs a certificate, which cannot be made in {}", folder.display())
            })?;
            announce(&format!(
                "development certificate: trust {0} alone in your tools, as `curl --cacert {0}` does, or import it",
                authority.display()
            ));
        }
        let load = |tls: &TlsConfig| {
            let loaded = ServerTls::load(tls.settings.clone()).map(Arc::new);
            loaded.map_err(|errors| errors.iter().map(|error| finding(manifest, tls, error)).collect::<Vec<_>>())
        };
        let gateway = manifest.gateway.tls.as_ref().map(|tls| load(&tls.tls)).transpose();
        let admin = manifest.admin.tls.as_ref().map(load).transpose();
        match (gateway, admin) {
            (Ok(gateway), Ok(admin)) => Ok(Self { gateway, admin }),
            (gateway, admin) => {
                let findings = gateway.err().into_iter().chain(admin.err()).flatten().collect();
                Err(ManifestErrors::from_findings(findings).expect("each error is a finding").into())
            }
        }
    }

    /// The edges that have TLS, each with its name.
    pub(in crate::app) fn named(&self) -> impl Iterator<Item = (&'static str, &Arc<ServerTls>)> {
        let edges = [("gateway", &self.gateway), ("admin", &self.admin)];
        edges.into_iter().filter_map(|(name, tls)| tls.as_ref().map(|tls| (name, tls)))
    }

    /// What the gateway proves by HTTP to an authority, if the host obtains its certificate by itself.
    pub(in crate::app) fn challenges(&self, manifest: &Manifest) -> Option<Arc<AcmeChallenges>> {
        manifest.gateway.tls.as_ref()?.tls.acme.as_ref()?;
        self.gateway.as_ref().map(|tls| Arc::clone(tls.challenges()))
    }

    /// What they count.
    pub(in crate::app) fn metrics(&self) -> Vec<(&'static str, Arc<TlsMetrics>)> {
        self.named().map(|(name, tls)| (name, Arc::clone(tls.metrics()))).collect()
    }

    /// Opens what keeps the certificate of the gateway valid, if the host obtains it by itself.
    ///
    /// # Errors
    /// Its folder cannot be made or read.
    pub(in crate::app) fn keeper(&self, manifest: &Manifest) -> anyhow::Result<Option<CertificateKeeper>> {
        let acme = manifest.gateway.tls.as_ref().and_then(|tls| tls.tls.acme.clone());
        let (Some(acme), Some(tls)) = (acme, &self.gateway) else { return Ok(None) };
        let keeper = CertificateKeeper::open(acme, Arc::clone(tls));
        Ok(Some(keeper.context("`acme` of [gateway.tls]")?))
    }

    /// Begins to watch the files, and to renew the development certificate.
    pub(in crate::app) fn watch(&self, manifest: &Manifest, upkeep: &mut JoinSet<()>) {
        for (name, tls) in self.named() {
            upkeep.spawn(Arc::clone(tls).watch(name));
        }
        if let Some(folder) = sections(manifest).find_map(|tls| tls.development.clone()) {
            upkeep.spawn(development_authority::keep(folder));
        }
    }

    /// Binds the sockets of both edges: of the gateway, then of the admin.
    ///
    /// # Errors
    /// An address is in use.
    pub(in crate::app) async fn bind(&self, manifest: &Manifest) -> anyhow::Result<(Listener, Listener)> {
        let mut gateway = Listener::bind(manifest.gateway.listen.clone()).await.context("the gateway")?;
        if let (Some(config), Some(tls)) = (&manifest.gateway.tls, &self.gateway) {
            gateway = gateway.and_secure(config.address, Arc::clone(tls)).await.context("the gateway by TLS")?;
        }
        let mut admin = Listener::bind(manifest.admin.listen.clone()).await.context("the admin")?;
        if let Some(tls) = &self.admin {
            admin = admin.secured(Arc::clone(tls));
        }
        Ok((gateway, admin))
    }
}
