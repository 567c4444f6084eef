//! The authority of a cluster, for those who have none: it signs a certificate for each node, by the node's name.
//!
//! Its key stays where `atoll cluster init` made it; no node needs it. It may sign for hosts and addresses of any name,
//! and for nothing but the ends of connections.

use crate::app::edge::development_authority::{new_key, now, read_key, valid_for, write};
use anyhow::{Context, bail};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::ServerName;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// How long the authority lasts, in days.
const AUTHORITY: u64 = 3650;
/// How long the certificate of a node lasts, in days: a year, since a person renews it.
const CERTIFICATE: u64 = 365;

/// The files of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFiles {
    /// The authority's certificate: `authority` of `[cluster]`.
    pub authority: PathBuf,
    /// The node's certificate: `certificate` of `[cluster]`.
    pub certificate: PathBuf,
    /// Its key: `key` of `[cluster]`.
    pub key: PathBuf,
}

/// Makes the authority of a cluster in `folder`, and returns the path of its certificate.
///
/// # Errors
/// There is one already, or a file cannot be written.
pub fn init_cluster(folder: &Path) -> anyhow::Result<PathBuf> {
    let [authority, key] = files(folder);
    if authority.exists() || key.exists() {
        bail!("{} has an authority already: a new one would part its nodes. Name another folder", folder.display());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let own = new_key()?;
    write(&key, "PRIVATE KEY", &own.serialize_der(), 0o600)?;
    write(&authority, "CERTIFICATE", authority_params(&own).self_signed(&own)?.der(), 0o644)?;
    Ok(authority)
}

/// Makes the certificate and the key of `node` in `folder`, signed by the authority there; what it had before is
/// replaced.
///
/// # Errors
/// There is no authority, the name is no host name, or a file cannot be written.
pub fn certify_node(folder: &Path, node: &str) -> anyhow::Result<NodeFiles> {
    let [authority, key] = files(folder);
    if !matches!(ServerName::try_from(node), Ok(ServerName::DnsName(_))) {
        bail!("`{node}` is no name for a node: write letters, digits and `-`, as in a host name");
    }
    if node == AUTHORITY_NAME {
        bail!("`{node}` names the files of the authority: give the node another name");
    }
    let signer =
        read_key(&key).with_context(|| format!("make the authority first: atoll cluster init {}", folder.display()))?;
    let issuer = Issuer::new(authority_params(&signer), signer);
    let (own, params) = (new_key()?, node_params(node)?);
    let signed = params.signed_by(&own, &issuer)?;
    let (certificate, key) = (folder.join(format!("{node}.pem")), folder.join(format!("{node}.key")));
    write(&key, "PRIVATE KEY", &own.serialize_der(), 0o600)?;
    write(&certificate, "CERTIFICATE", signed.der(), 0o644)?;
    Ok(NodeFiles { authority, certificate, key })
}

const AUTHORITY_NAME: &str = "authority";

fn files(folder: &Path) -> [PathBuf; 2] {
    [folder.join(format!("{AUTHORITY_NAME}.pem")), folder.join(format!("{AUTHORITY_NAME}.key"))]
}

/// The authority's own parameters. They follow from its key, so that its issuer's name need not be read back.
fn authority_params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    let id: String = key.public_key_raw().iter().rev().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Atoll cluster authority {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut params, now(), AUTHORITY);
    params
}

fn node_params(node: &str) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(vec![node.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, node);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Each node calls, and is called.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    valid_for(&mut params, now(), CERTIFICATE);
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::PeerTls;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    #[test]
    fn the_authority_is_made_once_and_signs_for_each_node() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("pki");
        let without = certify_node(&folder, "node-a").expect_err("there is no authority");
        assert!(without.to_string().contains("atoll cluster init"), "{without}");
        let authority = init_cluster(&folder).expect("it is made");
        let before = fs::read(&authority).expect("it is there");
        assert!(init_cluster(&folder).expect_err("it is there").to_string().contains("already"));
        for node in ["node-a", "node-b", "node-a"] {
            let NodeFiles { authority, certificate, key } = certify_node(&folder, node).expect("it is made");
            assert_eq!(fs::metadata(&key).expect("it is there").permissions().mode() & 0o777, 0o600);
            let tls = PeerTls { authority, certificate, key };
            assert!(tls.load().is_ok(), "{node}");
        }
        let other = PeerTls {
            authority: authority.clone(),
            certificate: folder.join("node-a.pem"),
            key: folder.join("node-b.key"),
        };
        assert!(other.load().is_err(), "the key of another node");
        assert_eq!(fs::read(&authority).expect("it is there"), before);
        let own = PeerTls { key: folder.join("node-a.key"), ..other.clone() };
        own.proves("node-a").expect("it is node-a");
        let told = |tls: &PeerTls, node: &str| tls.proves(node).expect_err("it is refused").to_string();
        assert!(told(&own, "node-b").contains("not for the name `node-b`"), "{}", told(&own, "node-b"));
        let foreign = PeerTls { authority: init_cluster(&folder.join("foreign")).expect("it is made"), ..own.clone() };
        assert!(told(&foreign, "node-a").contains("has not signed it"), "{}", told(&foreign, "node-a"));
        // Whoever renews a pair writes one file after the other.
        let good = own.load_or_last().expect("it is good");
        let key = fs::read(&own.key).expect("it is there");
        fs::copy(folder.join("node-b.key"), &own.key).expect("it is written");
        assert!(own.load().is_err() && Arc::ptr_eq(&own.load_or_last().expect("the pair before"), &good));
        fs::write(&own.key, key).expect("it is written");
        assert!(!Arc::ptr_eq(&own.load_or_last().expect("it is whole again"), &good));
        let mut past = node_params("node-a").expect("a name");
        valid_for(&mut past, now() - 40 * 86_400, 10);
        let signer = read_key(&folder.join("authority.key")).expect("it is there");
        let issuer = Issuer::new(authority_params(&signer), signer);
        let old = past.signed_by(&read_key(&own.key).expect("it is there"), &issuer).expect("it is signed");
        fs::write(&own.certificate, old.pem()).expect("it is written");
        assert!(told(&own, "node-a").contains("it has expired"), "{}", told(&own, "node-a"));
        for wrong in ["", "node a", "10.0.0.1", "authority", "../x"] {
            assert!(certify_node(&folder, wrong).is_err(), "{wrong}");
        }
    }
}
