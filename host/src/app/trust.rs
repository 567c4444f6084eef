//! How connections to other hosts are made: whom a service believes that calls by TLS.

use crate::config::{Finding, Manifest, ServiceConfig, ServiceKey};
use crate::mesh::{Dial, Tls, TlsError};
use http::uri::Scheme;

/// How one service's connections are made.
#[derive(Clone)]
pub(super) struct Dials {
    /// To the addresses that serve it.
    pub(super) urls: Dial,
    /// To the outside hosts that it may call.
    pub(super) outside: Dial,
}

/// Those of each service, in the manifest's order. Roots that cannot be read are noted at the place that wants them.
pub(super) fn dials(manifest: &Manifest, findings: &mut Vec<Finding>) -> Vec<Dials> {
    let mut trust = Trust::default();
    let mut tls = |service: &ServiceConfig, found: Result<Option<Tls>, TlsError>| {
        found.unwrap_or_else(|error| {
            let message = format!("service `{}`: {error}", service.name);
            let help = "name a PEM file of root certificates with `ca`";
            findings.push(manifest.diagnose(&service.name, ServiceKey::Ca, message, help));
            None
        })
    };
    let dials = manifest.services.iter().map(|service| {
        let connect = service.connect;
        let urls = Dial { connect, tls: tls(service, trust.of_urls(service)) };
        Dials { urls, outside: Dial { connect, tls: tls(service, trust.of_outside(service)) } }
    });
    dials.collect()
}

/// The system's roots, which are read once and only if somebody needs them.
#[derive(Default)]
struct Trust {
    system: Option<Tls>,
}

impl Trust {
    fn of_urls(&mut self, service: &ServiceConfig) -> Result<Option<Tls>, TlsError> {
        let https = service.urls.iter().any(|url| url.base.scheme() == Some(&Scheme::HTTPS));
        match &service.ca {
            _ if !https => Ok(None),
            Some(ca) => Tls::with_ca(ca).map(Some),
            None => self.system().map(Some),
        }
    }

    fn of_outside(&mut self, service: &ServiceConfig) -> Result<Option<Tls>, TlsError> {
        if service.egress.rules().is_empty() { Ok(None) } else { self.system().map(Some) }
    }

    fn system(&mut self) -> Result<Tls, TlsError> {
        let tls = self.system.take().map_or_else(Tls::system, Ok)?;
        Ok(self.system.insert(tls).clone())
    }
}
