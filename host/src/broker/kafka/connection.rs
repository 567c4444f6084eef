//! One connection to a server of the Kafka protocol, on which one request is under way at a time.

use super::request::{self, KafkaApi, KafkaRequest, NEEDED, SASL_AUTHENTICATE, SASL_HANDSHAKE};
use super::wire::{WireReader, WireWriter};
use crate::broker::error::{BrokerError, is_of_tls};
use crate::broker::request_time::{LONGEST, no_answer};
use crate::broker::secure_socket::{Duplex, open};
use crate::broker::settings::{BrokerLogin, BrokerSettings};
use rustls::ClientConfig;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// The longest answer, in bytes. A page has 1 MiB, or one batch of somebody else.
const LONGEST_ANSWER: i32 = 32 << 20;

/// A connection. One whose request failed, or was given up, must be dropped: an answer may still come.
pub(super) struct KafkaConnection {
    stream: Box<dyn Duplex>,
    server: String,
    /// The number of the latest request.
    number: i32,
    /// When the latest request was answered.
    pub(super) used: Instant,
}

impl KafkaConnection {
    /// Connects to `server`, looks whether it knows all that is needed, and says who this host is.
    ///
    /// # Errors
    /// It is away, too old, or does not let this host in.
    pub(super) async fn open(
        server: &str,
        settings: &BrokerSettings,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, BrokerError> {
        let opened = timeout(LONGEST, open(server, tls)).await.map_err(|_| away(server, &"no answer"))?;
        let stream = opened.map_err(|error| match is_of_tls(&error) {
            true => BrokerError::Login(format!("{server}: {error}")),
            false => away(server, &error),
        })?;
        let mut one = Self { stream, server: server.to_owned(), number: 0, used: Instant::now() };
        let known = request::versions(&one.call(&KafkaRequest::api_versions()).await?)?;
        let login = match &settings.login {
            Some(BrokerLogin::User(user, password)) => Some((user, password)),
            _ => None,
        };
        one.fits(&known, NEEDED.iter().chain(login.iter().flat_map(|_| [&SASL_HANDSHAKE, &SASL_AUTHENTICATE])))?;
        if let Some((user, password)) = login {
            request::shaken(&one.call(&KafkaRequest::sasl_handshake()).await?)?;
            let proof = KafkaRequest::sasl_plain(user, password.expose());
            request::authenticated(&one.call(&proof).await?)?;
        }
        Ok(one)
    }

    fn fits<'a>(
        &self,
        known: &[(i16, i16, i16)],
        needed: impl Iterator<Item = &'a KafkaApi>,
    ) -> Result<(), BrokerError> {
        let is_known = |api: &&KafkaApi| {
            known.iter().any(|(key, low, high)| *key == api.key && (*low..=*high).contains(&api.version))
        };
        let lacking: Vec<_> =
            needed.filter(|api| !is_known(api)).map(|api| format!("{} {}", api.name, api.version)).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        Err(BrokerError::Unfit(format!(
            "the server {} does not know these versions of requests of the Kafka protocol: {}. Apache Kafka 2.5 to 4 \
             has them",
            self.server,
            lacking.join(", ")
        )))
    }

    /// Sends a request, and returns the body of its answer.
    ///
    /// # Errors
    /// The connection is over. Whether the request has arrived is not known.
    pub(super) async fn call(&mut self, request: &KafkaRequest) -> Result<Vec<u8>, BrokerError> {
        let answered = timeout(LONGEST + request.wait, self.exchange(request)).await;
        let answer = answered.map_err(|_| no_answer())?.map_err(|error| away(&self.server, &error))?;
        let mut reader = WireReader::new(&answer);
        if reader.i32()? != self.number {
            return Err(BrokerError::Unread(format!("{} answers another request", self.server)));
        }
        if request.api.is_flexible && reader.i8()? != 0 {
            return Err(BrokerError::Unread(format!("{} answers with tagged fields, which nobody knows", self.server)));
        }
        self.used = Instant::now();
        Ok(reader.rest().to_vec())
    }

    async fn exchange(&mut self, request: &KafkaRequest) -> io::Result<Vec<u8>> {
        self.number = self.number.wrapping_add(1);
        let KafkaRequest { api, body, .. } = request;
        let mut head = WireWriter::default();
        head.i16(api.key).i16(api.version).i32(self.number).text("atoll");
        if api.is_flexible {
            head.i8(0);
        }
        let mut message = WireWriter::default();
        message.length(head.bytes().len() + body.len()).raw(head.bytes()).raw(body);
        self.stream.write_all(message.bytes()).await?;
        self.stream.flush().await?;
        let length = self.stream.read_i32().await?;
        if !(4..=LONGEST_ANSWER).contains(&length) {
            let what = format!("an answer of {length} bytes: this is no server of the Kafka protocol");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        // It grows as the bytes come: the length is a stranger's.
        let (mut answer, length) = (Vec::new(), u64::from(length.unsigned_abs()));
        (&mut self.stream).take(length).read_to_end(&mut answer).await?;
        if (answer.len() as u64) < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(answer)
    }
}

fn away(server: &str, error: &dyn std::fmt::Display) -> BrokerError {
    BrokerError::Away(format!("{server}: {error}"))
}
