//! How a connection is made.

use super::dial::Dial;
use super::lookup::Lookup;
use super::stream::ClientStream;
use crate::egress::{EgressRule, Range};
use http::Uri;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Each address gets at least a quarter of the time that is left when its turn comes. So if a host has many addresses
/// and the first few do not answer, the time is over before the last ones are tried.
const SHARES: usize = 4;

/// Why there is no connection. Not a byte of a request was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("`{host}` is {address}, which is {}: {remedy}", .range.as_str())]
    Forbidden { host: String, address: IpAddr, range: Range, remedy: String },
    #[error("cannot find `{host}`: {why}")]
    Lookup { host: String, why: String },
    #[error("cannot connect to {address}")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("no TLS with `{host}`")]
    Tls { host: String, source: io::Error },
    #[error("no TLS with `{0}`: it was not set up")]
    NoTls(String),
    #[error("no connection to `{host}` within {within:?}")]
    Timeout { host: String, within: Duration },
}

/// Connects to one address or host.
pub(super) struct Connector {
    /// A name, or an address without brackets. A certificate must be for it.
    host: String,
    secure: bool,
    peer: ConnectTarget,
    dial: Dial,
}

/// Where connections go.
enum ConnectTarget {
    Fixed(SocketAddr),
    Checked(EgressRule, Lookup),
}

impl Connector {
    pub(super) fn fixed(base: &Uri, peer: SocketAddr, dial: &Dial) -> Self {
        Self::new(base, ConnectTarget::Fixed(peer), dial)
    }

    pub(super) fn checked(base: &Uri, rule: EgressRule, dial: &Dial) -> Self {
        let port = base.port_u16().unwrap_or(if is_secure(base) { 443 } else { 80 });
        Self::new(base, ConnectTarget::Checked(rule, Lookup::new(bare_host(base), port)), dial)
    }

    fn new(base: &Uri, peer: ConnectTarget, dial: &Dial) -> Self {
        let (host, secure) = (bare_host(base).to_owned(), is_secure(base));
        Self { host, secure, peer, dial: dial.clone() }
    }

    /// Opens a connection, with its look-up and its handshake.
    ///
    /// # Errors
    /// There is none, or there was none in time.
    pub(super) async fn connect(&self) -> Result<ClientStream, DialError> {
        let within = self.dial.connect;
        let end = Instant::now() + within;
        let connected = timeout_at(end, self.open(end)).await;
        connected.unwrap_or_else(|_| Err(DialError::Timeout { host: self.host.clone(), within }))
    }

    async fn open(&self, end: Instant) -> Result<ClientStream, DialError> {
        let stream = match &self.peer {
            ConnectTarget::Fixed(address) => first(&[*address], end).await,
            ConnectTarget::Checked(rule, lookup) => first(&self.admitted(rule, lookup).await?, end).await,
        };
        let stream = stream.map_err(|failure| match failure {
            Some((address, source)) => DialError::Connect { address, source },
            None => DialError::Lookup { host: self.host.clone(), why: "it has no address".into() },
        })?;
        if !self.secure {
            return Ok(ClientStream::plain(stream));
        }
        let Some(tls) = &self.dial.tls else { return Err(DialError::NoTls(self.host.clone())) };
        let secured = tls.secure(&self.host, stream, self.dial.http2).await;
        let secured = secured.map_err(|source| DialError::Tls { host: self.host.clone(), source })?;
        Ok(ClientStream::tls(secured))
    }

    /// The addresses of the host that the rule admits. The connection goes to one of these very addresses: a second
    /// look-up could find another address, which nobody has checked.
    async fn admitted(&self, rule: &EgressRule, lookup: &Lookup) -> Result<Vec<SocketAddr>, DialError> {
        let host = || self.host.clone();
        let found = lookup.addresses().await;
        let found = found.map_err(|why| DialError::Lookup { host: host(), why: why.to_string() })?;
        let mut refused = None;
        let mut admitted = Vec::new();
        for &address in found.iter() {
            match rule.admits(address.ip()) {
                Ok(()) => admitted.push(address),
                Err(range) => refused = refused.or(Some((address.ip(), range))),
            }
        }
        match refused {
            Some((address, range)) if admitted.is_empty() => {
                let remedy = match range {
                    // A rule with `private` does not admit it.
                    Range::Metadata => "only a rule with this very address admits it".to_owned(),
                    _ => format!("it needs `{}`", rule.private_line(&self.host)),
                };
                Err(DialError::Forbidden { host: host(), address, range, remedy })
            }
            _ => Ok(admitted),
        }
    }
}

/// Whether `base` asks for TLS.
pub(super) fn is_secure(base: &Uri) -> bool {
    base.scheme() == Some(&http::uri::Scheme::HTTPS)
}

/// The host without the brackets of an IPv6 address.
fn bare_host(base: &Uri) -> &str {
    let host = base.host().unwrap_or_default();
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Tries the addresses in their order, until `end`. Returns a connection to the first address that accepts one.
///
/// # Errors
/// The last address and its error, if none accepts a connection; `None` if `addresses` is empty.
async fn first(addresses: &[SocketAddr], end: Instant) -> Result<TcpStream, Option<(SocketAddr, io::Error)>> {
    let mut failure = None;
    for (index, &address) in addresses.iter().enumerate() {
        let shares = (addresses.len() - index).min(SHARES);
        let now = Instant::now();
        let share = end.saturating_duration_since(now) / u32::try_from(shares).unwrap_or(1);
        match timeout_at(now + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without this option a small request would wait until the peer has acknowledged the request before.
                // If the option cannot be set, the connection still works.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => failure = Some((address, error)),
            Err(_) => failure = Some((address, io::ErrorKind::TimedOut.into())),
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpSocket};

    #[tokio::test]
    async fn an_address_that_fails_is_followed_by_the_next() {
        let held = TcpSocket::new_v4().unwrap();
        held.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let nobody = held.local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let somebody = listener.local_addr().unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        let stream = first(&[nobody, nobody, somebody, nobody], end).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), somebody);
        assert_eq!(first(&[nobody], end).await.unwrap_err().unwrap().0, nobody);
        assert!(first(&[], end).await.unwrap_err().is_none());
    }
}
