//! A connection to RabbitMQ that is made anew when it was lost.

use super::socket::{RabbitKit, RabbitSocket};
use crate::broker::error::{BrokerError, is_of_tls};
use crate::broker::request_time::{LONGEST, no_answer, pause};
use crate::broker::secure_socket::client_tls;
use crate::broker::settings::{BrokerLogin, BrokerSettings};
use async_rs::Runtime;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{AsyncTcpStream, Connection, ConnectionProperties, ErrorKind};
use std::convert::Infallible;
use std::io;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The time between two heartbeats, in seconds: a connection of which nothing is heard for twice as long is over, for
/// the server too.
const HEARTBEAT: u16 = 10;
/// "access refused" and "not allowed" (reference of AMQP 0.9.1, section 1.2, reply codes).
const ACCESS_REFUSED: u16 = 403;
const NOT_ALLOWED: u16 = 530;

/// One connection, for all topics of the host.
pub(super) struct RabbitLink {
    settings: Arc<BrokerSettings>,
    /// What the server's operator sees of it.
    name: &'static str,
    state: tokio::sync::Mutex<LinkState>,
}

#[derive(Default)]
struct LinkState {
    connection: Option<Arc<RabbitConnection>>,
    /// How often it could not be made, one time after the other.
    failures: usize,
    /// Until when it is not tried again, and why.
    away: Option<(Instant, BrokerError)>,
}

/// A connection. Its socket is closed with it.
pub(super) struct RabbitConnection {
    inner: Connection,
    /// `None`: the socket was closed before.
    end: Mutex<Option<oneshot::Sender<Infallible>>>,
}

impl Deref for RabbitConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.inner
    }
}

impl RabbitLink {
    pub(super) fn new(settings: &Arc<BrokerSettings>, name: &'static str) -> Self {
        Self { settings: Arc::clone(settings), name, state: Default::default() }
    }

    /// The connection, made anew if it is over. After a failure it is not tried again at once, whoever asks.
    ///
    /// # Errors
    /// No server can be reached, or lets this host in.
    pub(super) async fn connection(&self) -> Result<Arc<RabbitConnection>, BrokerError> {
        let mut state = self.state.lock().await;
        if let Some(connection) = state.connection.as_ref().filter(|one| one.status().connected()) {
            return Ok(Arc::clone(connection));
        }
        state.connection = None;
        if let Some((until, error)) = &state.away
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        match connect(&self.settings, self.name).await.map(Arc::new) {
            Ok(connection) => {
                *state = LinkState { connection: Some(Arc::clone(&connection)), ..LinkState::default() };
                Ok(connection)
            }
            Err(error) => {
                state.away = Some((Instant::now() + pause(state.failures, LONGEST), error.clone()));
                state.failures += 1;
                Err(error)
            }
        }
    }

    /// Ends a connection on which something was not answered in time, for all who have it.
    pub(super) async fn end(&self, connection: &Arc<RabbitConnection>) {
        let mut state = self.state.lock().await;
        if state.connection.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            state.connection = None;
        }
        // Others may have it still.
        drop(connection.end.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Connects to the first server that is there.
async fn connect(settings: &Arc<BrokerSettings>, name: &str) -> Result<RabbitConnection, BrokerError> {
    let tls = client_tls(settings)?;
    let mut failure = no_answer();
    for server in &settings.servers {
        let (end, ended) = oneshot::channel();
        let (server, tls, ended) = (server.clone(), tls.clone(), Mutex::new(Some(ended)));
        let properties = ConnectionProperties::default().with_connection_name(format!("atoll: {name}").into());
        let opened = Connection::connector(
            address(settings),
            Runtime::new(RabbitKit::current()),
            async move |_, _| {
                // lapin connects once: it recovers nothing here.
                let ended = ended.lock().unwrap_or_else(PoisonError::into_inner).take();
                let ended = ended.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted))?;
                let socket = timeout(LONGEST, RabbitSocket::open(&server, tls.as_ref(), ended)).await;
                Ok(AsyncTcpStream::Plain(socket.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?))
            },
            properties,
        );
        match timeout(LONGEST, opened).await {
            Ok(Ok(inner)) => return Ok(RabbitConnection { inner, end: Mutex::new(Some(end)) }),
            Ok(Err(error)) => failure = told_at_connecting(&error),
            Err(_) => failure = no_answer(),
        }
        if failure.is_lasting() {
            break;
        }
    }
    Err(failure)
}

fn address(settings: &BrokerSettings) -> AMQPUri {
    let (username, password) = match &settings.login {
        Some(BrokerLogin::User(user, password)) => (user.clone(), password.expose().to_owned()),
        // RabbitMQ's own default, which it takes from its own machine alone.
        _ => ("guest".to_owned(), "guest".to_owned()),
    };
    AMQPUri {
        scheme: AMQPScheme::AMQP,
        authority: AMQPAuthority { userinfo: AMQPUserInfo { username, password }, ..Default::default() },
        vhost: settings.namespace.clone(),
        query: AMQPQueryString { heartbeat: Some(HEARTBEAT), ..Default::default() },
    }
}

/// What an error of lapin means.
pub(super) fn told(error: &lapin::Error) -> BrokerError {
    match error.kind() {
        ErrorKind::ProtocolError(told) => {
            BrokerError::Refused { code: told.get_id().into(), text: told.get_message().as_str().to_owned() }
        }
        _ => BrokerError::Away(error.to_string()),
    }
}

/// What it means while the connection is made.
fn told_at_connecting(error: &lapin::Error) -> BrokerError {
    if let ErrorKind::IOError(error) = error.kind()
        && is_of_tls(error)
    {
        return BrokerError::Login(error.to_string());
    }
    match told(error) {
        BrokerError::Refused { code, text } if [ACCESS_REFUSED, NOT_ALLOWED].map(u64::from).contains(&code) => {
            BrokerError::Login(text)
        }
        told => told,
    }
}
