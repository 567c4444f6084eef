//! Debian's `pebble`, an ACME authority for tests: how it is started, with what stands between it and the host.

use super::super::atoll::{TIMEOUT, eventually};
use super::{Authority, Client, exchange};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// A port of the test's own that leads to another one, once it is known which. It counts its connections.
pub struct Relay {
    pub port: u16,
    pub connections: Arc<AtomicUsize>,
    target: watch::Sender<RelayTarget>,
}

/// Where a connection goes.
#[derive(Clone, Copy)]
enum RelayTarget {
    /// It waits until that is known.
    Unknown,
    /// It closes.
    Nowhere,
    Address(SocketAddr),
}

impl Relay {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, (target, known)) = (Arc::new(AtomicUsize::new(0)), watch::channel(RelayTarget::Unknown));
        let relay = Self { port, connections: Arc::clone(&connections), target };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let mut known = known.clone();
                tokio::spawn(async move {
                    let known = known.wait_for(|target| !matches!(target, RelayTarget::Unknown));
                    let Ok(RelayTarget::Address(target)) = known.await.map(|target| *target) else { return };
                    if let Ok(mut other) = TcpStream::connect(target).await {
                        let _ = copy_bidirectional(&mut stream, &mut other).await;
                    }
                });
            }
        });
        relay
    }

    /// Leads to `address`, which may begin with a scheme.
    pub fn lead_to(&self, address: &str) {
        let address = address.rsplit('/').next().unwrap();
        self.target.send_replace(RelayTarget::Address(address.parse().unwrap()));
    }

    /// Closes every connection.
    pub fn lead_nowhere(&self) {
        self.target.send_replace(RelayTarget::Nowhere);
    }

    pub fn count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A running authority. All names lead to this machine for it.
pub struct Pebble {
    _child: Child,
    _folder: TempDir,
    /// The address of its directory, by way of `directory_relay`.
    pub directory: String,
    pub directory_relay: Relay,
    /// Where it looks at names in handshakes, and by HTTP.
    pub tls: Relay,
    pub http: Relay,
    /// The authority of its own certificate.
    own: Authority,
    management: SocketAddr,
}

impl Pebble {
    /// Starts it. `None`: it is not installed, which is said.
    pub async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let own = Authority::new("pebble itself");
        own.sign(&["127.0.0.1", "localhost"]).write(folder.path(), "pebble");
        let (directory_relay, tls, http) = (Relay::start().await, Relay::start().await, Relay::start().await);
        let dns = every_name_is_this_machine().await;
        // Its two own ports must be named, and another process may take one of them in between: then it ends.
        for _ in 0..10 {
            let (listen, management) = (free_port().await, free_port().await);
            let config = json!({ "pebble": {
                "listenAddress": listen, "managementListenAddress": management,
                "certificate": folder.path().join("pebble.pem"), "privateKey": folder.path().join("pebble.key"),
                "httpPort": http.port, "tlsPort": tls.port,
                "ocspResponderURL": "", "externalAccountBindingRequired": false,
            } });
            let path = folder.path().join("pebble.json");
            fs::write(&path, config.to_string()).unwrap();
            let mut command = Command::new("pebble");
            command.arg("-config").arg(&path).args(["-strict", "-dnsserver", &dns.to_string()]);
            command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "0").kill_on_drop(true);
            let Ok(mut child) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
                eprintln!("skipped: there is no `pebble`: apt-get install pebble");
                return None;
            };
            let serves = eventually("pebble serves or ends", async || match child.try_wait().unwrap() {
                Some(_) => Some(false),
                None => {
                    let both = TcpStream::connect(listen).await.is_ok() && TcpStream::connect(management).await.is_ok();
                    both.then_some(true)
                }
            });
            if serves.await {
                directory_relay.lead_to(&listen.to_string());
                let directory = format!("https://127.0.0.1:{}/dir", directory_relay.port);
                let (_child, _folder) = (child, folder);
                return Some(Self { _child, _folder, directory, directory_relay, tls, http, own, management });
            }
        }
        panic!("pebble does not start");
    }

    /// Writes the certificate of the authority that signed its own.
    pub fn write_ca(&self, path: &Path) {
        self.own.write(path);
    }

    /// A client that trusts what it issues.
    pub async fn client(&self) -> Client {
        let address = format!("https://{}", self.management);
        let trusting = Client::new(&self.own, None);
        let stream = trusting.connect_to(&address, "127.0.0.1").await.unwrap();
        let request = "GET /roots/0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let answer = exchange(stream, request).await.unwrap();
        let root = CertificateDer::from_pem_slice(answer.as_bytes()).expect("a root in PEM");
        let mut roots = RootCertStore::empty();
        roots.add(root).unwrap();
        Client::with(Arc::new(roots), rustls::DEFAULT_VERSIONS, None)
    }
}

async fn free_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap()
}

/// A name server for which every name has the address 127.0.0.1 and nothing else (RFC 1035, section 4.1).
async fn every_name_is_this_machine() -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            if let Some(answer) = dns_answer(&buffer[..length]) {
                let _ = timeout(TIMEOUT, socket.send_to(&answer, peer)).await;
            }
        }
    });
    address
}

fn dns_answer(query: &[u8]) -> Option<Vec<u8>> {
    // The name is a row of labels, each with its length, and ends with an empty one.
    let mut end = 12;
    while *query.get(end)? != 0 {
        end += usize::from(query[end]) + 1;
    }
    let question = query.get(12..end + 5)?;
    let is_address = question[question.len() - 4..question.len() - 2] == [0, 1];
    // The id, then: an answer with recursion; one question, perhaps one record.
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    answer.extend(question);
    if is_address {
        // The name of the question, A, IN, a minute, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}
