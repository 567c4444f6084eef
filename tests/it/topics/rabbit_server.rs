//! A real `rabbitmq-server`, which a test kills, stops, pauses and starts again.

use super::super::atoll::{TIMEOUT, eventually};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// What Debian's package installs. The wrapper in the path would ask to be root or `rabbitmq`.
const BINARIES: &str = "/usr/lib/rabbitmq/bin";

/// A server with its data in a folder of its own. It starts in some seconds.
pub struct RabbitServer {
    folder: TempDir,
    child: Option<Child>,
    /// For clients, for clients with TLS, and for its own tools.
    ports: [u16; 3],
}

impl RabbitServer {
    /// A running server; `None` if there is none, which `just brokers` installs.
    pub async fn start() -> Option<Self> {
        Self::start_with("").await
    }

    /// A running server with more lines in its configuration, in which `{folder}` is its folder.
    pub async fn start_with(configuration: &str) -> Option<Self> {
        if !Path::new(BINARIES).join("rabbitmq-server").exists() {
            eprintln!("rabbitmq-server is missing (`just brokers` installs it): nothing was tested");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        // Held at the same time, so that they differ. The server cannot be told to choose.
        let free = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = free.each_ref().map(|listener| listener.local_addr().unwrap().port());
        drop(free);
        let home = folder.path().display().to_string();
        fs::write(folder.path().join("plugins"), "[].").unwrap();
        let configuration = configuration.replace("{folder}", &home).replace("{tls}", &ports[1].to_string());
        let configuration = format!("listeners.tcp.1 = 127.0.0.1:{}\n{configuration}", ports[0]);
        fs::write(folder.path().join("server.conf"), configuration).unwrap();
        let mut server = Self { folder, child: None, ports };
        server.start_again().await;
        Some(server)
    }

    /// Starts it with the data that it has, on the port that it had.
    pub async fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let mut command = self.tool("rabbitmq-server");
        command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).process_group(0);
        self.child = Some(command.spawn().unwrap());
        // It listens when all else is ready.
        let listens = async || tokio::net::TcpStream::connect(("127.0.0.1", self.ports[0])).await.ok();
        eventually("the server listens", listens).await;
    }

    /// A program of the server, told where this one is.
    fn tool(&self, name: &str) -> Command {
        let (folder, [_, _, own]) = (self.folder.path(), self.ports);
        let mut command = Command::new(Path::new(BINARIES).join(name));
        // What Mnesia leaves when it is killed stands where the server was started.
        command.current_dir(folder).env("HOME", folder).env("RABBITMQ_NODENAME", format!("atoll{own}@localhost"));
        for (variable, file) in [
            ("RABBITMQ_MNESIA_BASE", "data"),
            ("RABBITMQ_LOG_BASE", "logs"),
            ("RABBITMQ_LOGS", "server.log"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "plugins"),
            ("RABBITMQ_CONFIG_FILE", "server.conf"),
            ("RABBITMQ_CONF_ENV_FILE", "none"),
        ] {
            command.env(variable, folder.join(file));
        }
        // One port for what its nodes say to one another, and so no daemon that outlives the test.
        let arguments = format!("-start_epmd false -erl_epmd_port {own} -kernel inet_dist_use_interface {{127,0,0,1}}");
        command.env("RABBITMQ_DIST_PORT", own.to_string()).env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", arguments);
        command
    }

    /// `kill -9`. RabbitMQ 3.10 writes where its streams are half a second after the first one was declared: before
    /// that, a kill makes all of them unreachable for ever, and no client can mend it.
    pub async fn kill(&mut self) {
        eventually("it has written where its streams are", async || self.knows_its_streams().then_some(())).await;
        self.signal(Signal::KILL);
        self.child.take().unwrap().wait().await.unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub async fn stop(&mut self) {
        // To the shell alone, which stops the server.
        kill_process(self.group(), Signal::TERM).unwrap();
        timeout(TIMEOUT, self.child.take().unwrap().wait()).await.unwrap().unwrap();
    }

    /// It neither answers nor closes its connections until [`RabbitServer::go_on`].
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Whether the names of what keeps account of streams are on the disk, if there are streams.
    fn knows_its_streams(&self) -> bool {
        let node = format!("atoll{}@localhost", self.ports[2]);
        let data = self.folder.path().join("data").join(&node);
        let none = |folder: fs::ReadDir| folder.count() == 0;
        let names = fs::read(data.join("coordination").join(&node).join("names.dets")).unwrap_or_default();
        let known = b"rabbit_stream_coordinator";
        fs::read_dir(data.join("stream")).map_or(true, none) || names.windows(known.len()).any(|part| part == known)
    }

    fn group(&self) -> Pid {
        Pid::from_raw(self.child.as_ref().unwrap().id().unwrap().try_into().unwrap()).unwrap()
    }

    /// The shell that starts it, and it.
    fn signal(&self, signal: Signal) {
        kill_process_group(self.group(), signal).unwrap();
    }

    /// The address for TLS, if the server was told to listen there.
    pub fn secure_address(&self) -> String {
        format!("amqps://localhost:{}", self.ports[1])
    }

    /// The address, as a manifest has it.
    pub fn address(&self) -> String {
        format!("amqp://127.0.0.1:{}", self.ports[0])
    }
}

impl Drop for RabbitServer {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.signal(Signal::KILL);
        }
    }
}
