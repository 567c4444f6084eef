//! Sessions of the server: how they are opened, and what must hold of the server that they lead to.

use super::connection::{ConnectionEnd, RespConnection};
use super::failure;
use super::pages;
use super::resp::{RespArguments, RespReply};
use super::script::RedisScript;
use super::server_facts::{ServerFacts, ServerProblem};
use crate::base::ServiceName;
use crate::state::error::StateError;
use crate::state::remote::{RetryGate, tls_settings};
use crate::state::remote_settings::{BackendPassword, RemoteSettings};
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long one question may take, and the opening of a session.
pub(super) const LONGEST: Duration = Duration::from_secs(5);

/// One session.
pub(super) struct RedisSession {
    connection: RespConnection,
    /// That of its opening.
    pub(super) epoch: u64,
    /// Which of the servers it leads to.
    pub(super) server: usize,
    /// How long the server has run, at the opening.
    pub(super) uptime: Duration,
}

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum SessionError {
    /// The server has refused it: nothing was applied.
    Refused(String),
    /// A script has found damaged data, before it has written anything; in this bucket and at this key, if it says so.
    Damaged { problem: String, bucket: Option<ServiceName>, key: Option<Box<[u8]>> },
    /// Nobody knows.
    Ended(String),
}

/// What opens sessions.
pub(super) struct RedisServers {
    servers: Vec<(String, u16)>,
    database: String,
    user: String,
    password: Option<BackendPassword>,
    tls: Option<TlsConnector>,
    durable: bool,
    /// Whether it was said that the server promises less than a disk.
    told: AtomicBool,
    gate: RetryGate,
    /// That of sessions that read. They are of one server, and must not keep the writer from looking at the others.
    read_gate: RetryGate,
    /// The server to which the session that writes leads.
    written_at: AtomicUsize,
    /// Raised when the session that writes is opened. Sessions that read are of one epoch: an earlier one may have led
    /// to another server.
    epoch: AtomicU64,
    pub(super) runtime: Handle,
    /// What the names of all keys begin with.
    pub(super) prefix: String,
    pub(super) place: String,
}

impl RedisServers {
    /// To the servers of `settings`. Opens none yet.
    ///
    /// # Errors
    /// [`StateError::Unfit`]: there are no roots for TLS.
    pub(super) fn new(settings: &RemoteSettings) -> Result<Self, StateError> {
        let place = settings.place();
        let tls = settings.tls.then(|| tls_settings(&place, settings.ca.as_deref())).transpose()?;
        Ok(Self {
            servers: settings.servers.clone(),
            database: settings.database.clone(),
            user: settings.user.clone(),
            password: settings.password.clone(),
            tls: tls.map(|tls| TlsConnector::from(Arc::new(tls))),
            durable: settings.durable,
            told: AtomicBool::new(false),
            gate: RetryGate::default(),
            read_gate: RetryGate::default(),
            written_at: AtomicUsize::new(0),
            epoch: AtomicU64::new(0),
            runtime: Handle::current(),
            prefix: format!("{}:", settings.namespace),
            place,
        })
    }

    /// Opens a session, unless the last try has just failed.
    ///
    /// # Errors
    /// [`StateError::Unavailable`]; [`StateError::Unfit`] where waiting would not help.
    pub(super) async fn open(&self) -> Result<RedisSession, StateError> {
        self.through(&self.gate, self.open_any()).await
    }

    /// Opens a session to the server that the writer writes to: another one may lack what was acknowledged.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) async fn open_where_written(&self) -> Result<RedisSession, StateError> {
        // Before the server: a session of another server has an earlier epoch, and is not used.
        let epoch = self.epoch();
        let opened = self.through(&self.read_gate, self.open_one(self.written_at.load(SeqCst))).await;
        if self.epoch() != epoch {
            // The writer has got there meanwhile.
            self.read_gate.succeeded();
        }
        Ok(RedisSession { epoch, ..opened? })
    }

    async fn through(
        &self,
        gate: &RetryGate,
        opening: impl Future<Output = Result<RedisSession, StateError>>,
    ) -> Result<RedisSession, StateError> {
        if let Some(problem) = gate.closed(Instant::now()) {
            return Err(failure::away(&self.place, problem));
        }
        let opened = timeout(LONGEST, opening).await.unwrap_or_else(|_| Err(self.silent()));
        match &opened {
            Ok(_) => gate.succeeded(),
            Err(error) => gate.failed(Instant::now(), &error.problem()),
        }
        opened
    }

    /// To the first of the servers that will do. The error is that of the last one.
    async fn open_any(&self) -> Result<RedisSession, StateError> {
        let (mut last, each) = (None, LONGEST / u32::try_from(self.servers.len()).unwrap_or(1).max(1));
        for server in 0..self.servers.len() {
            match timeout(each, self.open_one(server)).await.unwrap_or_else(|_| Err(self.silent())) {
                Ok(session) => return Ok(session),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| self.silent()))
    }

    async fn open_one(&self, server: usize) -> Result<RedisSession, StateError> {
        let (host, port) = &self.servers[server];
        let away = |error: std::io::Error| failure::away(&self.place, error);
        let epoch = self.epoch();
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(away)?;
        stream.set_nodelay(true).map_err(away)?;
        let connection = match &self.tls {
            None => RespConnection::over(stream, &self.runtime),
            Some(tls) => {
                let name = ServerName::try_from(host.clone()).map_err(|error| failure::away(&self.place, error))?;
                RespConnection::over(tls.connect(name, stream).await.map_err(away)?, &self.runtime)
            }
        };
        let mut session = RedisSession { connection, epoch, server, uptime: Duration::ZERO };
        if let Some(password) = &self.password {
            let login = [b"AUTH", self.user.as_bytes(), password.expose().as_bytes()];
            session.ask(&login).await.map_err(|error| self.error(error))?;
        }
        if self.database != "0" {
            session.ask(&[b"SELECT", self.database.as_bytes()]).await.map_err(|error| self.error(error))?;
        }
        // A name for whoever looks at the list of clients; it may be refused.
        let _ = session.ask(&[b"CLIENT", b"SETNAME", b"atoll"]).await;
        session.uptime = self.admit(&session).await?.uptime();
        Ok(session)
    }

    /// Asks the server what it promises, and refuses it if that is not enough.
    ///
    /// # Errors
    /// [`StateError::Unfit`]; [`StateError::Unavailable`].
    pub(super) async fn admit(&self, session: &RedisSession) -> Result<ServerFacts, StateError> {
        let info = session.ask(&[b"INFO"]).await.map_err(|error| self.error(error))?;
        let wanted: [&[u8]; 5] = [b"CONFIG", b"GET", b"appendonly", b"appendfsync", b"no-appendfsync-on-rewrite"];
        let config = match session.ask(&wanted).await {
            Ok(config) => config,
            Err(SessionError::Refused(text)) => RespReply::Error(text),
            Err(error) => return Err(self.error(error)),
        };
        let facts = ServerFacts::new(info, config);
        let place = self.place.clone();
        match facts.problem(self.durable) {
            Some(ServerProblem::Unfit(problem)) => return Err(StateError::Unfit { place, problem }),
            Some(ServerProblem::ReadOnly(problem)) => {
                return Err(StateError::Unavailable { place, problem, cause: "read-only" });
            }
            None => {}
        }
        if let Some(lost) = facts.lost().filter(|_| !self.told.swap(true, Relaxed)) {
            tracing::warn!(target: "store", place, "{lost}");
        }
        Ok(facts)
    }

    /// The writer has opened a session, to this server.
    pub(super) fn begin_epoch(&self, server: usize) {
        self.written_at.store(server, SeqCst);
        self.epoch.fetch_add(1, SeqCst);
        // Whoever reads need not wait any longer.
        self.read_gate.succeeded();
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(SeqCst)
    }

    /// The arguments of a script, which all begin with the prefix.
    pub(super) fn arguments(&self) -> RespArguments {
        RespArguments::default().with(&self.prefix)
    }

    /// An error while nothing is in doubt.
    pub(super) fn error(&self, error: SessionError) -> StateError {
        match error {
            SessionError::Refused(text) => failure::refused(&self.place, &text),
            SessionError::Damaged { problem, bucket, key } => {
                StateError::Damaged { place: self.place.clone(), problem, bucket, key }
            }
            SessionError::Ended(problem) => failure::away(&self.place, problem),
        }
    }

    /// The server has answered what no script of ours answers.
    pub(super) fn odd_answer(&self) -> StateError {
        failure::away(&self.place, "the server has answered something that Atoll does not understand")
    }

    pub(super) fn silent(&self) -> StateError {
        failure::silent(&self.place, LONGEST.as_secs())
    }
}

impl SessionError {
    /// Whether the session may go on after it.
    pub(super) fn leaves_the_session(&self) -> bool {
        match self {
            Self::Refused(text) => failure::leaves_the_session(text),
            Self::Damaged { .. } => true,
            Self::Ended(_) => false,
        }
    }
}

impl RedisSession {
    /// The answer to one command.
    ///
    /// # Errors
    /// The server's, or the connection's.
    pub(super) async fn ask(&self, command: &[&[u8]]) -> Result<RespReply, SessionError> {
        self.send(RespArguments::of(command).after(&RespArguments::default())).await
    }

    /// What a script answers.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(super) async fn run(
        &self,
        script: &RedisScript,
        arguments: &RespArguments,
    ) -> Result<Vec<RespReply>, SessionError> {
        let reply = match self.send(script.by_digest(arguments)).await {
            // A server that was started anew does not know it. It has done nothing.
            Err(SessionError::Refused(text)) if text.starts_with("NOSCRIPT") => {
                self.send(script.by_text(arguments)).await
            }
            other => other,
        };
        let answer = reply?.many();
        if pages::status(&answer) == b"damaged" {
            let mut said = answer.into_iter().skip(1).map(RespReply::text);
            let mut word = || said.next().flatten();
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            let problem = word().map(text).unwrap_or_default();
            let bucket = word().map(text).and_then(|name| ServiceName::stored(&name).ok());
            return Err(SessionError::Damaged { problem, bucket, key: word().map(Vec::into_boxed_slice) });
        }
        Ok(answer)
    }

    /// Whether the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    async fn send(&self, request: Vec<u8>) -> Result<RespReply, SessionError> {
        match self.connection.ask(request).await {
            Ok(RespReply::Error(text)) => Err(SessionError::Refused(text)),
            Ok(reply) => Ok(reply),
            Err(ConnectionEnd(problem)) => Err(SessionError::Ended(problem)),
        }
    }
}
