//! A name server that answers for this host alone.

use super::name_answerer::{NameAnswerer, Network};
use super::sockets;
use crate::naming::{LARGEST_DATAGRAM, OfferedServices, ServedDomain};
use crate::telemetry::NameMetrics;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// The most connections at a time. Clients come by TCP only where an answer fits in no datagram.
const CONNECTIONS: usize = 128;
/// How long a connection may take for one question with its answer, and for the wait before.
const EXCHANGE: Duration = Duration::from_secs(10);
/// The longest question by TCP. One of the longest name has 271 bytes; the rest is for the options of EDNS.
const LONGEST_QUESTION: u16 = 4_096;
/// How long a socket that fails is left alone: it may lack files or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// What the manifest says of the name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens, by UDP and TCP.
    pub listen: SocketAddr,
    /// What it answers for.
    pub domain: ServedDomain,
}

/// A name server, bound and not served yet.
pub struct NameServer {
    udp: UdpSocket,
    tcp: TcpListener,
    domain: ServedDomain,
    metrics: Arc<NameMetrics>,
}

impl NameServer {
    /// Binds both sockets.
    ///
    /// # Errors
    /// The address is in use, or is none of this machine, or the port is not this user's to take.
    pub async fn bind(settings: &Settings) -> io::Result<Self> {
        let (udp, tcp) = sockets::bind(settings.listen).await?;
        Ok(Self { udp, tcp, domain: settings.domain.clone(), metrics: Arc::default() })
    }

    /// The address that it listens on: with the real port, if it was 0.
    ///
    /// # Errors
    /// The error of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// What it counts.
    pub fn metrics(&self) -> &Arc<NameMetrics> {
        &self.metrics
    }

    /// Answers from what `services` offers, until the future is dropped. Questions that came since it was bound wait in
    /// the sockets.
    pub async fn serve(self, services: Arc<dyn OfferedServices + Send + Sync>) {
        let Self { udp, tcp, domain, metrics } = self;
        let answerer = Arc::new(NameAnswerer::new(domain, services, metrics));
        tokio::join!(answer_datagrams(udp, &answerer), answer_connections(tcp, &answerer, EXCHANGE));
    }
}

async fn answer_datagrams(socket: UdpSocket, answerer: &NameAnswerer) {
    // A longer one is cut off by the system, and no message then.
    let mut buffer = vec![0; usize::from(LARGEST_DATAGRAM)];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, sender)) => {
                if let Some(reply) = answerer.answer_datagram(&buffer[..length], sender.ip()) {
                    // A sender that cannot be reached is no fault of the socket.
                    let _ = socket.send_to(&reply, sender).await;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the name server got no datagram");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn answer_connections(listener: TcpListener, answerer: &Arc<NameAnswerer>, within: Duration) {
    let (mut open, mut oldest_first) = (JoinSet::new(), Vec::<(Network, AbortHandle)>::new());
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                while open.try_join_next().is_some() {}
                oldest_first.retain(|(_, connection)| !connection.is_finished());
                let network = Network::of(client.ip());
                if oldest_first.len() >= CONNECTIONS {
                    let networks: Vec<_> = oldest_first.iter().map(|(network, _)| *network).collect();
                    oldest_first.remove(first_to_go(&networks, network)).1.abort();
                }
                let task = open.spawn(exchange(stream, client.ip(), Arc::clone(answerer), within));
                oldest_first.push((network, task));
            }
            Err(error) => {
                tracing::debug!(%error, "the name server got no connection");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Which connection makes room for one more of the network `further`: the oldest one of the network that has the most,
/// `further` with its new one, so that no network takes the places of those that have fewer. `oldest_first` are their
/// networks.
fn first_to_go(oldest_first: &[Network], further: Network) -> usize {
    let places = |&number: &usize| {
        let network = oldest_first[number];
        let held = oldest_first.iter().filter(|other| **other == network).count();
        (held + usize::from(network == further), network == further)
    };
    // The last one of several that have as many.
    (0..oldest_first.len()).rev().max_by_key(places).unwrap_or(0)
}

/// Answers the questions of one connection, one after the other, until the client is slow, asks too much, or sends what
/// has no reply.
async fn exchange(mut stream: TcpStream, client: IpAddr, answerer: Arc<NameAnswerer>, within: Duration) {
    while let Ok(Ok(true)) = timeout(within, answer_one(&mut stream, client, &answerer)).await {}
}

/// Whether there was a question, which was answered. A message has its length before it (RFC 1035, section 4.2.2).
async fn answer_one(stream: &mut TcpStream, client: IpAddr, answerer: &NameAnswerer) -> io::Result<bool> {
    let length = stream.read_u16().await?;
    if length > LONGEST_QUESTION {
        return Ok(false);
    }
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    let Some(reply) = answerer.answer_on_stream(&message, client) else { return Ok(false) };
    let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
    // In one piece: some clients read it so.
    stream.write_all(&[&length.to_be_bytes(), reply.as_slice()].concat()).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::GatewayPlace;
    use crate::naming::OfferedGateway;
    use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, Question, TYPE};

    /// `users`, at one gateway.
    struct Users;

    impl OfferedServices for Users {
        fn gateways_of(&self, service: &str) -> Option<Vec<OfferedGateway>> {
            (service == "users").then(|| self.gateways())
        }

        fn gateways(&self) -> Vec<OfferedGateway> {
            let place = GatewayPlace { addresses: vec![[192, 0, 2, 1].into()], port: 80, secure_port: None };
            vec![OfferedGateway { node: None, place, weight: 1 }]
        }
    }

    fn domain() -> ServedDomain {
        ServedDomain::new("atoll.internal", Duration::from_secs(5)).expect("a domain")
    }

    fn question() -> Vec<u8> {
        let mut packet = Packet::new_query(7);
        let name = Name::new("users.atoll.internal").expect("a name");
        packet.questions.push(Question::new(name, TYPE::A.into(), QCLASS::CLASS(CLASS::IN), false));
        packet.build_bytes_vec().expect("bytes")
    }

    async fn served() -> (SocketAddr, Arc<NameMetrics>, JoinSet<()>) {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = NameServer::bind(&Settings { listen, domain: domain() }).await.expect("it is bound");
        let (address, metrics) = (server.local_addr().expect("it has one"), Arc::clone(server.metrics()));
        let mut tasks = JoinSet::new();
        tasks.spawn(server.serve(Arc::new(Users)));
        (address, metrics, tasks)
    }

    async fn by_tcp(stream: &mut TcpStream, message: &[u8]) -> io::Result<Vec<u8>> {
        let length = u16::try_from(message.len()).expect("it is short");
        stream.write_all(&[&length.to_be_bytes(), message].concat()).await?;
        let mut reply = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut reply).await?;
        Ok(reply)
    }

    #[tokio::test]
    async fn both_ways_have_the_same_answer_and_are_counted() {
        let (address, metrics, _tasks) = served().await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let mut buffer = [0; 512];
        // What has no reply is passed over, and does not end the loop.
        socket.send_to(b"short", address).await.expect("it is sent");
        socket.send_to(&question(), address).await.expect("it is sent");
        let (length, _) = timeout(EXCHANGE, socket.recv_from(&mut buffer)).await.expect("in time").expect("a reply");
        assert_eq!(Packet::parse(&buffer[..length]).expect("it is read").answers.len(), 1);
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        for _ in 0..3 {
            let reply = by_tcp(&mut stream, &question()).await.expect("a reply");
            assert_eq!(reply, buffer[..length], "many questions on one connection");
        }
        assert!(by_tcp(&mut stream, b"short").await.is_err(), "no question ends it");
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        assert!(by_tcp(&mut stream, &[0; 5_000]).await.is_err(), "nor does a long one stay");
        let counted = format!("{metrics:?}");
        assert!(counted.contains(r#""answered": 1"#) && counted.contains(r#""answered": 3"#), "{counted}");
    }

    #[tokio::test]
    async fn a_further_connection_of_a_network_takes_the_place_of_its_oldest() {
        let (address, _, _tasks) = served().await;
        let mut open = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            by_tcp(&mut stream, &question()).await.expect("a reply");
            open.push(stream);
        }
        let mut further = TcpStream::connect(address).await.expect("it listens");
        by_tcp(&mut further, &question()).await.expect("a reply");
        let end = timeout(EXCHANGE, open[0].read_u8()).await.expect("in time");
        assert!(end.is_err(), "the oldest is closed");
        by_tcp(&mut open[1], &question()).await.expect("the others stay");
    }

    #[tokio::test]
    async fn a_connection_that_asks_nothing_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("it has one");
        let answerer = Arc::new(NameAnswerer::new(domain(), Arc::new(Users), Arc::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { answer_connections(listener, &answerer, Duration::from_millis(50)).await });
        let mut idle = TcpStream::connect(address).await.expect("it listens");
        let end = timeout(EXCHANGE, idle.read_u8()).await.expect("in time");
        assert!(end.is_err(), "{end:?}");
    }

    #[test]
    fn a_network_that_asks_too_much_is_sent_to_tcp_and_others_are_not() {
        let answerer = NameAnswerer::new(domain(), Arc::new(Users), Arc::default());
        let is_cut_off = |sender: [u8; 4]| {
            let reply = answerer.answer_datagram(&question(), sender.into()).expect("a reply");
            assert!(reply.len() <= question().len() + 16);
            Packet::parse(&reply).expect("it is read").has_flags(PacketFlag::TRUNCATION)
        };
        let asked = std::iter::from_fn(|| Some(is_cut_off([192, 0, 2, 7])));
        assert!(asked.take(100_000).any(|cut_off| cut_off), "there is a bound");
        assert!(!is_cut_off([192, 0, 3, 7]), "another network");
    }

    #[test]
    fn a_network_that_asks_too_much_by_tcp_gets_no_answer_and_others_do() {
        let answerer = NameAnswerer::new(domain(), Arc::new(Users), Arc::default());
        let has_answer = |sender: [u8; 4]| answerer.answer_on_stream(&question(), sender.into()).is_some();
        assert!((0..100_000).any(|_| !has_answer([192, 0, 2, 7])), "there is a bound");
        assert!(has_answer([192, 0, 3, 7]), "another network");
    }

    #[test]
    fn the_oldest_connection_of_the_network_with_the_most_makes_room() {
        let network = |number: u8| Network::of([10, 0, number, 9].into());
        let first_to_go = |networks: &[u8], further: u8| {
            let networks: Vec<_> = networks.iter().map(|number| network(*number)).collect();
            first_to_go(&networks, network(further))
        };
        assert_eq!(first_to_go(&[1, 2, 3], 4), 0);
        assert_eq!(first_to_go(&[1, 2, 3, 2], 4), 1);
        assert_eq!(first_to_go(&[1, 2, 2, 1], 4), 0);
        // Who has as many as the others with the new one gives up one of its own.
        assert_eq!(first_to_go(&[1, 2, 2, 1], 2), 1);
        assert_eq!(first_to_go(&[1, 1, 2], 2), 2);
        assert_eq!(first_to_go(&[1, 2, 3], 3), 2);
        let of = |text: &str| Network::of(text.parse().expect("an address"));
        assert_eq!(of("::ffff:10.0.1.9"), of("10.0.1.7"));
        assert!(of("fd00:0:0:1ff::1") == of("fd00:0:0:100::9") && of("fd00:0:0:200::1") != of("fd00:0:0:100::1"));
    }

    #[tokio::test]
    async fn an_address_in_use_is_told() {
        let (address, ..) = served().await;
        let taken = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let listen = taken.local_addr().expect("it has one");
        let error = NameServer::bind(&Settings { listen, domain: domain() }).await.err().expect("it is in use");
        assert!(error.to_string().contains(&listen.to_string()), "{error} {address}");
    }
}
