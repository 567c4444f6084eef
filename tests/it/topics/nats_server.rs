//! A real `nats-server`, which a test kills, stops, pauses and starts again.

use super::super::atoll::{TIMEOUT, eventually};
use super::super::components::workspace;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A server with JetStream, its data in a folder of its own.
pub struct NatsServer {
    binary: PathBuf,
    folder: TempDir,
    child: Option<Child>,
    port: u16,
    /// Further arguments.
    arguments: Vec<String>,
    /// The address on which it listens.
    host: String,
    /// The program that runs it, with its arguments: it becomes the server. Empty: there is none.
    through: Vec<String>,
}

impl NatsServer {
    /// A running server; `None` if there is no `nats-server`, which `just brokers` installs.
    pub async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// A running server with further arguments.
    pub async fn start_with(arguments: &[&str]) -> Option<Self> {
        Self::start_through(&[], "127.0.0.1", arguments).await
    }

    /// The same, on another address and by a program that becomes the server, as one of another machine.
    pub async fn start_through(through: &[String], host: &str, arguments: &[&str]) -> Option<Self> {
        let binary = binary()?;
        let folder = tempfile::tempdir().unwrap();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let (host, through) = (host.to_owned(), through.to_vec());
        let mut server = Self { binary, folder, child: None, port: 0, arguments, host, through };
        server.start_again().await;
        Some(server)
    }

    /// Starts it with the data that it has, on the port that it had.
    pub async fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let port = if self.port == 0 { "-1".to_owned() } else { self.port.to_string() };
        let folder = self.folder.path();
        let ports = folder.join("ports");
        let _ = fs::remove_dir_all(&ports);
        fs::create_dir(&ports).unwrap();
        let mut command = match &self.through[..] {
            [] => Command::new(&self.binary),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&self.binary);
                command
            }
        };
        command.args(["--addr", &self.host, "--port", &port, "--jetstream", "--store_dir"]).arg(folder);
        command.args(&self.arguments);
        command.arg("--ports_file_dir").arg(&ports).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        self.child = Some(command.spawn().unwrap());
        self.port = eventually("the server listens", async || {
            let file = fs::read_dir(&ports).unwrap().next()?.unwrap().path();
            let text: Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
            let address = text["nats"][0].as_str().or_else(|| text["tls"][0].as_str());
            address?.rsplit_once(':')?.1.parse().ok()
        })
        .await;
        if !self.arguments.is_empty() {
            // The client below knows no TLS.
            return;
        }
        // Its API answers a moment later than it listens.
        let mut client = self.client().await;
        eventually("JetStream answers", async || client.ask("$JS.API.INFO", "").await.ok()).await;
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().await.unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub async fn stop(&mut self) {
        self.signal(Signal::TERM);
        let mut child = self.child.take().unwrap();
        timeout(TIMEOUT, child.wait()).await.unwrap().unwrap();
    }

    /// It neither answers nor closes its connections until [`NatsServer::go_on`].
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().unwrap().id().unwrap();
        kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// The address, as a manifest has it.
    pub fn address(&self) -> String {
        format!("nats://{}:{}", self.host, self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its data are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A client that is not the host's.
    pub async fn client(&self) -> NatsClient {
        eventually("the server takes a connection", async || NatsClient::connect(&self.host, self.port).await.ok())
            .await
    }
}

/// `.tools/nats/bin/nats-server`, which `just brokers` installs.
fn binary() -> Option<PathBuf> {
    let binary = workspace().join(".tools/nats/bin/nats-server");
    if !binary.exists() {
        #[expect(clippy::disallowed_methods, reason = "the recipes that install it say so: it must be there")]
        let is_required = std::env::var_os("ATOLL_TEST_NATS").is_some();
        assert!(!is_required, "{} is missing", binary.display());
        eprintln!("{} is missing (`just brokers` installs it): nothing was tested", binary.display());
        return None;
    }
    Some(binary)
}

/// A client of a few lines: what the host sends is looked at by somebody else.
pub struct NatsClient {
    stream: BufReader<TcpStream>,
}

impl NatsClient {
    async fn connect(host: &str, port: u16) -> std::io::Result<Self> {
        let mut stream = BufReader::new(TcpStream::connect((host, port)).await?);
        stream.read_line(&mut String::new()).await?;
        stream.write_all(b"CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB answers 1\r\n").await?;
        Ok(Self { stream })
    }

    /// Publishes a message and waits until the server has it.
    pub async fn publish(&mut self, subject: &str, payload: &str) {
        let length = payload.len();
        let text = format!("PUB {subject} {length}\r\n{payload}\r\nPING\r\n");
        self.stream.write_all(text.as_bytes()).await.unwrap();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await.unwrap();
            if line.starts_with("PONG") {
                return;
            }
        }
    }

    /// One request; the answer with its headers, as text.
    pub async fn ask(&mut self, subject: &str, payload: &str) -> std::io::Result<String> {
        let text = format!("PUB {subject} answers {}\r\n{payload}\r\n", payload.len());
        self.stream.write_all(text.as_bytes()).await?;
        let answer = timeout(Duration::from_secs(2), async {
            loop {
                let mut line = String::new();
                self.stream.read_line(&mut line).await?;
                if line.starts_with("MSG") || line.starts_with("HMSG") {
                    let length: usize = line.split_whitespace().last().unwrap().parse().unwrap();
                    let mut bytes = vec![0; length + 2];
                    self.stream.read_exact(&mut bytes).await?;
                    return Ok(String::from_utf8_lossy(&bytes[..length]).into_owned());
                }
                if line.is_empty() {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            }
        });
        answer.await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
    }

    /// The messages and the configuration of a stream.
    pub async fn stream(&mut self, name: &str) -> Value {
        let answer = self.ask(&format!("$JS.API.STREAM.INFO.{name}"), "").await.unwrap();
        serde_json::from_str(&answer).unwrap()
    }
}
