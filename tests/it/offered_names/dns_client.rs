//! Asks a name server as any client does. Its reader is simple-dns, which the host's own answers know nothing of.

use super::super::atoll::TIMEOUT;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, QCLASS, QTYPE, Question, RCODE, TYPE};
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// What a name server has answered.
#[derive(Debug, Clone, PartialEq)]
pub struct DnsReply {
    pub code: RCODE,
    /// `A 127.0.0.1`, or `SRV 0 2 8080 a.users.test`: answers, then what came along, sorted.
    pub records: Vec<String>,
    pub bytes: Vec<u8>,
}

impl DnsReply {
    pub fn read(bytes: Vec<u8>) -> Self {
        let packet = Packet::parse(&bytes).expect("a message");
        let text = |data: &RData<'_>| match data {
            RData::A(a) => Some(format!("A {}", IpAddr::from(a.address.to_be_bytes()))),
            RData::SRV(srv) => Some(format!("SRV {} {} {} {}", srv.priority, srv.weight, srv.port, srv.target)),
            _ => None,
        };
        let all = packet.answers.iter().chain(&packet.additional_records);
        let mut records: Vec<_> = all.filter_map(|record| text(&record.rdata)).collect();
        records.sort();
        Self { code: packet.rcode(), records, bytes: bytes.clone() }
    }

    /// How many records there are of this type.
    pub fn count(&self, kind: &str) -> usize {
        self.records.iter().filter(|record| record.split(' ').next() == Some(kind)).count()
    }
}

/// A question.
pub fn question(name: &str, kind: TYPE) -> Vec<u8> {
    let mut packet = Packet::new_query(0x4a4a);
    let name = Name::new(name).unwrap();
    packet.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().unwrap()
}

/// The answer by UDP.
pub async fn ask(server: SocketAddr, name: &str, kind: TYPE) -> DnsReply {
    DnsReply::read(by_udp(server, &question(name, kind)).await)
}

pub async fn by_udp(server: SocketAddr, message: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(message).await.unwrap();
    let mut buffer = vec![0; 4096];
    let length = timeout(TIMEOUT, socket.recv(&mut buffer)).await.expect("an answer in time").unwrap();
    buffer.truncate(length);
    buffer
}

pub async fn by_tcp(server: SocketAddr, message: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_u16(u16::try_from(message.len()).unwrap()).await.unwrap();
    stream.write_all(message).await.unwrap();
    let read = async {
        let mut reply = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut reply).await.map(|_| reply)
    };
    timeout(TIMEOUT, read).await.expect("an answer in time").unwrap()
}
