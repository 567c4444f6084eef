//! Endpoints by SRV records, of a name server inside the test's process.

use super::super::atoll::{Home, eventually};
use super::super::plain_server::PlainServer;
use super::dns_and_tls::Authority;
use super::{Host, route};
use simple_dns::rdata::{A, RData, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord};
use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

const NAME: &str = "_http._tcp.users.test";

/// Priority, weight and place of a record.
type Record = (u16, u16, SocketAddr);

/// What the name server answers.
#[derive(Clone)]
enum DnsBehaviour {
    Records(Vec<Record>),
    /// By UDP an answer that is cut off, by TCP these records.
    CutOff(Vec<Record>),
    Failure(RCODE),
    Silent,
    Garbage,
}

/// A name server that knows one name. It ends when this is dropped.
struct NameServer {
    address: SocketAddr,
    state: Arc<DnsState>,
    _tasks: JoinSet<()>,
}

struct DnsState {
    behaviour: Mutex<DnsBehaviour>,
    asked: AtomicUsize,
}

impl NameServer {
    async fn start(records: Vec<Record>) -> Self {
        let (udp, tcp) = bind().await;
        let address = udp.local_addr().unwrap();
        let behaviour = Mutex::new(DnsBehaviour::Records(records));
        let state = Arc::new(DnsState { behaviour, asked: AtomicUsize::new(0) });
        let mut tasks = JoinSet::new();
        let own = Arc::clone(&state);
        tasks.spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (length, from) = udp.recv_from(&mut buffer).await.unwrap();
                if let Some(answer) = own.answer(&buffer[..length], true) {
                    udp.send_to(&answer, from).await.unwrap();
                }
            }
        });
        let own = Arc::clone(&state);
        tasks.spawn(async move {
            loop {
                let (stream, _) = tcp.accept().await.unwrap();
                own.serve(stream).await;
            }
        });
        Self { address, state, _tasks: tasks }
    }

    fn behave(&self, behaviour: DnsBehaviour) {
        *self.state.behaviour.lock().unwrap() = behaviour;
    }

    /// Waits until the host has asked so many times more.
    async fn asked(&self, times: usize) {
        let goal = self.state.asked.load(SeqCst) + times;
        eventually("the host asks again", async || (self.state.asked.load(SeqCst) >= goal).then_some(())).await;
    }
}

impl DnsState {
    fn answer(&self, question: &[u8], udp: bool) -> Option<Vec<u8>> {
        self.asked.fetch_add(1, SeqCst);
        let behaviour = self.behaviour.lock().unwrap().clone();
        let mut packet = Packet::parse(question).unwrap().into_reply();
        packet.set_flags(PacketFlag::RESPONSE);
        assert_eq!(packet.questions[0].qname.to_string(), NAME);
        let records = match behaviour {
            DnsBehaviour::Silent => return None,
            DnsBehaviour::Garbage => return Some(question[..7].to_vec()),
            DnsBehaviour::Failure(code) => {
                *packet.rcode_mut() = code;
                Vec::new()
            }
            DnsBehaviour::CutOff(_) if udp => {
                packet.set_flags(PacketFlag::TRUNCATION);
                Vec::new()
            }
            DnsBehaviour::CutOff(records) | DnsBehaviour::Records(records) => records,
        };
        let hosts: Vec<_> = (0..records.len()).map(|index| format!("host-{index}.users.test")).collect();
        for ((priority, weight, at), host) in records.into_iter().zip(&hosts) {
            let target = Name::new(host).unwrap();
            let SocketAddr::V4(at) = at else { panic!("IPv4 alone") };
            let address = RData::A(A::from(*at.ip()));
            packet.additional_records.push(ResourceRecord::new(target.clone(), CLASS::IN, 1, address));
            let srv = RData::SRV(SRV { priority, weight, port: at.port(), target });
            packet.answers.push(ResourceRecord::new(Name::new(NAME).unwrap(), CLASS::IN, 1, srv));
        }
        Some(packet.build_bytes_vec_compressed().unwrap())
    }

    async fn serve(&self, mut stream: TcpStream) {
        let length = stream.read_u16().await.unwrap();
        let mut question = vec![0; usize::from(length)];
        stream.read_exact(&mut question).await.unwrap();
        if let Some(answer) = self.answer(&question, false) {
            stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    }
}

/// A port that is free for both.
async fn bind() -> (UdpSocket, TcpListener) {
    for _ in 0..50 {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
    panic!("no port is free for UDP and TCP")
}

async fn host_of(names: &NameServer) -> Host {
    let url = format!("dns+srv://{}/{NAME}", names.address);
    let keys = "dns = \"1s\"\nretry = { tries = 0 }";
    Host::start(&format!("[service.legacy]\nurls = [{url:?}]\n{keys}\n{}", route("/plain", "legacy"))).await
}

/// The endpoints' places, sorted.
async fn places(host: &Host) -> Vec<String> {
    let ids = host.endpoints("legacy", "id").await;
    let mut places: Vec<_> =
        ids.iter().map(|id| id.as_str().unwrap().strip_prefix("legacy-url-0@").unwrap().to_owned()).collect();
    places.sort();
    places
}

fn sorted(servers: &[&PlainServer]) -> Vec<String> {
    let mut places: Vec<_> = servers.iter().map(|server| server.address.to_string()).collect();
    places.sort();
    places
}

#[tokio::test]
async fn endpoints_of_srv_records_come_and_go_and_no_request_fails() {
    let (a, b, c) = (PlainServer::start("a").await, PlainServer::start("b").await, PlainServer::start("c").await);
    let names = NameServer::start(vec![(1, 1, a.address), (1, 3, b.address), (2, 9, c.address)]).await;
    let host = host_of(&names).await;
    let lowest = async || (places(&host).await == sorted(&[&a, &b])).then_some(());
    eventually("the records of the lowest priority serve", lowest).await;
    let load = async |until: &[&PlainServer]| {
        eventually("the host has the new records", async || {
            for _ in 0..5 {
                assert_eq!(host.status("/plain/x").await, 200);
            }
            (places(&host).await == sorted(until)).then_some(())
        })
        .await;
    };
    load(&[&a, &b]).await;
    let of_b = async |key| {
        let ids = host.endpoints("legacy", "id").await;
        let row = ids.iter().position(|id| id.as_str().unwrap().ends_with(&b.address.to_string())).unwrap();
        host.endpoints("legacy", key).await[row].clone()
    };
    eventually("`b` gets requests", async || {
        assert_eq!(host.status("/plain/x").await, 200);
        (b.requests() > 0).then_some(())
    })
    .await;
    assert_eq!(of_b("weight").await, 3);
    // `b` stays with its counters, and gets another weight.
    names.behave(DnsBehaviour::Records(vec![(1, 1, c.address), (1, 5, b.address)]));
    load(&[&b, &c]).await;
    assert_eq!(of_b("weight").await, 5);
    eventually("`b` has counted all that it got, also before the change", async || {
        (of_b("requests").await == b.requests()).then_some(())
    })
    .await;
    let changes = host.http.get(&format!("{}/v1/changes", host.atoll.admin)).await;
    let changes = String::from_utf8_lossy(&changes.body).into_owned();
    assert!(changes.contains("_http._tcp.users.test: 1 came, 1 left, 2 in all"), "{changes}");
}

#[tokio::test]
async fn the_last_good_srv_records_serve_whatever_the_name_server_does() {
    let (a, b) = (PlainServer::start("a").await, PlainServer::start("b").await);
    let good = vec![(1, 1, a.address), (1, 1, b.address)];
    let names = NameServer::start(good.clone()).await;
    let host = host_of(&names).await;
    eventually("the records are there", async || (places(&host).await == sorted(&[&a, &b])).then_some(())).await;
    // A look-up without an answer asks three times. So with one question more the host has dealt with what came.
    for (bad, questions) in [
        (DnsBehaviour::Records(Vec::new()), 2),
        (DnsBehaviour::Failure(RCODE::NameError), 2),
        (DnsBehaviour::Failure(RCODE::ServerFailure), 2),
        (DnsBehaviour::Garbage, 4),
        (DnsBehaviour::Silent, 4),
    ] {
        names.behave(bad);
        names.asked(questions).await;
        assert_eq!(places(&host).await, sorted(&[&a, &b]));
        assert_eq!(host.status("/plain/x").await, 200);
    }
    host.atoll.logged("a name was not resolved").await;
    names.behave(DnsBehaviour::Records(vec![(1, 1, a.address)]));
    eventually("a good answer counts again", async || (places(&host).await == sorted(&[&a])).then_some(())).await;
}

#[tokio::test]
async fn srv_records_that_fit_in_no_datagram_come_by_tcp() {
    let a = PlainServer::start("a").await;
    let names = NameServer::start(Vec::new()).await;
    names.behave(DnsBehaviour::CutOff(vec![(1, 1, a.address)]));
    let host = host_of(&names).await;
    eventually("the records are there", async || (places(&host).await == sorted(&[&a])).then_some(())).await;
    assert_eq!(host.status("/plain/x").await, 200);
}

#[tokio::test]
async fn servers_of_srv_records_with_tls_are_called_by_the_records_host() {
    let authority = Authority::new("ours");
    let secure = authority.server("host-0.users.test").await;
    let names = NameServer::start(vec![(1, 1, secure.address)]).await;
    let url = format!("dns+srv+https://{}/{NAME}", names.address);
    let home =
        Home::new(&format!("[service.legacy]\nurls = [{url:?}]\nca = \"ca.pem\"\n{}", route("/plain", "legacy")));
    fs::write(home.folder.path().join("ca.pem"), authority.pem()).unwrap();
    let host = Host::at(home).await;
    eventually("the records are there", async || (places(&host).await == sorted(&[&secure])).then_some(())).await;
    assert_eq!(host.status("/plain/x").await, 200);
}
