//! The authority of `self_signed`: it signs a certificate for this machine alone, for development.
//!
//! The authority lasts ten years, so that a tool that trusts it need not learn another one; its certificate lasts 90
//! days, and is made anew when 30 are left. The authority may sign for `localhost` and loopback addresses and for
//! nothing else (RFC 5280, section 4.2.1.10), so a key that is stolen is good for nothing elsewhere.

use crate::listen::CertificateFacts;
use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;
/// How long the authority lasts, in days.
const AUTHORITY: u64 = 3650;
/// How long its certificate lasts, in days.
const CERTIFICATE: u64 = 90;
/// How many days before its end it is renewed.
const RENEWED: u64 = 30;
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(3600);

/// Makes the authority in `folder` if there is none, and its certificate if there is none or it ends soon. Returns the
/// path of the authority's own certificate.
///
/// # Errors
/// A file cannot be read or written.
pub(super) fn renew(folder: &Path) -> anyhow::Result<PathBuf> {
    let (authority, authority_key) = (folder.join("authority.pem"), folder.join("authority.key"));
    let (certificate, key) = (folder.join("localhost.pem"), folder.join("localhost.key"));
    let now = now();
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let lasts = |path: &Path, days: u64| expiry(path).is_some_and(|end| end > now + days * DAY);
    let known = lasts(&authority, 1).then(|| read_key(&authority_key)).transpose()?;
    let (issuer_key, is_new) = match known {
        Some(known) => (known, false),
        None => (new_key()?, true),
    };
    let params = authority_params(&issuer_key, now);
    if is_new {
        write(&authority_key, "PRIVATE KEY", &issuer_key.serialize_der(), 0o600)?;
        write(&authority, "CERTIFICATE", params.self_signed(&issuer_key)?.der(), 0o644)?;
    }
    if is_new || !key.is_file() || !lasts(&certificate, RENEWED) {
        let own = new_key()?;
        let signed = certificate_params(now)?.signed_by(&own, &Issuer::new(params, issuer_key))?;
        write(&key, "PRIVATE KEY", &own.serialize_der(), 0o600)?;
        write(&certificate, "CERTIFICATE", signed.der(), 0o644)?;
    }
    Ok(authority)
}

/// Renews the certificate again and again; the listener sees the new file. It never returns.
pub(super) async fn keep(folder: PathBuf) {
    loop {
        tokio::time::sleep(LOOK).await;
        let own = folder.clone();
        match tokio::task::spawn_blocking(move || renew(&own)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "the development certificate cannot be renewed"),
            Err(error) => tracing::error!(%error, "renewing the development certificate panicked"),
        }
    }
}

/// The authority's own parameters. They follow from its key, so that its issuer's name need not be read back.
fn authority_params(key: &KeyPair, now: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    let id: String = key.public_key_raw().iter().rev().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Atoll development authority {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let loopback = [
        CidrSubnet::V4(Ipv4Addr::LOCALHOST.octets(), [255; 4]),
        CidrSubnet::V6(Ipv6Addr::LOCALHOST.octets(), [255; 16]),
    ];
    let mut permitted = vec![GeneralSubtree::DnsName("localhost".into())];
    permitted.extend(loopback.map(GeneralSubtree::IpAddress));
    params.name_constraints = Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: Vec::new() });
    valid_for(&mut params, now, AUTHORITY);
    params
}

fn certificate_params(now: u64) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    params.subject_alt_names.extend(loopback.map(rcgen::SanType::IpAddress));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    valid_for(&mut params, now, CERTIFICATE);
    Ok(params)
}

/// Seconds since 1970.
pub(in crate::app) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A key of the kind that all certificates here have.
pub(in crate::app) fn new_key() -> anyhow::Result<KeyPair> {
    Ok(KeyPair::generate()?)
}

/// From a day ago, since the clocks of containers differ, for so many days.
pub(in crate::app) fn valid_for(params: &mut CertificateParams, now: u64, days: u64) {
    let at = |seconds: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    (params.not_before, params.not_after) = (at(now.saturating_sub(DAY)), at(now + days * DAY));
}

/// When the certificate in `path` ends; `None` if there is none that can be read.
fn expiry(path: &Path) -> Option<u64> {
    let certificate = CertificateDer::from_pem_file(path).ok()?;
    u64::try_from(CertificateFacts::read(&certificate)?.not_after).ok()
}

pub(in crate::app) fn read_key(path: &Path) -> anyhow::Result<KeyPair> {
    let key = PrivatePkcs8KeyDer::from_pem_file(path)
        .with_context(|| format!("{} is not the key of the authority beside it; remove both", path.display()))?;
    Ok(KeyPair::try_from(&key)?)
}

/// Writes a PEM file: into a file beside it, which then takes its place, so that nobody reads half of it.
pub(in crate::app) fn write(path: &Path, label: &str, der: &[u8], mode: u32) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    // A file that a crash left would keep its mode.
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    let text = STANDARD.encode(der);
    writeln!(file, "-----BEGIN {label}-----")?;
    for line in text.as_bytes().chunks(64) {
        file.write_all(line)?;
        writeln!(file)?;
    }
    writeln!(file, "-----END {label}-----")?;
    file.sync_all()?;
    fs::rename(beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::{CertificateFiles, ServerTls, TlsSettings};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_authority_is_made_once_and_its_certificate_only_when_it_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("tls");
        let authority = renew(&folder).expect("it is made");
        let read = |name: &str| fs::read(folder.join(name)).expect("it is there");
        let before = ["authority.pem", "authority.key", "localhost.pem", "localhost.key"].map(read);
        for key in ["authority.key", "localhost.key"] {
            let mode = fs::metadata(folder.join(key)).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
        renew(&folder).expect("it is there");
        assert_eq!(before, ["authority.pem", "authority.key", "localhost.pem", "localhost.key"].map(read));

        let files = CertificateFiles { cert: folder.join("localhost.pem"), key: folder.join("localhost.key") };
        let settings = TlsSettings { certificates: vec![files], ..TlsSettings::default() };
        assert_eq!(ServerTls::check(&settings).expect("it can be served"), []);

        // A certificate that is missing, as one that ends soon, is made by the same authority.
        fs::remove_file(folder.join("localhost.pem")).expect("it was there");
        renew(&folder).expect("it is made");
        assert_eq!((&before[0], &before[1]), (&read("authority.pem"), &read("authority.key")));
        assert_ne!(before[2], read("localhost.pem"));
        assert_eq!(ServerTls::check(&settings).expect("key and certificate are made together"), []);
        assert_eq!(authority, folder.join("authority.pem"));
    }
}
