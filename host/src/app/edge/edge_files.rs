//! The files about callers, checked with the manifest: the audit file, the API keys, issuers' keys and their roots.

use super::issuer::KeySetFile;
use super::key_file;
use super::private_files;
use crate::app::late_findings::LateFindings;
use crate::config::{AuthConfig, AuthProof, EdgeFindingKey, Finding, Manifest, TokenKeyPlace};
use crate::identity::KeySet;
use crate::mesh::Tls;
use crate::peer::PeerTlsError;
use std::path::Path;

/// Adds what is wrong with these files to the findings. Returns what is doubtful about them.
pub(in crate::app) fn check(manifest: &Manifest, findings: &mut LateFindings<'_>) -> Vec<Finding> {
    let mut warnings = Vec::new();
    if let Some(audit) = &manifest.audit
        && let Err((message, help)) = check_place(&audit.path)
    {
        let message = format!("the audit file {} {message}", audit.path.display());
        findings.edge(manifest.diagnose_edge(&EdgeFindingKey::AuditFile, message, help));
    }
    let has_keys = manifest.auth.iter().any(|policy| matches!(policy.proof, AuthProof::ApiKey));
    if has_keys && let Err(error) = key_file::read(&manifest.gateway.keys) {
        findings.edge(api_keys(manifest, &error));
    }
    check_node(manifest, findings, &mut warnings);
    for policy in &manifest.auth {
        check_policy(policy, manifest, findings, &mut warnings);
    }
    warnings
}

/// Whether other nodes would take this one for what it is. One whom they refuse still serves its own clients.
fn check_node(manifest: &Manifest, findings: &mut LateFindings<'_>, warnings: &mut Vec<Finding>) {
    let (Some(cluster), Some(calls)) = (&manifest.cluster, &manifest.calls) else { return };
    let Err(error) = calls.tls.proves(cluster.node.as_str()) else { return };
    let help = "`atoll cluster certificate NODE` makes a certificate and its key";
    let finding = manifest.diagnose_edge(&EdgeFindingKey::NodeCertificate, error.to_string(), help);
    match error {
        PeerTlsError::Unfit { .. } => warnings.push(finding),
        PeerTlsError::Read { .. } | PeerTlsError::Refused { .. } => findings.edge(finding),
    }
}

/// The finding of API keys that cannot be read.
pub(in crate::app) fn api_keys(manifest: &Manifest, error: &anyhow::Error) -> Finding {
    let message = format!("the file of the API keys {}: {error:#}", manifest.gateway.keys.display());
    let help = "name another file; `atoll key create` makes one";
    manifest.diagnose_edge(&EdgeFindingKey::ApiKeys, message, help)
}

/// The finding of an audit file that cannot be opened.
pub(in crate::app) fn audit(manifest: &Manifest, path: &Path, error: &std::io::Error) -> Finding {
    let message = format!("the audit file {}: {error}", path.display());
    let help = "name a file that the host may write, or leave [audit] out";
    manifest.diagnose_edge(&EdgeFindingKey::AuditFile, message, help)
}

/// Whether a file can be made at `path`, or is there: the host makes no folder for it.
fn check_place(path: &Path) -> Result<(), (&'static str, &'static str)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.is_dir() {
        return Err(("is a folder", "name a file in it"));
    }
    if folder.is_dir() { Ok(()) } else { Err(("has no folder", "make the folder first, or name another one")) }
}

fn check_policy(
    AuthConfig { name, proof, .. }: &AuthConfig,
    manifest: &Manifest,
    findings: &mut LateFindings<'_>,
    warnings: &mut Vec<Finding>,
) {
    let address = match proof {
        AuthProof::Token { keys: TokenKeyPlace::Address(address, _), .. } => Some(address),
        AuthProof::Introspection { endpoint, .. } => Some(endpoint),
        _ => None,
    };
    if let Some(Err(error)) = address.and_then(|address| address.ca.as_deref()).map(Tls::with_ca) {
        let (key, message) = (EdgeFindingKey::Ca(name.clone()), format!("policy `{name}`: {error}"));
        findings.edge(manifest.diagnose_edge(&key, message, error.help()));
    }
    let AuthProof::Token { policy, keys: TokenKeyPlace::File(path), .. } = proof else { return };
    let (key, place) = (EdgeFindingKey::KeySet(name.clone()), path.display());
    let set = KeySetFile(path.clone()).read().map_err(|error| error.to_string());
    if set.as_ref().is_ok_and(private_files::has_private_keys)
        && let Some((message, help)) = private_files::open_to_all(path)
    {
        warnings.push(manifest.diagnose_edge(&key, format!("policy `{name}`: {message}"), help));
    }
    match set.and_then(|text| KeySet::of_jwks(&text).map_err(|error| error.to_string())) {
        Err(error) => {
            let help = "save the issuer's JWK set there: { \"keys\": […] } with its public keys";
            findings.edge(manifest.diagnose_edge(&key, format!("policy `{name}`: {place}: {error}"), help));
        }
        Ok(set) if !policy.algorithms.iter().any(|algorithm| set.has_key_for(*algorithm)) => {
            let message = format!("policy `{name}`: {place} has no key for its `algorithms`, so it lets nobody in");
            let help = "write the algorithms that the issuer signs with, or save its present keys";
            warnings.push(manifest.diagnose_edge(&key, message, help));
        }
        Ok(_) => {}
    }
}
