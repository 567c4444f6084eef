//! Real servers of the Kafka protocol, which a test stops, pauses and starts again: noida-db, which writes its data
//! into a file, and Tansu, which has them in memory.

use super::super::atoll::{TIMEOUT, eventually};
use super::super::components::workspace;
use rustix::process::{Pid, Signal, kill_process};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A server with its data in a folder of its own.
pub struct KafkaServer {
    binary: PathBuf,
    folder: TempDir,
    child: Option<Child>,
    port: u16,
    /// Where it tells clients that it is.
    told: String,
}

impl KafkaServer {
    /// A running noida-db; `None` if there is none, which `just brokers` installs.
    pub async fn noida() -> Option<Self> {
        Self::start("noida-db", None).await
    }

    /// A running Tansu, which forgets everything when it ends; `None` as with noida-db.
    pub async fn tansu() -> Option<Self> {
        Self::start("tansu", None).await
    }

    /// A running Tansu that says it is at `told`.
    pub async fn tansu_at(told: &str) -> Option<Self> {
        Self::start("tansu", Some(told)).await
    }

    async fn start(name: &str, told: Option<&str>) -> Option<Self> {
        let binary = workspace().join(".tools/kafka/bin").join(name);
        if !binary.exists() {
            eprintln!("{} is missing (`just brokers` installs it): nothing was tested", binary.display());
            return None;
        }
        // The server cannot be told to choose: its port is a part of what it tells clients.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let told = told.map_or_else(|| format!("127.0.0.1:{port}"), str::to_owned);
        let mut server = Self { binary, folder: tempfile::tempdir().unwrap(), child: None, port, told };
        server.start_again().await;
        Some(server)
    }

    /// Starts it with the data that it has, on the port that it had.
    pub async fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let (own, told) = (format!("tcp://127.0.0.1:{}", self.port), format!("tcp://{}", self.told));
        let port = self.port.to_string();
        let arguments = match self.is_tansu() {
            true => vec!["broker", "--silent", "--listener-url", &own, "--advertised-listener-url", &told],
            false => vec!["start", "--only", "kafka", "--kafka-port", &port, "--data-dir", "data"],
        };
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir(self.folder.path()).kill_on_drop(true);
        self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        // What it listens for it does not answer at once.
        let answers = async || {
            let asked = async { KafkaClient::connect(self.port).await.ok()?.ask(18, 0, &[]).await.ok() };
            timeout(TIMEOUT, asked).await.ok().flatten()
        };
        eventually("the server answers", answers).await;
    }

    fn is_tansu(&self) -> bool {
        self.binary.ends_with("tansu")
    }

    /// SIGTERM, and waits for the end. noida-db keeps what it has when nobody publishes: until it ends it acknowledges
    /// events that it does not write any more, and a `kill -9` takes away those of a second. No host can mend that.
    pub async fn stop(&mut self) {
        assert!(!self.is_tansu(), "it would forget everything");
        self.signal(Signal::TERM);
        let mut child = self.child.take().unwrap();
        timeout(TIMEOUT, child.wait()).await.unwrap().unwrap();
    }

    /// It neither answers nor closes its connections for so long: the one trouble while others publish.
    pub async fn pause_for(&self, time: Duration) {
        self.signal(Signal::STOP);
        tokio::time::sleep(time).await;
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().unwrap().id().unwrap();
        kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, as a manifest has it.
    pub fn address(&self) -> String {
        format!("kafka://127.0.0.1:{}", self.port)
    }

    /// A client that is not the host's.
    pub async fn client(&self) -> KafkaClient {
        eventually("the server takes a connection", async || KafkaClient::connect(self.port).await.ok()).await
    }
}

/// A client of a few lines: what the host sends is looked at by somebody else.
pub struct KafkaClient(TcpStream);

impl KafkaClient {
    async fn connect(port: u16) -> std::io::Result<Self> {
        TcpStream::connect(("127.0.0.1", port)).await.map(Self)
    }

    /// One request, and what stands behind the head of its answer.
    pub async fn ask(&mut self, key: i16, version: i16, body: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut message = [&key.to_be_bytes()[..], &version.to_be_bytes(), &7_i32.to_be_bytes()].concat();
        message.extend([&text("test")[..], body].concat());
        self.0.write_all(&(message.len() as i32).to_be_bytes()).await?;
        self.0.write_all(&message).await?;
        let length = self.0.read_i32().await?;
        let mut answer = vec![0; length as usize];
        self.0.read_exact(&mut answer).await?;
        Ok(answer.split_off(4))
    }

    /// Creates a topic with so many partitions and these settings.
    pub async fn create(&mut self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let mut body =
            [&1_i32.to_be_bytes()[..], &text(topic), &partitions.to_be_bytes(), &1_i16.to_be_bytes()].concat();
        body.extend([&0_i32.to_be_bytes()[..], &(settings.len() as i32).to_be_bytes()].concat());
        settings.iter().for_each(|(name, value)| body.extend([text(name), text(value)].concat()));
        body.extend([&4000_i32.to_be_bytes()[..], &[0]].concat());
        let answer = self.ask(19, 2, &body).await.unwrap();
        let error = 4 + 4 + 2 + topic.len();
        assert_eq!(answer[error..error + 2], [0, 0], "{answer:?}");
    }

    /// Publishes a record, and waits until the server has it.
    pub async fn publish(&mut self, topic: &str, key: &str, payload: &str) {
        let batch = batch(key, payload);
        let mut body = [&(-1_i16).to_be_bytes()[..], &(-1_i16).to_be_bytes(), &4000_i32.to_be_bytes()].concat();
        body.extend([&1_i32.to_be_bytes()[..], &text(topic), &1_i32.to_be_bytes(), &0_i32.to_be_bytes()].concat());
        body.extend([&(batch.len() as i32).to_be_bytes()[..], &batch].concat());
        let answer = self.ask(0, 3, &body).await.unwrap();
        let error = 4 + 2 + topic.len() + 4 + 4;
        assert_eq!(answer[error..error + 2], [0, 0], "{answer:?}");
    }

    /// All that a topic has, as it comes. A Fetch that may not wait is answered with nothing by Tansu 0.6.
    pub async fn read(&mut self, topic: &str) -> String {
        let mut body =
            [(-1_i32).to_be_bytes(), 100_i32.to_be_bytes(), 1_i32.to_be_bytes(), (1_i32 << 20).to_be_bytes()].concat();
        body.extend(
            [&[0][..], &1_i32.to_be_bytes(), &text(topic), &1_i32.to_be_bytes(), &0_i32.to_be_bytes()].concat(),
        );
        body.extend([&0_i64.to_be_bytes()[..], &(1_i32 << 20).to_be_bytes()].concat());
        String::from_utf8_lossy(&self.ask(1, 4, &body).await.unwrap()).into_owned()
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as i16).to_be_bytes()[..], text.as_bytes()].concat()
}

/// A batch of one record without headers, both of whose parts are shorter than 64 bytes.
fn batch(key: &str, payload: &str) -> Vec<u8> {
    assert!(key.len() < 25 && payload.len() < 50, "lengths of one byte");
    let part = |part: &str| [&[part.len() as u8 * 2][..], part.as_bytes()].concat();
    let record = [&[0, 0, 0][..], &part(key), &part(payload), &[0]].concat();
    let (length, now) = ([record.len() as u8 * 2], 1_800_000_000_000_i64.to_be_bytes());
    assert!(record.len() < 64, "a length of one byte");
    let head = [&0_i16.to_be_bytes()[..], &0_i32.to_be_bytes(), &now, &now, &[0xff; 14], &1_i32.to_be_bytes()].concat();
    let body = [&head[..], &length, &record].concat();
    let bit = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    let crc = !body.iter().fold(!0, |crc: u32, byte| (0..8).fold(crc ^ u32::from(*byte), bit));
    let length = (body.len() as i32 + 9).to_be_bytes();
    [&0_i64.to_be_bytes()[..], &length, &0_i32.to_be_bytes(), &[2], &crc.to_be_bytes(), &body].concat()
}
