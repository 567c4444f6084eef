//! The servers of a cluster that speaks the Kafka protocol: who leads what, and the connections to them.

use super::connection::KafkaConnection;
use super::request::{self, KafkaRequest, PRODUCE, TopicPlace};
use crate::broker::error::BrokerError;
use crate::broker::request_time::{LONGEST, pause};
use crate::broker::secure_socket::client_tls;
use crate::broker::settings::BrokerSettings;
use rustls::ClientConfig;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many connections to one server wait for the next request.
const IDLE: usize = 8;
/// After so long without a request a connection is not used again: servers close theirs after 10 minutes.
const OLD: Duration = Duration::from_secs(60);
/// How many servers are remembered.
const SERVERS: usize = 256;

/// A cluster, or a single server.
pub struct KafkaCluster {
    settings: BrokerSettings,
    tls: Option<Arc<ClientConfig>>,
    place: String,
    servers: Mutex<BTreeMap<String, KafkaServer>>,
}

/// What is known of one server.
#[derive(Default)]
struct KafkaServer {
    idle: Vec<KafkaConnection>,
    /// How often it could not be reached, one time after the other.
    failures: usize,
    /// Until when it is not tried again, and why.
    away: Option<(Instant, BrokerError)>,
}

impl KafkaCluster {
    /// Connects, and looks whether the servers will do. One that is away is no error: from then on each operation tries
    /// again. Takes some seconds at most.
    ///
    /// # Errors
    /// [`BrokerError::Login`] and [`BrokerError::Unfit`].
    pub async fn connect(settings: &BrokerSettings) -> Result<Arc<KafkaCluster>, BrokerError> {
        let (settings, tls, place) = (settings.clone(), client_tls(settings)?, settings.place());
        let cluster = Arc::new(Self { settings, tls, place, servers: Mutex::default() });
        match cluster.ask_any(&KafkaRequest::api_versions()).await {
            Err(error) if error.is_lasting() => Err(error),
            _ => Ok(cluster),
        }
    }

    /// The address, without who this host is there.
    pub(super) fn address(&self) -> &str {
        &self.place
    }

    pub(super) fn settings(&self) -> &BrokerSettings {
        &self.settings
    }

    /// Asks the first server of the manifest that answers.
    pub(super) async fn ask_any(&self, request: &KafkaRequest) -> Result<Vec<u8>, BrokerError> {
        let mut failure = None;
        for server in &self.settings.servers {
            match self.ask(server, request).await {
                Err(error) if !error.is_lasting() => failure = failure.or(Some(error)),
                answer => return answer,
            }
        }
        Err(failure.unwrap_or_else(|| BrokerError::Away("no server is named".to_owned())))
    }

    /// What the cluster says of a topic.
    pub(super) async fn place_of(&self, topic: &str) -> Result<TopicPlace, BrokerError> {
        request::place(&self.ask_any(&KafkaRequest::metadata(topic)).await?)
    }

    /// Asks this server. After an error of an append nobody knows whether it has arrived.
    pub(super) async fn ask(&self, server: &str, request: &KafkaRequest) -> Result<Vec<u8>, BrokerError> {
        if let Some(mut waiting) = self.take(server) {
            match waiting.call(request).await {
                Ok(answer) => {
                    self.give_back(server, waiting);
                    return Ok(answer);
                }
                // The others are as old: the server may be another process.
                Err(error) => {
                    self.known().entry(server.to_owned()).or_default().idle.clear();
                    if request.api == PRODUCE {
                        return Err(error);
                    }
                }
            }
        }
        let mut opened = self.open(server).await?;
        let answer = opened.call(request).await?;
        self.give_back(server, opened);
        Ok(answer)
    }

    /// A new connection. After a failure it is not tried again at once, whoever asks.
    async fn open(&self, server: &str) -> Result<KafkaConnection, BrokerError> {
        if let Some((until, error)) = self.known().get(server).and_then(|known| known.away.as_ref())
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        let opened = KafkaConnection::open(server, &self.settings, self.tls.as_ref()).await;
        let mut servers = self.known();
        if servers.len() > SERVERS {
            servers.clear();
        }
        let known = servers.entry(server.to_owned()).or_default();
        match &opened {
            Ok(_) => (known.failures, known.away) = (0, None),
            Err(error) => {
                known.away = Some((Instant::now() + pause(known.failures, LONGEST), error.clone()));
                known.failures += 1;
            }
        }
        opened
    }

    fn take(&self, server: &str) -> Option<KafkaConnection> {
        let mut servers = self.known();
        let idle = &mut servers.get_mut(server)?.idle;
        idle.retain(|one| one.used.elapsed() < OLD);
        idle.pop()
    }

    fn give_back(&self, server: &str, connection: KafkaConnection) {
        let mut servers = self.known();
        let idle = &mut servers.entry(server.to_owned()).or_default().idle;
        if idle.len() < IDLE {
            idle.push(connection);
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, KafkaServer>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
