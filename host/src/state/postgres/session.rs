//! Sessions of the server: how they are opened, and what must hold of the server that they lead to.

use super::failure;
use super::schema::{FORMAT, Statements};
use crate::state::error::StateError;
use crate::state::remote::{RetryGate, tls_settings};
use crate::state::remote_settings::RemoteSettings;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long one question may take, and the opening of a session.
pub(super) const LONGEST: Duration = Duration::from_secs(5);
/// The oldest server: that of the oldest line that is maintained in November 2026.
const OLDEST: i32 = 140_000;

/// What every session begins with. The times are below [`LONGEST`], so that a statement that waits ends on the server
/// too. Our statements are look-ups and ranges of the primary key: a table that has just grown, whose statistics are
/// old, must not turn them into walks over all of it. A host that has vanished is noticed by keepalives.
const BEGINNING: &str = "SET statement_timeout = '4500ms'; SET lock_timeout = '4s'; \
     SET idle_in_transaction_session_timeout = '60s'; SET client_min_messages = 'warning'; \
     SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; \
     SET client_connection_check_interval = '2s'; \
     SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

/// One session. Its drop closes the connection at once, and with it the transaction that it is in.
pub(super) struct Session {
    pub(super) client: Client,
    driver: AbortHandle,
}

/// What opens sessions.
pub(super) struct Sessions {
    config: Config,
    /// Whether the manifest has one name. Its server is read also while it takes no writes.
    is_alone: bool,
    tls: Option<MakeRustlsConnect>,
    durable: bool,
    /// Whether it was said that the server promises less than a disk.
    told: AtomicBool,
    gate: RetryGate,
    /// Raised when the session that writes is opened. Sessions that read are of one epoch: an earlier one may have led
    /// to another server.
    epoch: AtomicU64,
    runtime: Handle,
    pub(super) statements: Statements,
    pub(super) place: String,
}

/// What a server says of itself.
struct ServerFacts {
    version: i32,
    fsync: bool,
    synchronous_commit: bool,
    full_page_writes: bool,
    is_standby: bool,
}

impl Sessions {
    /// To the server of `settings`. Opens none yet.
    ///
    /// # Errors
    /// [`StateError::Unfit`]: there are no roots for TLS.
    pub(super) fn new(settings: &RemoteSettings) -> Result<Self, StateError> {
        let mut config = Config::new();
        for (host, port) in &settings.servers {
            config.host(host).port(*port);
        }
        config.user(&settings.user).dbname(&settings.database).application_name("atoll").connect_timeout(LONGEST);
        // One name may have the addresses of several servers, of which one takes writes.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.ssl_mode(if settings.tls { SslMode::Require } else { SslMode::Disable });
        config.keepalives_idle(Duration::from_secs(5)).tcp_user_timeout(LONGEST);
        if let Some(password) = &settings.password {
            config.password(password.expose());
        }
        let place = settings.place();
        let tls = settings.tls.then(|| tls_settings(&place, settings.ca.as_deref())).transpose()?;
        let tls = tls.map(MakeRustlsConnect::new);
        Ok(Self {
            config,
            is_alone: settings.servers.len() == 1,
            tls,
            durable: settings.durable,
            told: AtomicBool::new(false),
            gate: RetryGate::default(),
            epoch: AtomicU64::new(0),
            runtime: Handle::current(),
            statements: Statements::of(&settings.namespace),
            place,
        })
    }

    /// Opens a session, unless the last try has just failed.
    ///
    /// # Errors
    /// [`StateError::Unavailable`]; [`StateError::Unfit`] where waiting would not help.
    pub(super) async fn open(&self) -> Result<Session, StateError> {
        if let Some(problem) = self.gate.closed(Instant::now()) {
            return Err(StateError::Unavailable { place: self.place.clone(), problem, cause: "away" });
        }
        let opened = match timeout(LONGEST, self.open_now()).await {
            Ok(opened) => opened,
            Err(_) => Err(self.silent()),
        };
        match &opened {
            Ok(_) => self.gate.succeeded(),
            Err(error) => self.gate.failed(Instant::now(), &error.problem()),
        }
        opened
    }

    async fn open_now(&self) -> Result<Session, StateError> {
        let connected = match self.connect(&self.config).await {
            Err(error) if self.is_alone && failure::takes_no_writes(&error) => {
                let mut any = self.config.clone();
                self.connect(any.target_session_attrs(TargetSessionAttrs::Any)).await
            }
            connected => connected,
        };
        let session = connected.map_err(|error| self.error(&error))?;
        let facts = ServerFacts::of(&session.client).await.map_err(|error| self.error(&error))?;
        self.admit(&facts)?;
        session.client.batch_execute(BEGINNING).await.map_err(|error| self.error(&error))?;
        if !facts.synchronous_commit && self.durable {
            let on = "SET synchronous_commit = on";
            session.client.batch_execute(on).await.map_err(|error| self.error(&error))?;
        }
        Ok(session)
    }

    async fn connect(&self, config: &Config) -> Result<Session, Error> {
        let (client, driver) = match &self.tls {
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await?;
                (client, self.runtime.spawn(drive(connection)))
            }
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                (client, self.runtime.spawn(drive(connection)))
            }
        };
        Ok(Session { client, driver: driver.abort_handle() })
    }

    /// Gives the name of its one server another address, after those that it has.
    #[cfg(test)]
    pub(super) fn add_address(&mut self, address: &str, port: u16) {
        self.config.host(address).port(port);
    }

    /// Refuses a server that does not promise enough.
    fn admit(&self, facts: &ServerFacts) -> Result<(), StateError> {
        let place = self.place.clone();
        if facts.version < OLDEST {
            let problem = format!("the server has version {}, and Atoll needs 14 or later", facts.version / 10_000);
            return Err(StateError::Unfit { place, problem });
        }
        if facts.is_standby {
            let problem = "the server is a standby, which takes no writes".into();
            return Err(StateError::Unavailable { place, problem, cause: "read-only" });
        }
        if !facts.fsync && self.durable {
            let problem = "the server runs with fsync = off, so what it acknowledges may be lost with the power: \
                           switch it on, or say `durable = false` in [state]";
            return Err(StateError::Unfit { place, problem: problem.into() });
        }
        let said = match facts {
            ServerFacts { fsync: false, .. } => Some("fsync = off: what it acknowledges may be lost with the power"),
            ServerFacts { full_page_writes: false, .. } => {
                Some("full_page_writes = off: on most file systems a loss of power may damage its tables")
            }
            ServerFacts { synchronous_commit: false, .. } if !self.durable => {
                Some("synchronous_commit = off: what it has just acknowledged may be lost when it crashes")
            }
            _ => None,
        };
        if let Some(said) = said.filter(|_| !self.told.swap(true, Relaxed)) {
            tracing::warn!(target: "store", place, "the server runs with {said}");
        }
        Ok(())
    }

    /// Creates the tables where they are absent, and looks whether this program knows them.
    ///
    /// # Errors
    /// The server's; [`StateError::Unfit`]: a later version of this program has made them.
    pub(super) async fn prepare_tables(&self, session: &Session) -> Result<(), StateError> {
        let Session { client, .. } = session;
        let there = async {
            let row = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&self.statements.last_table()]).await?;
            if !row.try_get::<_, bool>(0)? {
                client.batch_execute(&self.statements.create()).await?;
            }
            client.batch_execute(&self.statements.forget()).await?;
            client.query_one(&self.statements.format(), &[]).await?.try_get::<_, i64>(0)
        };
        let found = there.await.map_err(|error| self.error(&error))?;
        if found != FORMAT {
            let problem = format!("its tables have format {found}, and this version of the program reads {FORMAT}");
            return Err(StateError::Unfit { place: self.place.clone(), problem });
        }
        Ok(())
    }

    pub(super) fn begin_epoch(&self) {
        self.epoch.fetch_add(1, Relaxed);
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    /// An error of the server, while nothing is in doubt.
    pub(super) fn error(&self, error: &Error) -> StateError {
        failure::unavailable(&self.place, error)
    }

    pub(super) fn silent(&self) -> StateError {
        failure::silent(&self.place, LONGEST.as_secs())
    }
}

/// Moves the bytes of a connection. Its error is that of whoever asks.
async fn drive(connection: impl Future<Output = Result<(), Error>>) {
    let _ = connection.await;
}

impl ServerFacts {
    async fn of(client: &Client) -> Result<Self, Error> {
        let ask = "SELECT current_setting('server_version_num')::int, current_setting('fsync') = 'on', \
                   current_setting('synchronous_commit') <> 'off', current_setting('full_page_writes') = 'on', \
                   pg_is_in_recovery()";
        let row = client.query_one(ask, &[]).await?;
        Ok(Self {
            version: row.try_get(0)?,
            fsync: row.try_get(1)?,
            synchronous_commit: row.try_get(2)?,
            full_page_writes: row.try_get(3)?,
            is_standby: row.try_get(4)?,
        })
    }
}

impl Session {
    /// Whether the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
