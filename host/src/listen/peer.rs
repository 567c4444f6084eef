//! The other end of a connection.

use super::answer_buffer::AnswerMemory;
use super::http_exchange::ExchangeRecord;
use super::secure_peer::SecurePeer;
use super::settings::Settings;
use crate::base::{Body, InterimNotice};
use http::header::LINK;
use http::{HeaderMap, Request};
use std::net::SocketAddr;
use std::sync::Arc;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The address that the connection comes from.
    pub addr: SocketAddr,
    /// Whether a proxy has passed the connection on by the PROXY protocol without naming its client. Then the address
    /// is the proxy's, and what comes is not its word.
    pub is_unnamed: bool,
    /// What its handshake has shown, if the connection has TLS.
    pub secure: Option<Arc<SecurePeer>>,
    pub(super) record: Arc<ExchangeRecord>,
}

impl Peer {
    /// A peer at `addr` without TLS, of no connection: for a request that somebody makes in this process.
    pub fn without_connection(addr: SocketAddr) -> Self {
        let settings = Settings::default();
        let record = ExchangeRecord::new(&settings, AnswerMemory::new(settings.answer_buffer, settings.answer_memory));
        Self { addr, is_unnamed: false, secure: None, record: Arc::new(record) }
    }

    /// The body of an answer to this peer, so that the connection can read it ahead: while the peer is slow, up to
    /// `answer_buffer` of the listener's settings, and within `answer_memory`. Once all of `answer` was read, it is
    /// dropped.
    #[must_use]
    pub fn read_ahead(&self, answer: Body) -> Body {
        self.record.answer.hold(answer)
    }

    /// Whether the connection has TLS.
    pub fn is_secure(&self) -> bool {
        self.secure.is_some()
    }

    /// Lets the trailer sections of this request and of its answer pass, if they are on a stream of HTTP/2. Otherwise
    /// they are dropped.
    pub fn pass_trailers(&self) {
        self.record.pass_trailers();
    }

    /// Lets the peer have the interim answers to `request`, which is the one that it waits for, by HTTP/1.1: with the
    /// fields `Link` alone, which `edit` changes where there are any.
    pub fn take_interim(&self, request: &mut Request<Body>, edit: impl Fn(&mut HeaderMap) + Send + Sync + 'static) {
        let exchange = self.record.interim.open();
        let record = Arc::clone(&self.record);
        let notice = InterimNotice::new(move |status, fields| {
            let mut links = HeaderMap::new();
            for link in fields.get_all(LINK) {
                links.append(LINK, link.clone());
            }
            if !links.is_empty() {
                edit(&mut links);
            }
            record.interim.push(exchange, status, &links);
        });
        request.extensions_mut().insert(notice);
    }

    /// Whether the connection was cut off because the peer took an answer too slowly.
    pub fn was_too_slow(&self) -> bool {
        self.record.is_slow()
    }
}
