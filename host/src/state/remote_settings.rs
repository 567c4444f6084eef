//! Which database server has the data, and how this host is let in there.

use std::fmt;
use std::path::PathBuf;

/// A kind of database server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteKind {
    /// PostgreSQL, 14 or later.
    Postgres,
    /// Redis 7.0, Valkey 7.2, or later.
    Redis,
}

/// The database server of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteSettings {
    /// What it speaks.
    pub kind: RemoteKind,
    /// The servers, each a host and a port: one, or several of which one takes writes. At least one.
    pub servers: Vec<(String, u16)>,
    /// The database on the server; of Redis its number.
    pub database: String,
    /// Whether only TLS will do, with a certificate that is checked.
    pub tls: bool,
    /// A PEM file of root certificates. `None`: the roots of the system.
    pub ca: Option<PathBuf>,
    /// The name of the user.
    pub user: String,
    /// The user's password; `None`: the server needs none.
    pub password: Option<BackendPassword>,
    /// What the data of this host, or of these hosts, are called there.
    pub namespace: String,
    /// Whether other hosts use the same data at the same time.
    pub shared: bool,
    /// Whether a server is refused that acknowledges what is not on its disk.
    pub durable: bool,
}

/// A password. It does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct BackendPassword(String);

impl RemoteSettings {
    /// The server and the database, for messages: no user, no password.
    pub(super) fn place(&self) -> String {
        let servers: Vec<_> = self.servers.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        let scheme = match self.kind {
            RemoteKind::Postgres => "postgres",
            RemoteKind::Redis if self.tls => "rediss",
            RemoteKind::Redis => "redis",
        };
        format!("{scheme}://{}/{}", servers.join(","), self.database)
    }
}

impl BackendPassword {
    /// The password of this text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BackendPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackendPassword(…)")
    }
}
