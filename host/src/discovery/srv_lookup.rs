//! The look-up of a SRV source: who is asked, how often, and what its hosts' addresses are.

use super::dns_message::{DnsAnswer, DnsAnswerError, DnsKind, LARGEST_DATAGRAM, question, read};
use super::srv_choice::{SrvRecord, chosen};
use super::srv_source::SrvSource;
use futures_util::StreamExt;
use futures_util::stream;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;

/// How long one question by UDP waits before it is asked once more: a datagram may be lost.
const DATAGRAM: Duration = Duration::from_secs(1);
/// How long one name server may take, by UDP and TCP together.
const SERVER: Duration = Duration::from_millis(2_500);
/// How many hosts' addresses are looked up at a time.
const AT_ONCE: usize = 16;
/// How many addresses of one host are used, as of a name in `urls`.
const ADDRESSES: usize = 64;
/// How many name servers are asked, one after the other; more are not (resolv.conf(5) says 3 too).
const SERVERS: usize = 3;
/// The system's list of name servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// A record with the addresses of its host.
#[derive(Debug)]
pub(super) struct LocatedRecord {
    pub(super) record: SrvRecord,
    /// Where it is, or why that is not known.
    pub(super) addresses: Result<Vec<IpAddr>, SrvLookupError>,
}

/// Why a look-up has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SrvLookupError {
    #[error("no name server is known: {0}")]
    NoServer(io::Error),
    #[error("{RESOLV_CONF} names no name server")]
    NoServers,
    #[error("{server} does not answer: {error}")]
    Unreachable { server: SocketAddr, error: io::Error },
    #[error("{server} does not answer in time")]
    Late { server: SocketAddr },
    #[error("{server}: {error}")]
    Answer { server: SocketAddr, error: DnsAnswerError },
    #[error("`{0}` is no name that can be asked for")]
    Name(String),
    #[error("it has no record that can be used")]
    Empty,
    #[error("{0} has no address")]
    NoAddress(String),
}

/// The records that become endpoints, with their addresses; one at least. Their weights are multiplied by `factor`.
///
/// # Errors
/// [`SrvLookupError`]
pub(super) async fn look_up(source: &SrvSource, factor: u16) -> Result<Vec<LocatedRecord>, SrvLookupError> {
    let servers = match source.server {
        Some(server) => vec![server],
        None => system_servers().await?,
    };
    let DnsAnswer { records, addresses, .. } = ask(&servers, &source.name, DnsKind::Srv).await?;
    let chosen = chosen(records, factor);
    if chosen.is_empty() {
        return Err(SrvLookupError::Empty);
    }
    let (servers, addresses, own) = (&servers, &addresses, source.server.is_some());
    let located = stream::iter(chosen).map(async |record| {
        let found = match addresses.get(&record.target) {
            Some(found) => Ok(found.clone()),
            None if own => hosts_of(servers, &record.target).await,
            None => system_hosts(&record.target).await,
        };
        let addresses = found.map(|found| found.into_iter().take(ADDRESSES).collect());
        LocatedRecord { record, addresses }
    });
    Ok(located.buffered(AT_ONCE).collect().await)
}

/// The addresses that the system knows for a host, by its file of hosts too.
async fn system_hosts(host: &str) -> Result<Vec<IpAddr>, SrvLookupError> {
    let none = || SrvLookupError::NoAddress(host.to_owned());
    let found: Vec<_> = lookup_host((host, 0)).await.map_err(|_| none())?.map(|address| address.ip()).collect();
    if found.is_empty() { Err(none()) } else { Ok(found) }
}

/// The addresses that these name servers know for a host: that of a registry may be the only one that does.
async fn hosts_of(servers: &[SocketAddr], host: &str) -> Result<Vec<IpAddr>, SrvLookupError> {
    let (four, six) = tokio::join!(ask(servers, host, DnsKind::Ipv4), ask(servers, host, DnsKind::Ipv6));
    let mut found = Vec::new();
    for answer in [four, six] {
        match answer {
            Ok(answer) => found.extend(answer.asked),
            // Some servers refuse one kind for good (RFC 4074, section 4), which must not hide the other.
            Err(SrvLookupError::Answer { .. }) => {}
            // One kind is lost by chance. With the other alone, half of the endpoints would go.
            Err(error) => return Err(error),
        }
    }
    if found.is_empty() { Err(SrvLookupError::NoAddress(host.to_owned())) } else { Ok(found) }
}

/// The name servers of the system, read anew each time: a laptop or a container changes them.
async fn system_servers() -> Result<Vec<SocketAddr>, SrvLookupError> {
    let text = tokio::fs::read_to_string(RESOLV_CONF).await.map_err(SrvLookupError::NoServer)?;
    let servers = servers_in(&text);
    if servers.is_empty() { Err(SrvLookupError::NoServers) } else { Ok(servers) }
}

/// The `nameserver` lines of a resolv.conf, at most [`SERVERS`].
fn servers_in(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let ip = (words.next() == Some("nameserver")).then(|| words.next())??;
        Some(SocketAddr::new(ip.parse().ok()?, 53))
    };
    text.lines().filter_map(server).take(SERVERS).collect()
}

/// Asks the servers in their order, until one answers. That the name does not exist is an answer.
async fn ask(servers: &[SocketAddr], name: &str, kind: DnsKind) -> Result<DnsAnswer, SrvLookupError> {
    let mut last = SrvLookupError::NoServers;
    for &server in servers {
        let outcome = timeout(SERVER, ask_one(server, name, kind)).await;
        match outcome.unwrap_or(Err(SrvLookupError::Late { server })) {
            Err(SrvLookupError::Answer { server, error }) if error == DnsAnswerError::NoSuchName => {
                return Err(SrvLookupError::Answer { server, error });
            }
            Err(error) => last = error,
            answered => return answered,
        }
    }
    Err(last)
}

async fn ask_one(server: SocketAddr, name: &str, kind: DnsKind) -> Result<DnsAnswer, SrvLookupError> {
    let id = rand::random();
    let asked = question(id, name, kind).map_err(|_| SrvLookupError::Name(name.to_owned()))?;
    let answered = async {
        match by_udp(server, &asked, |bytes| read(bytes, id, name, kind)).await? {
            // RFC 7766, section 5: what does not fit in a datagram is asked for again by TCP.
            Err(DnsAnswerError::Truncated) => Ok(read(&by_tcp(server, &asked).await?, id, name, kind)),
            answer => Ok(answer),
        }
    };
    let answer = answered.await.map_err(|error| SrvLookupError::Unreachable { server, error })?;
    answer.map_err(|error| SrvLookupError::Answer { server, error })
}

/// The first datagram of the server that answers the question. Others may be forged or late, and are passed over.
async fn by_udp<T>(
    server: SocketAddr,
    asked: &[u8],
    read: impl Fn(&[u8]) -> Result<T, DnsAnswerError>,
) -> io::Result<Result<T, DnsAnswerError>> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    // A connected socket gets no datagrams of others, and is told when nobody listens there.
    socket.connect(server).await?;
    let mut buffer = vec![0; usize::from(LARGEST_DATAGRAM)];
    loop {
        socket.send(asked).await?;
        let answered = async {
            loop {
                let length = socket.recv(&mut buffer).await?;
                match read(&buffer[..length]) {
                    Err(DnsAnswerError::Foreign) => {}
                    answer => return Ok(answer),
                }
            }
        };
        if let Ok(answer) = timeout(DATAGRAM, answered).await {
            return answer;
        }
    }
}

/// One message each way, with its length before it (RFC 1035, section 4.2.2).
async fn by_tcp(server: SocketAddr, asked: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(asked.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), asked].concat()).await?;
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_name_servers_are_those_of_its_lines() {
        let text =
            "# old\nsearch internal\nnameserver 192.0.2.1\nnameserver\t2001:db8::1 \nnameserver x\n#nameserver 9.9.9.9";
        let servers: Vec<SocketAddr> = ["192.0.2.1:53", "[2001:db8::1]:53"].map(|text| text.parse().unwrap()).into();
        assert_eq!(servers_in(text), servers);
        assert_eq!(servers_in(&"nameserver 192.0.2.1\n".repeat(9)).len(), SERVERS);
    }
}
