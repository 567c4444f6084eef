//! The edge of a node towards the other nodes of its cluster: a listener with mutual TLS, whose requests go to the
//! mesh.

use super::known_nodes::KnownNodes;
use crate::listen::{
    CertificateFiles, Drain, Http2Settings, Listener, Peer, ServerTls, Settings, TlsFileError, TlsSettings,
};
use crate::mesh::PeerDoor;
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
