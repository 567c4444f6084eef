//! The connection to a NATS server with JetStream.

use crate::broker::error::{BrokerError, is_of_tls};
use crate::broker::request_time::{LONGEST, no_answer, pause};
use crate::broker::settings::{BrokerLogin, BrokerSettings, NatsServers};
use crate::events::longest;
use async_nats::connection::State;
use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, HeaderMap, Message, RequestErrorKind};
use bytes::Bytes;
use serde_json::Value;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// What a message has beside its payload at most: its headers, with a key that is written with `%`.
const ENVELOPE: usize = 8 << 10;
/// How many messages wait for a reader of this host at most: the client drops further ones. A page is shorter.
const WAITING: usize = 4096;
/// The API level from which messages can be read in batches and by their number: that of server 2.11.
const LEAST_LEVEL: u64 = 1;

/// How closely one connection is watched, and what it may hold.
#[derive(Debug, Clone, Copy)]
pub struct LinkPace {
    /// The time between two pings; a server that does not answer two is left.
    pub ping: Duration,
    /// How long one try to connect may take.
    pub connect: Duration,
    /// The longest pause between two tries to connect.
    pub pause: Duration,
    /// How many messages wait for a reader of this host at most: the client drops further ones.
    pub waiting: usize,
}

/// That of events.
const PACE: LinkPace = LinkPace { ping: LONGEST, connect: LONGEST, pause: LONGEST, waiting: WAITING };

/// A NATS server, or a cluster of them.
#[derive(Clone, Debug)]
pub struct JetStream {
    client: Client,
    replicas: u8,
    place: Arc<str>,
}

impl JetStream {
    /// Connects, and looks whether the server will do. A server that is away is no error: from then on the connection
    /// is tried again and again. Takes some seconds at most.
    ///
    /// # Errors
    /// [`BrokerError::Login`] and [`BrokerError::Unfit`].
    pub async fn connect(settings: &BrokerSettings) -> Result<Self, BrokerError> {
        let BrokerSettings { servers, tls, ca, login, replicas, .. } = settings.clone();
        let broker = Self::open(&NatsServers { servers, tls, ca, login }, replicas, PACE).await?;
        match broker.fit_for_events().await {
            Err(error) if error.is_lasting() => Err(error),
            _ => Ok(broker),
        }
    }

    /// Connects for something else than events, as [`JetStream::connect`] does.
    ///
    /// # Errors
    /// [`BrokerError::Login`] and [`BrokerError::Unfit`].
    pub async fn link(servers: &NatsServers, replicas: u8, pace: LinkPace) -> Result<Self, BrokerError> {
        let broker = Self::open(servers, replicas, pace).await?;
        match broker.level().await {
            Err(error) if error.is_lasting() => Err(error),
            _ => Ok(broker),
        }
    }

    async fn open(nats: &NatsServers, replicas: u8, pace: LinkPace) -> Result<Self, BrokerError> {
        let scheme = if nats.tls { "tls" } else { "nats" };
        let servers: Vec<_> = nats.servers.iter().map(|server| format!("{scheme}://{server}")).collect();
        let first = timeout(LONGEST, options(nats, pace).connect(&servers)).await;
        let client = match first {
            Ok(Ok(client)) => client,
            Ok(Err(error)) if lets_nobody_in(&error) => return Err(BrokerError::Login(error.to_string())),
            // The client goes on by itself, in the background.
            Ok(Err(_)) | Err(_) => {
                let again = options(nats, pace).retry_on_initial_connect().connect(&servers).await;
                again.map_err(|error| BrokerError::Login(error.to_string()))?
            }
        };
        Ok(Self { client, replicas, place: servers.join(",").into() })
    }

    /// Its servers, as `nats://a:4222,nats://b:4222`.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn replicas(&self) -> u8 {
        self.replicas
    }

    /// The level of the server's API, if it is high enough.
    pub(crate) async fn level(&self) -> Result<u64, BrokerError> {
        let answer = self.ask("$JS.API.INFO", None, Bytes::new()).await?;
        let level = answer["api"]["level"].as_u64().unwrap_or(0);
        let server = self.client.server_info();
        if level < LEAST_LEVEL {
            return Err(BrokerError::Unfit(format!(
                "the NATS server {} has JetStream API level {level}, and Atoll needs level {LEAST_LEVEL}: use server \
                 2.11 or later",
                server.version
            )));
        }
        Ok(level)
    }

    /// As [`JetStream::level`], if the server also takes messages as long as events.
    pub(super) async fn fit_for_events(&self) -> Result<u64, BrokerError> {
        let level = self.level().await?;
        let (server, largest) = (self.client.server_info(), longest::PAYLOAD + ENVELOPE);
        if server.max_payload < largest {
            return Err(BrokerError::Unfit(format!(
                "the NATS server takes messages of at most {} bytes, and an event may have {largest}: raise its \
                 `max_payload`",
                server.max_payload
            )));
        }
        Ok(level)
    }

    /// One request of the API, or one publication: both are answered in JSON.
    pub(crate) async fn ask(
        &self,
        subject: &str,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Value, BrokerError> {
        let answer = self.request(subject, headers, payload).await?;
        let answer: Value =
            serde_json::from_slice(&answer.payload).map_err(|error| BrokerError::Unread(error.to_string()))?;
        match answer.get("error") {
            None => Ok(answer),
            Some(error) => Err(BrokerError::Refused {
                code: error["err_code"].as_u64().unwrap_or(0),
                text: error["description"].as_str().unwrap_or("no reason").to_owned(),
            }),
        }
    }

    async fn request(&self, subject: &str, headers: Option<HeaderMap>, payload: Bytes) -> Result<Message, BrokerError> {
        self.reached()?;
        let subject = subject.to_owned();
        let asked = async {
            match headers {
                Some(headers) => self.client.request_with_headers(subject, headers, payload).await,
                None => self.client.request(subject, payload).await,
            }
        };
        // `request` can wait for as long as the server is away.
        match timeout(LONGEST, asked).await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => {
                Err(BrokerError::Away("JetStream is not enabled there, or has no leader".to_owned()))
            }
            Ok(Err(error)) if error.kind() == RequestErrorKind::MaxPayloadExceeded => {
                Err(BrokerError::Unfit(error.to_string()))
            }
            Ok(Err(error)) => Err(BrokerError::Away(error.to_string())),
            Err(_) => Err(no_answer()),
        }
    }

    /// An error if there is no connection now: what is sent would wait in the client, and be sent later.
    pub(crate) fn reached(&self) -> Result<(), BrokerError> {
        match self.client.connection_state() {
            State::Connected => Ok(()),
            State::Pending | State::Disconnected => Err(BrokerError::Away("there is no connection".to_owned())),
        }
    }
}

fn options(nats: &NatsServers, pace: LinkPace) -> ConnectOptions {
    // Without echo: what this host publishes is no news for it.
    let mut options = ConnectOptions::new()
        .name("atoll")
        .no_echo()
        .require_tls(nats.tls)
        .connection_timeout(pace.connect)
        .request_timeout(Some(LONGEST))
        .ping_interval(pace.ping)
        .subscription_capacity(pace.waiting)
        .reconnect_delay_callback(move |tries| pause(tries, pace.pause));
    if let Some(ca) = &nats.ca {
        options = options.add_root_certificates(ca.clone());
    }
    match &nats.login {
        Some(BrokerLogin::User(user, password)) => {
            options.user_and_password(user.clone(), password.expose().to_owned())
        }
        Some(BrokerLogin::Token(token)) => options.token(token.expose().to_owned()),
        None => options,
    }
}

/// Whether the next try will end the same way. The client tells a certificate that it does not trust as an error of
/// the socket, with that of rustls inside.
fn lets_nobody_in(error: &ConnectError) -> bool {
    match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Tls => true,
        ConnectErrorKind::Io => {
            error.source().and_then(|inner| inner.downcast_ref::<io::Error>()).is_some_and(is_of_tls)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_not_trusted_is_lasting_and_a_server_that_is_away_is_not() {
        let untrusted = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let untrusted = ConnectError::from(io::Error::new(io::ErrorKind::InvalidData, untrusted));
        assert_eq!(untrusted.kind(), ConnectErrorKind::Io);
        assert!(lets_nobody_in(&untrusted));
        for away in [io::ErrorKind::ConnectionRefused, io::ErrorKind::UnexpectedEof] {
            assert!(!lets_nobody_in(&ConnectError::from(io::Error::from(away))), "{away}");
        }
    }
}
