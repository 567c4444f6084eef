//! `urls`, `ca` and `dns` of a `[service.NAME]`: the plain HTTP addresses that serve it.

use super::late_finding_key::LateFindingKey;
use super::reader::file::{PathKind, RequiredPath};
use super::reader::key::ManifestKey;
use super::reader::key_spans::KeySpans;
use super::reader::kind::{CountKind, KindError, ListKind, ValueKind, refused};
use super::reader::measure::{DurationKind, HOUR};
use super::reader::pair::PairKind;
use super::reader::section::Section;
use crate::discovery::SrvSource;
use crate::mesh::Dial;
use crate::rollout::{AddressSettings, PlainAddress};
use http::Uri;
use http::uri::Scheme;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::DeValue;

static URLS: ManifestKey<ListKind<PairKind<HttpAddressKind, CountKind<u16>>>> = ManifestKey::without_default(
    "urls",
    ListKind { of: PairKind { name: "url", of: HttpAddressKind, extra: &WEIGHT }, max: 64 },
    "Plain HTTP services: scheme, host and port, nothing more. The host is a name or an IP address. The default port \
     is 80, with `https` 443. `weight` is the weight of each of its addresses, as below; the default is 1. \
     `dns+srv://NAME` is what the SRV records of a DNS name point to, `dns+srv://SERVER/NAME` as that name server has \
     them, `dns+srv+https` by TLS.",
);
/// The weight of each replica of a service, and of each address of one of its `urls`.
pub(super) static WEIGHT: ManifestKey<CountKind<u16>> = ManifestKey::new(
    "weight",
    CountKind { min: 1, max: 1000 },
    "1",
    "The share of the calls that each replica gets: of two endpoints that are equally fast, one of weight 2 gets twice \
     as many calls as one of weight 1.",
);
static CA: ManifestKey<PathKind> = ManifestKey::without_default(
    "ca",
    PathKind,
    "A PEM file of root certificates, against which the certificates of the `https` addresses are checked. Absent: the \
     roots of the system.",
);
/// More than one look-up a second would be a burden for the name servers.
static DNS: ManifestKey<DurationKind> = ManifestKey::new(
    "dns",
    DurationKind { min: 1000, max: HOUR },
    r#""30s""#,
    "How often the names in `urls` are resolved again.",
);

const CERTIFICATES: RequiredPath = RequiredPath {
    name: "the certificates",
    is_folder: false,
    wrong_type_help: "name the PEM file itself",
    absent_help: "correct the path, or leave `ca` out to trust what the system trusts",
};

/// The addresses of one service.
pub(super) struct Addresses {
    /// No two of its `urls` are the same.
    pub(super) settings: AddressSettings,
    /// Whether the service has no addresses and none were meant. False if they are wrong: that was reported.
    pub(super) none: bool,
    pub(super) ca: Option<PathBuf>,
}

/// Reads the addresses, and notes their positions in `spans`. Relative paths begin at `folder`; `dial` makes the
/// connections.
pub(super) fn read(
    service: &mut Section<'_>,
    folder: &Path,
    dial: Dial,
    spans: &mut KeySpans<LateFindingKey>,
) -> Addresses {
    let report = service.report;
    let (urls, ca, dns) = (service.find(&URLS), service.find(&CA), service.get(&DNS));
    spans.note(LateFindingKey::Ca, urls.as_ref());
    spans.note(LateFindingKey::Ca, ca.as_ref());
    let wrong = urls.is_none() && service.has(URLS.name);
    let none = service.lacks(URLS.name) || urls.as_ref().is_some_and(|urls| urls.value.is_empty());
    let urls = urls.map_or_else(Vec::new, |urls| {
        let urls = urls.value.into_iter().map(|item| {
            let (base, weight) = item.into_inner();
            Spanned::new(base.span(), PlainAddress { base: base.into_inner(), weight })
        });
        report.distinct(urls.collect(), |url| url.base.clone())
    });
    if let Some(ca) = &ca
        && !wrong
        && !urls.iter().any(|url| is_secure(&url.base))
    {
        let message = "`ca` has no effect, since no address of the service is https://";
        report.push_if_whole(ca.origin.clone(), message, "write https:// in `urls`, or leave `ca` out");
    }
    let ca = ca.map(|found| CERTIFICATES.resolve(&found, folder, report));
    Addresses { settings: AddressSettings { urls, dns, dial }, none, ca }
}

fn is_secure(address: &Uri) -> bool {
    address.scheme() == Some(&Scheme::HTTPS)
        || matches!(SrvSource::of(address), Some(Ok(SrvSource { secure: true, .. })))
}

/// Scheme, host and port, nothing more; or a DNS name with SRV records.
struct HttpAddressKind;

impl ValueKind for HttpAddressKind {
    type Value = Uri;

    fn accepts(&self) -> String {
        "an http://, https:// or dns+srv:// address".into()
    }

    fn help(&self) -> String {
        "write scheme, host and port: \"http://127.0.0.1:5001\", or \"https://users.example.com\"; or a DNS name with \
         SRV records: \"dns+srv://_http._tcp.users.internal\""
            .into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Uri, Vec<KindError>> {
        let text = value.get_ref().as_str().ok_or_else(|| refused(self, value))?;
        let problem = |message: &str, help: &str| {
            vec![KindError { span: value.span(), message: message.into(), help: help.into() }]
        };
        let uri: Uri = text.parse().map_err(|_| refused(self, value))?;
        if let Some(source) = SrvSource::of(&uri) {
            let help = "write the name of the records: \"dns+srv://_http._tcp.users.internal\", or with a name server \
                        \"dns+srv://10.0.0.2:8600/users.service.consul\"";
            return source.map(|_| uri).map_err(|wrong| problem(wrong, help));
        }
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
        // `Uri` accepts a port that is not a number, and then reports that there is no port.
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
        HttpAddressKind.read(&value).map_err(|errors| errors.into_iter().map(|error| error.message).collect())
    }

    #[test]
    fn an_address_has_a_scheme_a_host_and_perhaps_a_port() {
        for good in [
            "http://127.0.0.1:5001",
            "http://127.0.0.1:5001/",
            "http://legacy.internal",
            "http://[::1]:80",
            "https://a",
            "HTTPS://a:1",
            "dns+srv://_http._tcp.users.internal",
            "dns+srv+https://[::1]:53/_http._tcp.users.internal",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
        for (bad, expected) in [
            ("127.0.0.1:5001", "an http://, https:// or dns+srv:// address"),
            ("ftp://a:1", "an http://, https:// or dns+srv:// address"),
            ("http://", "an http://, https:// or dns+srv:// address"),
            ("http://a:0", "an http://, https:// or dns+srv:// address"),
            ("http://a:", "an http://, https:// or dns+srv:// address"),
            ("http://a:65536", "an http://, https:// or dns+srv:// address"),
            ("/users", "an http://, https:// or dns+srv:// address"),
            ("https://", "an http://, https:// or dns+srv:// address"),
            ("https://a:0", "an http://, https:// or dns+srv:// address"),
            ("http://u:p@a:1", "user or a password"),
            ("http://a:1/base", "without path or query"),
            ("http://a:1?q=1", "without path or query"),
            ("http://a:1/#f", "without path or query"),
            ("dns+srv://users", "two labels"),
            ("dns+srv://users.internal:80", "without a port"),
            ("dns+srv://ns.internal/users.internal", "by IP address"),
        ] {
            let message = read(bad).expect_err(bad);
            assert!(message.contains(expected), "{bad}: {message}");
        }
    }
}
