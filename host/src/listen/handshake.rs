//! The handshake of a TLS connection, with its bounds, and why one failed.

use super::acme_challenges::is_proof;
use super::certificate_facts::now;
use super::connection_stage::StageTimer;
use super::connection_stream::{ConnectionStream, CountedStream};
use super::secure_peer::SecurePeer;
use super::server_tls::ServerTls;
use rustls::server::Acceptor;
use rustls::{AlertDescription, Error, InvalidMessage, ServerConfig};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

/// Makes the handshake. `None`: it failed, which was counted; the connection is closed.
///
/// A handshake is an idle connection: it makes room for a new one where there are too many.
pub(super) async fn secure(
    stream: TcpStream,
    addr: SocketAddr,
    tls: &ServerTls,
    timer: &StageTimer,
) -> Option<(ConnectionStream, Arc<SecurePeer>)> {
    let stream = CountedStream::new(stream);
    let accept = async {
        match tls.challenges().tls() {
            None => TlsAcceptor::from(tls.config()).accept(stream).await.map(Some),
            // Boxed: at most times there is nothing to prove.
            Some(proofs) => Box::pin(accept_or_prove(stream, tls, proofs)).await,
        }
    };
    let accept = timeout(tls.handshake_timeout(), accept);
    let outcome = tokio::select! {
        biased;
        outcome = accept => match outcome {
            Ok(Ok(Some(stream))) => Ok(stream),
            Ok(Ok(None)) => {
                tracing::info!(peer = %addr, "a name was proved by `acme-tls/1`");
                return None;
            }
            Ok(Err(error)) if tls.is_bare() => Err(("no-certificate", error.to_string())),
            Ok(Err(error)) => Err((reason(&error), error.to_string())),
            Err(_) => Err(("timeout", "it took too long".to_owned())),
        },
        () = poll_fn(|context| timer.poll_made_room(context)) => Err(("made-room", "another needs its place".into())),
    };
    let outcome = outcome.and_then(|stream| {
        let (_, connection) = stream.get_ref();
        let Some(peer) = SecurePeer::of(connection, tls.asks_clients()) else {
            return Err(("client-certificate", "the certificate cannot be read".to_owned()));
        };
        // A resumed session brings the certificate of its first handshake along, which may have expired since.
        match &peer.certificate {
            Some(certificate) if !certificate.facts.is_valid_at(now()) => {
                Err(("client-certificate", "the session's certificate has expired".to_owned()))
            }
            _ => Ok((stream, peer)),
        }
    });
    match outcome {
        Ok((stream, peer)) => {
            let resumed = stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
            tls.metrics().shook_hands(resumed);
            Some((ConnectionStream::Secure(Box::new(stream)), Arc::new(peer)))
        }
        Err((reason, error)) => {
            tls.metrics().failed(reason);
            if matches!(reason, "client-certificate" | "no-client-certificate") {
                tls.refused(addr, &error);
            }
            tracing::debug!(peer = %addr, reason, error, "a TLS handshake failed");
            None
        }
    }
}

/// Makes the handshake while names are proved to an ACME server. `None`: the peer was that server. The connection ends
/// with its handshake then, and carries no byte of HTTP (RFC 8737, section 3).
async fn accept_or_prove(
    stream: CountedStream,
    tls: &ServerTls,
    proofs: Arc<ServerConfig>,
) -> io::Result<Option<TlsStream<CountedStream>>> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    if !is_proof(&start.client_hello()) {
        return start.into_stream(tls.config()).await.map(Some);
    }
    let mut proved = start.into_stream(proofs).await?;
    // The handshake was the proof, whatever becomes of the end.
    let _ = proved.shutdown().await;
    Ok(None)
}

/// One of `HANDSHAKE_FAILURES` of `telemetry`.
fn reason(error: &io::Error) -> &'static str {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else { return "closed" };
    match tls {
        Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => "not-tls",
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => "nothing-shared",
        Error::NoCertificatesPresented => "no-client-certificate",
        Error::InvalidCertificate(_) => "client-certificate",
        Error::AlertReceived(AlertDescription::CloseNotify | AlertDescription::UserCanceled) => "closed",
        Error::AlertReceived(_) => "refused-by-client",
        _ => "protocol",
    }
}
