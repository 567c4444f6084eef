//! `[gateway.tls]` and `[admin.tls]`: certificates, the clients' certificates, and what is done about plain HTTP.

use super::acme;
use super::reader::address::SocketAddressKind;
use super::reader::file::PathKind;
use super::reader::finding::ValueOrigin;
use super::reader::key::{ManifestKey, Sourced};
use super::reader::key_spans::KeySpans;
use super::reader::kind::{ChoiceKind, FlagKind, KindError, ListKind, ValueKind, refused, whole};
use super::reader::measure::{DAY, DurationKind, HOUR, MINUTE};
use super::reader::section::Section;
use super::reader::suggest::did_you_mean;
use crate::acme::CertificateKeeper;
use crate::listen::{CertificateFiles, ClientAuth, TlsFile, TlsSettings};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// The TLS of one edge.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    /// The files, and the bounds.
    pub settings: TlsSettings,
    /// The folder of the development authority, whose certificate is the one of `settings`. `None`: the certificates
    /// are the manifest's.
    pub development: Option<PathBuf>,
    /// The certificate that the host obtains by itself, in the last file of `settings`.
    pub acme: Option<crate::acme::Settings>,
    /// Where the files are named.
    pub(super) spans: KeySpans<TlsFile>,
}

/// The TLS of the gateway.
#[derive(Debug, Clone)]
pub struct GatewayTlsConfig {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// Its certificates.
    pub tls: TlsConfig,
    /// Whether requests without TLS are sent here, and how.
    pub redirect: Redirect,
    /// How long browsers shall use nothing but TLS; `None`: the gateway does not say so.
    pub hsts: Option<Duration>,
}

/// What is answered to a request without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirect {
    /// The answer of its service.
    No,
    /// 308, to the port on which the gateway listens.
    ToListener,
    /// 308, to this port: customers connect to another one than the gateway's.
    ToPort(u16),
}

/// If it is set, it overrides `gateway.tls.listen`.
const TLS_LISTEN: &str = "ATOLL_TLS_LISTEN";
/// Where the development authority is, beside the manifest.
const DEVELOPMENT: &str = ".atoll/tls";
/// The most certificates of one edge.
const MOST: usize = 256;

static LISTEN: ManifestKey<SocketAddressKind> = ManifestKey::new(
    "listen",
    SocketAddressKind,
    r#""127.0.0.1:8443""#,
    "The address to which customers connect by TLS. `listen` of `[gateway]` goes on without it.",
);
static CERTIFICATES: ManifestKey<ListKind<CertificateKind>> = ManifestKey::new(
    "certificates",
    ListKind { of: CertificateKind, max: MOST },
    "[]",
    "PEM files: the certificate with its chain, and its key. A client gets the one that is for the host that it names \
     (SNI), by an exact name or a wildcard; otherwise the first.",
);
static CLIENT_CA: ManifestKey<PathKind> = ManifestKey::without_default(
    "client_ca",
    PathKind,
    "A PEM file of the authorities that sign the clients' certificates. Absent: no client is asked for a certificate.",
);
static CLIENT_CRL: ManifestKey<PathKind> = ManifestKey::without_default(
    "client_crl",
    PathKind,
    "A PEM file of the revocation lists of the authorities in `client_ca`, one of each. A certificate that a list \
     names, or whose authority has no list or an expired one, is refused. Absent: no list is asked.",
);
static CLIENT_AUTH: ManifestKey<ChoiceKind<ClientAuth>> = ManifestKey::new(
    "client_auth",
    ChoiceKind(&[("required", ClientAuth::Required), ("optional", ClientAuth::Optional)]),
    r#""required""#,
    "Whether a client must show a certificate, where `client_ca` is named. A wrong certificate is refused either way.",
);
static RELOAD: ManifestKey<DurationKind> = ManifestKey::new(
    "reload",
    DurationKind { min: 100, max: HOUR },
    r#""10s""#,
    "How often the files are read again. If they have changed and are right, new connections use them; no session of \
     the time before is resumed. If they are wrong, the old ones serve on.",
);
static HANDSHAKE_TIMEOUT: ManifestKey<DurationKind> = ManifestKey::new(
    "handshake_timeout",
    DurationKind { min: 100, max: MINUTE },
    r#""10s""#,
    "How long a handshake may take.",
);
static REDIRECT: ManifestKey<RedirectKind> = ManifestKey::new(
    "redirect",
    RedirectKind,
    "false",
    "Whether `listen` of `[gateway]` answers every request with 308, to the same URL by `https`: to the port of \
     `listen` here, or to the port that is named. Requests that a trusted proxy got by `https` are served.",
);
static HSTS: ManifestKey<DurationKind> = ManifestKey::without_default(
    "hsts",
    DurationKind { min: 0, max: 730 * DAY },
    "How long browsers shall use nothing but `https` for this host (`Strict-Transport-Security`). It is sent by TLS \
     alone. Absent: it is not sent. \"0s\" makes browsers forget it.",
);
static SELF_SIGNED: ManifestKey<FlagKind> = ManifestKey::new(
    "self_signed",
    FlagKind,
    "false",
    "For development, in place of `certificates`: the host makes an authority of its own in `.atoll/tls` beside the \
     manifest, and a certificate for `localhost`, 127.0.0.1 and ::1.",
);

/// Reads `tls` of `[gateway]`, if it is there. Relative paths begin at `folder`.
pub(super) fn of_gateway(
    gateway: &mut Section<'_>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<(Sourced<SocketAddr>, GatewayTlsConfig)> {
    let mut section = section(gateway)?;
    let address = section.get_or_variable(&LISTEN, TLS_LISTEN, env);
    let acme = acme::read(&mut section, folder, env);
    let tls = read(&mut section, folder, acme);
    let (redirect, hsts) = (section.get(&REDIRECT), section.find(&HSTS).map(|found| found.value));
    section.close();
    let config = GatewayTlsConfig { address: address.value, tls, redirect, hsts };
    Some((address, config))
}

/// Reads `tls` of `[admin]`, if it is there.
pub(super) fn of_admin(admin: &mut Section<'_>, folder: &Path) -> Option<TlsConfig> {
    let mut section = section(admin)?;
    let tls = read(&mut section, folder, None);
    section.close();
    Some(tls)
}

fn section<'a>(edge: &mut Section<'a>) -> Option<Section<'a>> {
    let there = edge.has("tls");
    let section = edge.section("tls");
    there.then_some(section)
}

fn read(section: &mut Section<'_>, folder: &Path, acme: Option<Sourced<crate::acme::Settings>>) -> TlsConfig {
    let listed = section.find(&CERTIFICATES);
    let (client_ca, client_auth) = (section.find(&CLIENT_CA), section.get_sourced(&CLIENT_AUTH));
    let client_crl = section.find(&CLIENT_CRL);
    let self_signed = section.get(&SELF_SIGNED);
    let mut spans = KeySpans::new(section.span.clone());
    spans.note(TlsFile::ClientCa, client_ca.as_ref());
    spans.note(TlsFile::ClientCrl, client_crl.as_ref());
    let without_ca = [("client_auth", client_auth.span()), ("client_crl", client_crl.as_ref().and_then(Sourced::span))];
    for (name, span) in without_ca.into_iter().filter(|_| section.lacks(CLIENT_CA.name)) {
        let Some(span) = span else { continue };
        let (message, help) = (
            format!("`{name}` has no effect without `client_ca`"),
            "name the authorities of the clients, or leave it out",
        );
        section.report.push_if_whole(ValueOrigin::Text(span), message, help);
    }
    // A wrong list is a finding already.
    let lacks = section.lacks(CERTIFICATES.name) || listed.as_ref().is_some_and(|listed| listed.value.is_empty());
    check_sources(section, self_signed, !lacks, acme.is_some());
    let development = self_signed.then(|| folder.join(DEVELOPMENT));
    let mut files: Vec<CertificateFiles> = Vec::new();
    for (index, pair) in listed.into_iter().flat_map(|listed| listed.value).enumerate() {
        let (cert, key) = pair.into_inner();
        for (file, span) in [(TlsFile::Cert(index), cert.span()), (TlsFile::Key(index), key.span())] {
            spans.note(file, Some(&Sourced { value: (), origin: ValueOrigin::Text(span) }));
        }
        section.report.note_private(folder.join(key.get_ref()), ValueOrigin::Text(key.span()));
        files.push(CertificateFiles { cert: folder.join(cert.into_inner()), key: folder.join(key.into_inner()) });
    }
    if let Some(development) = &development {
        let (cert, key) = (development.join("localhost.pem"), development.join("localhost.key"));
        files = vec![CertificateFiles { cert, key }];
    }
    for file in [TlsFile::Cert(files.len()), TlsFile::Key(files.len())] {
        spans.note(file, acme.as_ref());
    }
    if let Some(Sourced { value, origin }) = &acme {
        section.report.note_private(CertificateKeeper::certificate_path(&value.folder), origin.clone());
    }
    let acme = acme.map(|found| found.value);
    let settings = TlsSettings {
        certificates: files,
        obtained: acme.as_ref().map(|acme| CertificateKeeper::certificate_path(&acme.folder)),
        client_ca: client_ca.map(|found| folder.join(found.value)),
        client_crl: client_crl.map(|found| folder.join(found.value)),
        client_auth: client_auth.value,
        // Set by what `[gateway]` says of HTTP/2.
        http2: false,
        reload: section.get(&RELOAD),
        handshake_timeout: section.get(&HANDSHAKE_TIMEOUT),
    };
    TlsConfig { settings, development, acme, spans }
}

/// Checks that there is a certificate, and that not two ways to get one exclude each other.
fn check_sources(section: &Section<'_>, self_signed: bool, listed: bool, acme: bool) {
    let report = |message: &str, help: &str| {
        section.report.push_if_whole(ValueOrigin::Text(section.span.clone()), message, help);
    };
    for (other, name) in [(listed, CERTIFICATES.name), (acme, "acme")] {
        if self_signed && other {
            let help = "`self_signed` is for development: leave one of the two out";
            report(&format!("`self_signed` and `{name}` exclude each other"), help);
        }
    }
    if !self_signed && !listed && !acme {
        let help = "write certificates = [{ cert = \"shop.pem\", key = \"shop.key\" }], or acme = { names = \
                    [\"shop.example\"], terms_agreed = true }, or for development self_signed = true";
        report("TLS needs a certificate", help);
    }
}

/// `{ cert = "shop.pem", key = "shop.key" }`.
struct CertificateKind;

impl ValueKind for CertificateKind {
    type Value = (Spanned<PathBuf>, Spanned<PathBuf>);

    fn accepts(&self) -> String {
        "{ cert, key } with two paths".into()
    }

    fn help(&self) -> String {
        r#"write { cert = "shop.pem", key = "shop.key" }"#.into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<KindError>> {
        let Some(table) = value.get_ref().as_table() else { return Err(refused(self, value)) };
        let mut errors = Vec::new();
        for (key, _) in table {
            let name: &str = key.get_ref();
            if !["cert", "key"].contains(&name) {
                let help = did_you_mean(name, ["cert", "key"], "the keys known here");
                errors.push(KindError { span: key.span(), message: format!("has an unknown key `{name}`"), help });
            }
        }
        let mut path = |name: &str| {
            let Some(found) = table.get(name) else {
                let message = format!("has a certificate without `{name}`");
                errors.push(KindError { span: value.span(), message, help: self.help() });
                return None;
            };
            match PathKind.read(found) {
                Ok(path) => Some(Spanned::new(found.span(), path)),
                Err(wrong) => {
                    errors.extend(wrong.into_iter().map(|error| error.of(name)));
                    None
                }
            }
        };
        match (path("cert"), path("key")) {
            (Some(cert), Some(key)) if errors.is_empty() => Ok((cert, key)),
            _ => Err(errors),
        }
    }
}

/// `true`, `false`, or a port.
struct RedirectKind;

impl ValueKind for RedirectKind {
    type Value = Redirect;

    fn accepts(&self) -> String {
        "true or false, or a port".into()
    }

    fn help(&self) -> String {
        "write true, false, or the port to which customers connect, 443 for one, without quotes".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Redirect, Vec<KindError>> {
        let flag = value.get_ref().as_bool().map(|flag| if flag { Redirect::ToListener } else { Redirect::No });
        let port = || whole(value.get_ref()).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
        flag.or_else(|| port().map(Redirect::ToPort)).ok_or_else(|| refused(self, value))
    }
}
