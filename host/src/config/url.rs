//! The addresses of plain HTTP services: `urls` of a `[service.NAME]`, and how they are reached.

use crate::config::file::{File, Wanted};
use crate::config::kind::{Count, KindError, List, ValueKind, refused};
use crate::config::measure::{Duration, HOUR};
use crate::config::pair::Pair;
use crate::config::place::{Places, ServiceKey};
use crate::config::section::{ManifestKey, Section};
use http::Uri;
use http::uri::Scheme;
use std::path::{Path, PathBuf};
use std::time;
use toml::Spanned;
use toml::de::DeValue;

/// An address that serves a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Scheme, `http` or `https`, host and port, nothing more. The host is an IP address or a name, each of whose addresses is an endpoint.
    pub base: Uri,
    /// Its share of the calls beside the other endpoints of the service: 1 to 1000.
    pub weight: u16,
}

static URLS: ManifestKey<List<Pair<HttpAddress, Count<u16>>>> = ManifestKey {
    name: "urls",
    kind: List { of: Pair { name: "url", of: HttpAddress, about: &WEIGHT }, max: 64 },
    default: None,
};
/// Of a service, for its replicas, and of one address of it.
pub(super) static WEIGHT: ManifestKey<Count<u16>> =
    ManifestKey { name: "weight", kind: Count { min: 1, max: 1000 }, default: Some("1") };
static CA: ManifestKey<File> = ManifestKey { name: "ca", kind: File, default: None };
/// Below a second the names' servers would feel it.
static DNS: ManifestKey<Duration> =
    ManifestKey { name: "dns", kind: Duration { min: 1000, max: HOUR }, default: Some(r#""30s""#) };

const AUTHORITIES: Wanted = Wanted {
    name: "the certificates",
    is_folder: false,
    mistaken: "name the PEM file itself",
    absent: "correct the path, or leave `ca` out to trust what the system trusts",
};

/// The addresses of one service, no two the same, and how they are reached.
pub(super) struct Urls {
    pub(super) all: Vec<Url>,
    /// Whether there is no address and none was meant; one that is wrong was noted.
    pub(super) none: bool,
    pub(super) ca: Option<PathBuf>,
    pub(super) dns: time::Duration,
}

impl Urls {
    /// Reads them, and notes where they stand in `places`; `folder`: where relative paths begin.
    pub(super) fn read(service: &mut Section<'_>, folder: &Path, places: &mut Places<ServiceKey>) -> Self {
        let report = service.report;
        let (urls, ca, dns) = (service.find(&URLS), service.find(&CA), service.get(&DNS));
        places.note(ServiceKey::Ca, urls.as_ref());
        places.note(ServiceKey::Ca, ca.as_ref());
        let wrong = urls.is_none() && service.has(URLS.name);
        let none = service.lacks(URLS.name) || urls.as_ref().is_some_and(|urls| urls.value.is_empty());
        let all = urls.map_or_else(Vec::new, |urls| {
            let all = urls.value.into_iter().map(|item| {
                let (base, weight) = item.into_inner();
                Spanned::new(base.span(), Url { base: base.into_inner(), weight })
            });
            report.distinct(all.collect(), |url| url.base.clone())
        });
        if let Some(ca) = &ca
            && !wrong
            && !all.iter().any(|url| url.base.scheme() == Some(&Scheme::HTTPS))
        {
            let message = "`ca` has no effect, since no address of the service is https://";
            report.push_if_whole(ca.place.clone(), message, "write https:// in `urls`, or leave `ca` out");
        }
        let ca = ca.map(|found| AUTHORITIES.at(&found, folder, report));
        Self { all, none, ca, dns }
    }
}

/// Scheme, host and port, nothing more.
struct HttpAddress;

impl ValueKind for HttpAddress {
    type Value = Uri;

    fn accepts(&self) -> String {
        "an http:// or https:// address".into()
    }

    fn help(&self) -> String {
        "write scheme, host and port: \"http://127.0.0.1:5001\", or \"https://users.example.com\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Uri, Vec<KindError>> {
        let text = value.get_ref().as_str().ok_or_else(|| refused(self, value))?;
        let problem =
            |says: &str, help: &str| vec![KindError { span: value.span(), says: says.into(), help: help.into() }];
        let uri: Uri = text.parse().map_err(|_| refused(self, value))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(refused(self, value));
        };
        if authority.as_str().contains('@') {
            return Err(problem("must not hold a user or a password", &self.help()));
        }
        if uri.path() != "/" || uri.query().is_some() || text.contains('#') {
            return Err(problem(
                "must end after the host and port, without path or query",
                "paths come from the request; a route changes them with `strip_prefix` or `rewrite`",
            ));
        }
        // `Uri` lets a port stand that is none, and then says that there is no port.
        let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        let port_is_right = port.is_empty() || authority.port_u16().is_some_and(|port| port > 0);
        let usable = [Scheme::HTTP, Scheme::HTTPS].contains(scheme) && !authority.host().is_empty() && port_is_right;
        usable.then_some(uri).ok_or_else(|| refused(self, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Uri, String> {
        let quoted = format!("\"{text}\"");
        let value = DeValue::parse(&quoted).expect("a string");
        HttpAddress.read(&value).map_err(|problems| problems.into_iter().map(|problem| problem.says).collect())
    }

    #[test]
    fn an_address_is_scheme_host_and_port() {
        for good in [
            "http://127.0.0.1:5001",
            "http://127.0.0.1:5001/",
            "http://legacy.internal",
            "http://[::1]:80",
            "https://a",
            "HTTPS://a:1",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
        for (bad, said) in [
            ("127.0.0.1:5001", "an http:// or https:// address"),
            ("ftp://a:1", "an http:// or https:// address"),
            ("http://", "an http:// or https:// address"),
            ("http://a:0", "an http:// or https:// address"),
            ("http://a:", "an http:// or https:// address"),
            ("http://a:65536", "an http:// or https:// address"),
            ("/users", "an http:// or https:// address"),
            ("https://", "an http:// or https:// address"),
            ("https://a:0", "an http:// or https:// address"),
            ("http://u:p@a:1", "user or a password"),
            ("http://a:1/base", "without path or query"),
            ("http://a:1?q=1", "without path or query"),
            ("http://a:1/#f", "without path or query"),
        ] {
            let says = read(bad).expect_err(bad);
            assert!(says.contains(said), "{bad}: {says}");
        }
    }
}
