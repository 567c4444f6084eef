//! The edge of a node towards the other nodes of its cluster: a listener with mutual TLS, whose requests go to the
//! mesh.

use crate::listen::{
    CertificateFiles, Drain, Http2Settings, Listener, Peer, ServerTls, Settings, TlsFileError, TlsSettings,
};
use crate::mesh::PeerDoor;
use crate::node::KnownNodes;
use crate::peer::PeerTls;
use anyhow::{Context, anyhow};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// The most connections of other nodes: four of each, so a cluster of a thousand nodes fits.
const CONNECTIONS: usize = 4096;
/// The calls of one connection at a time. The calling side sends no more (`peer/connections.rs`).
const STREAMS: u32 = 256;
/// The longest header section: what the client of a request sent, and the head of the call with all that an issuer says
/// of who calls.
const HEADERS: (usize, usize) = (256, 192 << 10);
/// A connection that carries no call is closed after so long; the other node opens another when it needs one.
const IDLE: Duration = Duration::from_secs(3600);

/// The edge of a node towards the others, bound and not served yet.
pub struct PeerEdge {
    listener: Listener,
    /// Its TLS, whose files it takes again when they change.
    pub tls: Arc<ServerTls>,
}

impl PeerEdge {
    /// Binds `address`, for nodes whose certificates the authority of `files` has signed.
    ///
    /// # Errors
    /// The files cannot be used, or the address is in use.
    pub async fn bind(address: SocketAddr, files: &PeerTls) -> anyhow::Result<Self> {
        let PeerTls { authority, certificate, key } = files.clone();
        let settings = TlsSettings {
            certificates: vec![CertificateFiles { cert: certificate, key }],
            client_ca: Some(authority),
            http2: true,
            ..TlsSettings::default()
        };
        let wrong = |errors: Vec<TlsFileError>| {
            let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
            anyhow!("the certificates of [cluster]: {}", texts.join("; "))
        };
        let tls = Arc::new(ServerTls::load(settings).map_err(wrong)?);
        // Now, and not by the first call: from here on a pair that is renewed by half has one before it.
        files.load_or_last().context("the certificates of [cluster]")?;
        let listener = Listener::bind(bounds(address)).await.context("the edge towards other nodes")?;
        Ok(Self { listener: listener.secured(Arc::clone(&tls)), tls })
    }

    /// The address that it listens on: with the real port, if it was 0.
    ///
    /// # Errors
    /// The error of the system.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves the calls of `known` nodes until the end of the drain. The task returns how many connections it cut off.
    pub fn serve(self, door: Arc<PeerDoor>, known: KnownNodes, drain: Drain) -> JoinHandle<usize> {
        let callers = known.clone();
        self.tls.tell_refusals(Box::new(move |caller, why| callers.refuse_handshake(caller, why)));
        let answer = move |request, peer: Peer| {
            let (door, known) = (Arc::clone(&door), known.clone());
            async move {
                peer.pass_trailers();
                let shown = peer.secure.as_ref().and_then(|secure| secure.certificate.as_ref());
                match known.admit(shown).await {
                    Ok(()) => door.answer(request).await,
                    Err(why) => PeerDoor::refuse(why),
                }
            }
        };
        tokio::spawn(self.listener.serve(answer, drain))
    }
}

/// Other nodes are trusted: the bounds are against faults, and not against abuse.
fn bounds(address: SocketAddr) -> Settings {
    let http2 = Http2Settings {
        streams: STREAMS,
        stream_window: 256 << 10,
        connection_window: 4 << 20,
        unmetered: true,
        ..Http2Settings::default()
    };
    let (max_headers, header_bytes) = HEADERS;
    Settings {
        address,
        idle_timeout: IDLE,
        min_upload_rate: 0,
        min_download_rate: 0,
        max_headers,
        header_bytes,
        connections: CONNECTIONS,
        http2: Some(http2),
        ..Settings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{NodeFiles, certify_node, init_cluster};
    use crate::mesh::{self, Mesh};
    use crate::registry::Registry;
    use rustls::pki_types::ServerName;
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpStream;
    use tokio::time::timeout;
    use tokio_rustls::TlsConnector;

    fn files(folder: &Path, node: &str) -> PeerTls {
        let NodeFiles { authority, certificate, key } = certify_node(folder, node).expect("it is signed");
        PeerTls { authority, certificate, key }
    }

    #[tokio::test]
    async fn a_caller_of_another_authority_counts_as_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let (cluster, foreign) = (folder.path().join("cluster"), folder.path().join("foreign"));
        for pki in [&cluster, &foreign] {
            init_cluster(pki).expect("it is made");
        }
        let own = files(&cluster, "node-a");
        let edge = PeerEdge::bind(SocketAddr::from(([127, 0, 0, 1], 0)), &own).await.expect("it is bound");
        let (address, refused) = (edge.local_addr().expect("it has one"), Arc::new(AtomicU64::new(0)));
        let mesh = Arc::new(Mesh::new(Arc::new(Registry::default()), mesh::Settings::default()));
        let known = KnownNodes::counted_by(Arc::clone(&refused));
        let serving = edge.serve(Arc::new(PeerDoor::new(mesh, None, 1024)), known, Drain::new());
        // It takes the node for what it is, and shows a certificate of its own authority.
        let stranger = PeerTls { authority: own.authority.clone(), ..files(&foreign, "node-b") };
        let config = stranger.load().expect("they fit");
        for count in 1..=2 {
            let stream = TcpStream::connect(address).await.expect("it listens");
            let name = ServerName::try_from("node-a").expect("a name");
            let stream = TlsConnector::from(Arc::clone(&config)).connect(name, stream).await;
            // By TLS 1.3 the calling end is done before the other one has looked.
            let mut stream = stream.expect("the node is who it says");
            let end = timeout(Duration::from_secs(20), stream.read_u8()).await.expect("it is told");
            assert!(end.is_err(), "it is refused");
            let counted = async {
                while refused.load(Relaxed) < count {
                    tokio::task::yield_now().await;
                }
            };
            timeout(Duration::from_secs(20), counted).await.expect("it is counted");
        }
        serving.abort();
    }

    #[tokio::test]
    async fn a_pair_that_is_renewed_by_half_is_no_end_of_calls_and_no_alarm() {
        let folder = tempfile::tempdir().expect("a folder");
        init_cluster(folder.path()).expect("it is made");
        let own = files(folder.path(), "node-a");
        let bound = PeerEdge::bind(SocketAddr::from(([127, 0, 0, 1], 0)), &own).await.expect("it is bound");
        // The new certificate, with the old key: nobody was called yet.
        let key = fs::read(&own.key).expect("it is there");
        let renewed = files(folder.path(), "node-a");
        let new_key = fs::read(&own.key).expect("it is there");
        fs::write(&own.key, &key).expect("it is written");
        assert!(renewed == own && own.load().is_err(), "they do not fit");
        own.load_or_last().expect("the pair before");
        let look = own.look("node-a");
        assert!(look.unusable.is_some() && look.unproved.is_none(), "{look:?}");
        assert!(own.look("node-b").unproved.is_some(), "what is in use is looked at");
        // Nor may the authority of one moment be mixed with the pair of another.
        fs::write(&own.authority, "no certificate").expect("it is written");
        let look = own.look("node-a");
        assert!(look.unusable.is_some() && look.unproved.is_none(), "{look:?}");
        let other = folder.path().join("other");
        let authority = init_cluster(&other).expect("it is made");
        fs::copy(authority, &own.authority).expect("it is written");
        let look = own.look("node-a");
        assert!(look.unusable.is_some() && look.unproved.is_none(), "{look:?}");
        fs::copy(folder.path().join("other/authority.pem"), &own.authority).expect("it is written");
        fs::write(&own.key, new_key).expect("it is written");
        let look = own.look("node-a");
        assert!(look.unusable.is_none() && look.unproved.is_some(), "whole, and of another authority: {look:?}");
        drop(bound);
    }
}
