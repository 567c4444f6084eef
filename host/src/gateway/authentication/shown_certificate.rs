//! The certificate that a connection has shown, in the words of `identity`.

use crate::identity::ShownCertificate;
use crate::listen::{ClientCertificate, Peer, SubjectName};

/// The certificate that TLS has accepted; `None`: there is no TLS, or the client has shown none.
pub(in crate::gateway) fn shown_certificate(peer: &Peer) -> Option<ShownCertificate> {
    let ClientCertificate { facts, fingerprint, .. } = peer.secure.as_ref()?.certificate.as_ref()?;
    let name = |name: &SubjectName| match name {
        SubjectName::Dns(name) => format!("dns:{name}"),
        SubjectName::Ip(address) => format!("ip:{address}"),
        SubjectName::Uri(uri) => format!("uri:{uri}"),
        SubjectName::Email(address) => format!("email:{address}"),
    };
    let (subject, fingerprint) = (facts.subject.clone(), fingerprint.clone());
    Some(ShownCertificate { subject, names: facts.names.iter().map(name).collect(), fingerprint })
}
