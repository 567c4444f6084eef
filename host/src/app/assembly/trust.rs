//! The root certificates of each service's TLS connections, and of those to registries.

use super::registries::Registries;
use crate::app::late_findings::LateFindings;
use crate::config::{LateFindingKey, Manifest, ServiceConfig};
use crate::discovery::{RegistryAddress, SourceAccess, SourceAddress};
use crate::mesh::{Tls, TlsError};
use crate::rollout::ServiceSpec;
use http::uri::Scheme;
use std::sync::Arc;

/// What is deployed for each service, in the order of the manifest, with the TLS of its connections. Roots that cannot
/// be read are findings of the service that needs them.
pub(super) fn specs(manifest: &Manifest, findings: &mut LateFindings<'_>) -> Vec<ServiceSpec> {
    let mut roots = Roots::default();
    let access = roots.for_registries(manifest);
    let mut unread = |service: &ServiceConfig, error: &TlsError| {
        let name = &service.spec.name;
        findings.service(name, LateFindingKey::Ca, format!("service `{name}`: {error}"), error.help());
    };
    let specs = manifest.services.iter().map(|service| {
        let mut spec = service.spec.clone();
        match &access {
            _ if registries(service).next().is_none() => {}
            Ok(access) => spec.addresses.sources.access = access.clone(),
            Err(error) => unread(service, error),
        }
        let mut tls =
            |found: Result<Option<Tls>, TlsError>| found.map_err(|error| unread(service, &error)).ok().flatten();
        spec.addresses.dial.tls = tls(roots.for_addresses(service));
        spec.grants.dial.tls = tls(roots.for_outside(service));
        spec
    });
    specs.collect()
}

/// The system's roots. They are read once, and only if a service needs them.
#[derive(Default)]
struct Roots {
    system: Option<Tls>,
}

impl Roots {
    fn for_addresses(&mut self, service: &ServiceConfig) -> Result<Option<Tls>, TlsError> {
        let https = service.spec.addresses.urls.iter().any(|url| SourceAddress::is_secure(&url.base));
        match &service.ca {
            _ if !https => Ok(None),
            Some(ca) => Tls::with_ca(ca).map(Some),
            None => self.system().map(Some),
        }
    }

    fn for_outside(&mut self, service: &ServiceConfig) -> Result<Option<Tls>, TlsError> {
        if service.spec.grants.egress.rules().is_empty() { Ok(None) } else { self.system().map(Some) }
    }

    /// What asks the registries of all services. With roots that cannot be read, each of those services has a finding.
    fn for_registries(&mut self, manifest: &Manifest) -> Result<SourceAccess, TlsError> {
        let settings = &manifest.discovery;
        let mut tls = [None, None, None, None];
        for address in manifest.services.iter().flat_map(registries) {
            let server = address.server.as_ref().or(settings.cluster.as_ref());
            let RegistryAddress { kind, .. } = address;
            if tls[kind as usize].is_none() && server.is_some_and(|server| server.scheme() == Some(&Scheme::HTTPS)) {
                let login = settings.login(kind);
                tls[kind as usize] = Some(login.ca.as_deref().map_or_else(|| self.system(), Tls::with_ca)?);
            }
        }
        Ok(SourceAccess { settings: Arc::new(settings.clone()), http: Some(Arc::new(Registries::new(tls))) })
    }

    fn system(&mut self) -> Result<Tls, TlsError> {
        let tls = self.system.take().map_or_else(Tls::system, Ok)?;
        Ok(self.system.insert(tls).clone())
    }
}

/// The registries that the addresses of a service name.
fn registries(service: &ServiceConfig) -> impl Iterator<Item = RegistryAddress> + '_ {
    service.spec.addresses.urls.iter().filter_map(|url| RegistryAddress::of(&url.base)?.ok())
}
