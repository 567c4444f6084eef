//! The root certificates of each service's TLS connections.

use super::late_findings::LateFindings;
use crate::config::{LateFindingKey, Manifest, ServiceConfig};
use crate::mesh::{Tls, TlsError};
use crate::rollout::ServiceSpec;
use http::uri::Scheme;

/// What is deployed for each service, in the order of the manifest, with the TLS of its connections. Roots that cannot
/// be read are findings of the service that needs them.
pub(super) fn specs(manifest: &Manifest, findings: &mut LateFindings<'_>) -> Vec<ServiceSpec> {
    let mut roots = Roots::default();
    let mut tls = |service: &ServiceConfig, found: Result<Option<Tls>, TlsError>| {
        found.unwrap_or_else(|error| {
            let name = &service.spec.name;
            findings.service(name, LateFindingKey::Ca, format!("service `{name}`: {error}"), error.help());
            None
        })
    };
    let specs = manifest.services.iter().map(|service| {
        let mut spec = service.spec.clone();
        spec.addresses.dial.tls = tls(service, roots.for_addresses(service));
        spec.grants.dial.tls = tls(service, roots.for_outside(service));
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
        let https = service.spec.addresses.urls.iter().any(|url| url.base.scheme() == Some(&Scheme::HTTPS));
        match &service.ca {
            _ if !https => Ok(None),
            Some(ca) => Tls::with_ca(ca).map(Some),
            None => self.system().map(Some),
        }
    }

    fn for_outside(&mut self, service: &ServiceConfig) -> Result<Option<Tls>, TlsError> {
        if service.spec.grants.egress.rules().is_empty() { Ok(None) } else { self.system().map(Some) }
    }

    fn system(&mut self) -> Result<Tls, TlsError> {
        let tls = self.system.take().map_or_else(Tls::system, Ok)?;
        Ok(self.system.insert(tls).clone())
    }
}
