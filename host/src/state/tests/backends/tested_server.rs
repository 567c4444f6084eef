//! A server of one of the kinds, for what holds of all of them.

use super::postgres_server::PostgresServer;
use super::redis_server::RedisServer;
use super::severing_proxy::COMMIT;
use crate::state::Settings;
use crate::state::redis::WRITE;

/// A real server.
pub(super) enum TestedServer {
    Postgres(PostgresServer),
    Redis(RedisServer),
}

/// Does the same with whichever it is.
macro_rules! with_either {
    ($server:expr, $it:ident => $does:expr) => {
        match $server {
            TestedServer::Postgres($it) => $does,
            TestedServer::Redis($it) => $does,
        }
    };
}

impl TestedServer {
    pub(super) fn settings(&self, namespace: &str) -> Settings {
        with_either!(self, server => server.settings(namespace))
    }

    /// As [`TestedServer::settings`], where the server is reached at another port.
    pub(super) fn settings_at(&self, port: u16, namespace: &str) -> Settings {
        with_either!(self, server => server.settings_at(port, namespace))
    }

    pub(super) fn port(&self) -> u16 {
        with_either!(self, server => server.port())
    }

    pub(super) fn kill(&mut self) {
        with_either!(self, server => server.kill());
    }

    pub(super) fn stop(&mut self) {
        with_either!(self, server => server.stop());
    }

    pub(super) fn pause(&self) {
        with_either!(self, server => server.pause());
    }

    pub(super) fn go_on(&self) {
        with_either!(self, server => server.go_on());
    }

    pub(super) async fn start_again(&mut self) {
        with_either!(self, server => server.start_again().await);
    }

    /// Has it refuse writes, or take them again.
    pub(super) async fn refuse_writes(&self, refuses: bool) {
        match self {
            Self::Postgres(server) => {
                let client = server.client().await;
                let set = format!("ALTER SYSTEM SET default_transaction_read_only = {refuses}");
                client.batch_execute(&set).await.unwrap();
                client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
            }
            Self::Redis(server) => {
                let answer = server.ask(&["CONFIG", "SET", "maxmemory", if refuses { "1" } else { "0" }]).await;
                assert_eq!(answer, "+OK\r\n");
            }
        }
    }

    /// The bytes by which the message is known that has a batch written.
    pub(super) fn commit_bytes(&self) -> Vec<u8> {
        match self {
            Self::Postgres(_) => COMMIT.to_vec(),
            Self::Redis(_) => WRITE.digest().as_bytes().to_vec(),
        }
    }

    /// Nothing of a store is left there that nobody uses.
    pub(super) async fn has_nothing_left_open(&self) {
        match self {
            Self::Postgres(server) => server.has_no_open_transaction().await,
            Self::Redis(server) => server.has_nothing_left_open(1).await,
        }
    }

    /// How many hosts have the data to themselves.
    pub(super) async fn owners(&self, namespace: &str) -> i64 {
        match self {
            Self::Postgres(server) => {
                let ask = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
                server.client().await.query_one(ask, &[]).await.unwrap().get(0)
            }
            Self::Redis(server) => {
                // The lock may be of before a restart of the server. Whoever has it has a connection of its name, too.
                let lock = server.ask(&["GET", &format!("{namespace}:lock")]).await;
                let holder = format!("name=atoll:{} ", lock.lines().nth(1).unwrap_or("nobody"));
                server.ask(&["CLIENT", "LIST"]).await.matches(&holder).count().try_into().unwrap()
            }
        }
    }
}
