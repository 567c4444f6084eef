//! A database server that has the state, of one of the kinds, for what holds of all of them.

use super::atoll::Home;
use super::postgres_server::{self, PostgresServer};
use super::redis_server::RedisServer;

/// A real server.
pub enum StateServer {
    Postgres(PostgresServer),
    Redis(RedisServer),
}

/// Does the same with whichever it is.
macro_rules! with_either {
    ($server:expr, $it:ident => $does:expr) => {
        match $server {
            StateServer::Postgres($it) => $does,
            StateServer::Redis($it) => $does,
        }
    };
}

impl StateServer {
    /// A new PostgreSQL; `None` if there is none.
    pub fn postgres() -> Option<Self> {
        PostgresServer::start().map(Self::Postgres)
    }

    /// A new Redis; `None` if there is none.
    pub fn redis() -> Option<Self> {
        RedisServer::redis().map(Self::Redis)
    }

    /// A new Valkey; `None` if there is none.
    pub fn valkey() -> Option<Self> {
        RedisServer::valkey().map(Self::Redis)
    }

    pub fn start_again(&mut self) {
        with_either!(self, server => server.start_again());
    }

    pub fn kill(&mut self) {
        with_either!(self, server => server.kill());
    }

    pub fn stop(&mut self) {
        with_either!(self, server => server.stop());
    }

    pub fn pause(&self) {
        with_either!(self, server => server.pause());
    }

    pub fn go_on(&self) {
        with_either!(self, server => server.go_on());
    }

    /// `[state]` of a manifest whose state is here.
    pub fn section(&self) -> String {
        with_either!(self, server => server.section())
    }

    /// A home with the manifest, and with the password.
    pub fn home(&self, manifest: &str) -> Home {
        with_either!(self, server => server.home(manifest))
    }

    /// What must not be shown.
    pub fn password(&self) -> &str {
        match self {
            Self::Postgres(_) => postgres_server::PASSWORD,
            Self::Redis(server) => server.password(),
        }
    }
}
