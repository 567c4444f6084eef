//! `acme` of `[gateway.tls]`: a certificate that the host obtains by itself.

use super::reader::file::{CreatedPath, PathKind};
use super::reader::finding::ValueOrigin;
use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::{ChoiceKind, FlagKind, KindError, ListKind, TextKind, ValueKind, refused};
use super::reader::section::Section;
use super::secret::{self, SecretKind};
use crate::acme::{self, AcmeChallengeKind, ExternalAccount};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Uri;
use std::net::Ipv4Addr;
use std::path::Path;
use toml::Spanned;
use toml::de::DeValue;

static NAMES: ManifestKey<ListKind<HostNameKind>> = ManifestKey::without_default(
    "names",
    ListKind { of: HostNameKind, max: 100 },
    "The host names of the certificate. Each of them must lead here: the authority looks. The section needs it.",
);
static DIRECTORY: ManifestKey<DirectoryKind> = ManifestKey::new(
    "directory",
    DirectoryKind,
    r#""https://acme-v02.api.letsencrypt.org/directory""#,
    "The address of the authority (its ACME directory). Try with \
     `https://acme-staging-v02.api.letsencrypt.org/directory` first: it has larger limits, and nobody trusts it.",
);
static CA: ManifestKey<PathKind> = ManifestKey::without_default(
    "ca",
    PathKind,
    "The root certificates, in PEM, that are trusted at the address of the authority itself. Absent: those of the \
     system.",
);
static CONTACT: ManifestKey<ListKind<TextKind>> = ManifestKey::new(
    "contact",
    ListKind { of: TextKind { min: 3 }, max: 8 },
    "[]",
    "The mail addresses by which the authority may reach you.",
);
static TERMS_AGREED: ManifestKey<FlagKind> = ManifestKey::new(
    "terms_agreed",
    FlagKind,
    "false",
    "That you agree to the terms of the authority, which its directory links to. The section needs `true`.",
);
static CHALLENGE: ManifestKey<ChoiceKind<AcmeChallengeKind>> = ManifestKey::new(
    "challenge",
    ChoiceKind(&[("tls-alpn-01", AcmeChallengeKind::TlsAlpn01), ("http-01", AcmeChallengeKind::Http01)]),
    r#""tls-alpn-01""#,
    "How the names are proved: in a handshake at port 443 of each name, which must lead to `listen` here, or by a \
     request to port 80, which must lead to `listen` of `[gateway]`.",
);
static PROFILE: ManifestKey<TextKind> = ManifestKey::without_default(
    "profile",
    TextKind { min: 1 },
    "The profile of the certificate, one of those in the directory: `shortlived`. Absent: the authority chooses.",
);
const ACCOUNT_FOLDER: CreatedPath =
    CreatedPath { is_folder: true, help: "name a folder of its own for the account and the certificates" };
static FOLDER: ManifestKey<PathKind> = ManifestKey::new(
    "folder",
    PathKind,
    r#"".atoll/acme""#,
    "Where the account, the certificate with its key and the times of the next orders are kept, readable by the host's \
     user alone. The host creates it. Keep it over restarts: authorities limit new certificates.",
);
static EXTERNAL_ID: ManifestKey<TextKind> = ManifestKey::without_default(
    "id",
    TextKind { min: 1 },
    "The name of the account that you have with the authority already (external account binding). The table needs it.",
);
static EXTERNAL_KEY: ManifestKey<SecretKind> = ManifestKey::without_default(
    "key",
    SecretKind,
    "The key that the authority gave you for that account, in base64. The table needs it.",
);

/// A host name that can be proved: without a wildcard, which needs a proof by DNS.
struct HostNameKind;

impl ValueKind for HostNameKind {
    type Value = String;

    fn accepts(&self) -> String {
        "a host name".into()
    }

    fn help(&self) -> String {
        "write names as \"shop.example\"; a wildcard and an address cannot be proved in a handshake or by a request"
            .into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<String, Vec<KindError>> {
        let name = value.get_ref().as_str().map(str::to_ascii_lowercase);
        name.filter(|name| is_host_name(name)).ok_or_else(|| refused(self, value))
    }
}

/// A name of RFC 1123, section 2.1, in lower case.
fn is_host_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(legal) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label) && name.parse::<Ipv4Addr>().is_err()
}

/// The address of an authority. Accounts and orders are signed, but who reads along learns of them (RFC 8555, section
/// 6.1).
struct DirectoryKind;

impl ValueKind for DirectoryKind {
    type Value = String;

    fn accepts(&self) -> String {
        "an https:// address".into()
    }

    fn help(&self) -> String {
        "write the address of the directory, https://acme.example/directory".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<String, Vec<KindError>> {
        let text = value.get_ref().as_str();
        let is_right = |uri: &Uri| {
            let host = uri.authority().filter(|authority| !authority.as_str().contains('@'));
            uri.scheme_str() == Some("https") && host.is_some_and(|authority| !authority.host().is_empty())
        };
        let right = text.filter(|text| text.parse::<Uri>().is_ok_and(|uri| is_right(&uri)));
        right.map(str::to_owned).ok_or_else(|| refused(self, value))
    }
}

/// The settings, and where the section is written.
pub(super) fn read(
    tls: &mut Section<'_>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<Sourced<acme::Settings>> {
    if !tls.has("acme") {
        return None;
    }
    let mut section = tls.section("acme");
    let report = section.report;
    let origin = ValueOrigin::Text(section.span.clone());
    let names = section.find(&NAMES);
    if section.lacks(NAMES.name) || names.as_ref().is_some_and(|names| names.value.is_empty()) {
        let help = "add names = [\"shop.example\"]";
        report.push_if_whole(origin.clone(), "`acme` names no host, so there is nothing to prove", help);
    }
    let names = names.map(|names| report.distinct(names.value, String::clone)).unwrap_or_default();
    let agreed = section.get_sourced(&TERMS_AGREED);
    if !agreed.value && (agreed.span().is_some() || section.lacks(TERMS_AGREED.name)) {
        let at = if agreed.span().is_some() { agreed.origin } else { origin.clone() };
        let help = "read them, the directory links to them, and write terms_agreed = true";
        report.push_if_whole(at, "without an agreement to its terms no authority issues a certificate", help);
    }
    let contact = section.get(&CONTACT).into_iter().map(|address| match address.into_inner() {
        address if address.contains(':') => address,
        address => format!("mailto:{address}"),
    });
    let contact = contact.collect();
    let external_account = external_account(&mut section, folder, env);
    let settings = acme::Settings {
        names,
        directory: section.get(&DIRECTORY),
        ca: section.find(&CA).map(|found| folder.join(found.value)),
        contact,
        challenge: section.get(&CHALLENGE),
        profile: section.find(&PROFILE).map(|found| found.value),
        external_account,
        folder: ACCOUNT_FOLDER.resolve(section.get_sourced(&FOLDER), folder, section.report),
    };
    section.close();
    Some(Sourced { value: settings, origin })
}

fn external_account(
    acme: &mut Section<'_>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<ExternalAccount> {
    let there = acme.has("external_account");
    let mut section = acme.section("external_account");
    let (id, key) = (section.find(&EXTERNAL_ID), secret::read(&mut section, &EXTERNAL_KEY, folder, env));
    for name in [EXTERNAL_ID.name, EXTERNAL_KEY.name] {
        if there && section.lacks(name) {
            let help = "write external_account = { id = \"…\", key = { from_env = \"EAB_KEY\" } }";
            let origin = ValueOrigin::Text(section.span.clone());
            section.report.push_if_whole(origin, format!("`external_account` has no `{name}`"), help);
        }
    }
    let key = key.and_then(|key| {
        let text = key.value.expose();
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).or_else(|_| STANDARD.decode(text));
        let help = "copy it as the authority shows it: letters, digits, - and _";
        bytes.inspect_err(|_| section.report.push(key.origin, "`key` is no base64", help)).ok()
    });
    section.close();
    Some(ExternalAccount { id: id?.value, key: key? })
}
