//! A real Redis or Valkey, which a test kills, stops, pauses and starts again.

use super::postgres_server::TIMEOUT;
use crate::state::redis::RedisScript;
use crate::state::{BackendPassword, RemoteKind, RemoteSettings, Settings};
use servers::RedisProcess;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The server, with the stores over it.
pub(super) struct RedisServer(RedisProcess);

impl Deref for RedisServer {
    type Target = RedisProcess;

    fn deref(&self) -> &RedisProcess {
        &self.0
    }
}

impl DerefMut for RedisServer {
    fn deref_mut(&mut self) -> &mut RedisProcess {
        &mut self.0
    }
}

impl RedisServer {
    /// Redis of the system's package; `None` if it is not installed.
    pub(super) async fn of_the_system() -> Option<Self> {
        RedisProcess::of_the_system().map(Self)
    }

    /// Valkey of the wheel; `None` if it is not there.
    pub(super) async fn of_the_wheel() -> Option<Self> {
        RedisProcess::of_the_wheel().map(Self)
    }

    /// Any of them, with these settings of the server.
    pub(super) async fn any(options: &[&str]) -> Option<Self> {
        let mut server = RedisProcess::any().map(Self)?;
        if !options.is_empty() {
            server.restart_with(options);
        }
        Some(server)
    }

    pub(super) async fn start_again(&mut self) {
        self.0.start_again();
    }

    /// As [`RedisProcess::ask`]; it is asked by a client that is not the store's.
    pub(super) async fn ask(&self, command: &[&str]) -> String {
        self.0.ask(command)
    }

    /// As [`RedisProcess::follow`].
    pub(super) async fn follow(&mut self, primary: Option<&Self>) {
        self.0.follow(primary.map(|primary| &primary.0));
    }

    /// Settings of a store over the data `namespace`.
    pub(super) fn settings(&self, namespace: &str) -> Settings {
        self.settings_at(self.port(), namespace)
    }

    /// As [`RedisServer::settings`], where the server is reached at another port.
    pub(super) fn settings_at(&self, port: u16, namespace: &str) -> Settings {
        let remote = RemoteSettings {
            kind: RemoteKind::Redis,
            servers: vec![("127.0.0.1".into(), port)],
            database: "0".into(),
            tls: false,
            ca: None,
            user: "default".into(),
            password: Some(BackendPassword::new(self.password().to_owned())),
            namespace: namespace.into(),
            shared: false,
            durable: true,
        };
        Settings { remote: Some(remote), ..Settings::default() }
    }

    /// What a script answers, without the lengths.
    pub(super) async fn run(&self, script: &RedisScript, arguments: &[&str]) -> String {
        let answer = self.ask(&[&["EVAL", script.text(), "0"], arguments].concat()).await;
        answer.lines().filter(|line| !line.starts_with(['*', '$'])).collect::<Vec<_>>().join(" ")
    }

    /// A connection of this name.
    pub(super) async fn client_named(&self, name: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port())).await.unwrap();
        stream.write_all(format!("AUTH {}\r\nCLIENT SETNAME {name}\r\n", self.password()).as_bytes()).await.unwrap();
        let mut answers = [0; 10];
        stream.read_exact(&mut answers).await.unwrap();
        assert_eq!(&answers, b"+OK\r\n+OK\r\n");
        stream
    }

    /// The one snapshot that is kept of the data `namespace`.
    pub(super) async fn frozen(&self, namespace: &str) -> String {
        let answer = self.ask(&["ZRANGE", &format!("{namespace}:frozen"), "0", "-1"]).await;
        answer.lines().nth(2).unwrap().to_owned()
    }

    /// Each store has two connections at most, and nothing is kept for a snapshot that nobody reads.
    pub(super) async fn has_nothing_left_open(&self, stores: usize) {
        let until = Instant::now() + TIMEOUT;
        loop {
            let clients = self.ask(&["CLIENT", "LIST"]).await.matches("name=atoll").count();
            let kept = self.ask(&["KEYS", "*before:*"]).await;
            if clients <= 2 * stores && kept == "*0\r\n" {
                return;
            }
            assert!(Instant::now() < until, "{clients} connections, and {kept:?} is kept");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
