//! The servers of a cluster that speaks the Kafka protocol: who leads what, and the connections to them.

use super::connection::KafkaConnection;
use super::request::{self, KafkaRequest, PRODUCE, TopicPlace};
use crate::broker::error::BrokerError;
use crate::broker::request_time::{LONGEST, no_answer, pause};
use crate::broker::secure_socket::client_tls;
use crate::broker::settings::BrokerSettings;
use rustls::ClientConfig;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How many connections to one server wait for the next request.
const IDLE: usize = 8;
/// After so long without a request a connection is not used again: servers close theirs after 10 minutes.
const OLD: Duration = Duration::from_secs(60);
/// How long all servers of the manifest together may take for one request: two that answer nothing, and one that does.
const ALL: Duration = Duration::from_secs(12);
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

    /// Asks the first server of the manifest that answers: those first that could be reached lately, so that what is
    /// away takes the time of all once.
    pub(super) async fn ask_any(&self, request: &KafkaRequest) -> Result<Vec<u8>, BrokerError> {
        let mut failure = None;
        let asked = async {
            for server in self.best_first() {
                match self.ask(server, request).await {
                    Err(error) if !error.is_lasting() => failure = failure.take().or(Some(error)),
                    answer => return Some(answer),
                }
            }
            None
        };
        let answered = timeout(ALL, asked).await;
        answered.ok().flatten().unwrap_or_else(|| Err(failure.unwrap_or_else(no_answer)))
    }

    /// The servers of the manifest: those first that have failed least since they were reached.
    fn best_first(&self) -> Vec<&String> {
        let (known, mut servers) = (self.known(), self.settings.servers.iter().collect::<Vec<_>>());
        servers.sort_by_key(|server| known.get(*server).map_or(0, |known| known.failures));
        servers
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
        // Its parts have their own bounds: together they have one.
        let opening = timeout(LONGEST, KafkaConnection::open(server, &self.settings, self.tls.as_ref()));
        let opened = opening.await.unwrap_or_else(|_| Err(BrokerError::Away(format!("{server}: no answer"))));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::kafka::fake::settings;

    /// They take connections, as a firewall may that lets nothing through.
    #[tokio::test(start_paused = true)]
    async fn servers_that_never_answer_have_one_time_together_and_the_next_look_begins_with_others() {
        let listeners: Vec<_> = (0..4).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let servers: Vec<_> = listeners.iter().map(|one| one.local_addr().unwrap().to_string()).collect();
        let begun = tokio::time::Instant::now();
        let cluster = KafkaCluster::connect(&settings(servers.clone())).await.unwrap();
        assert!(begun.elapsed() <= ALL + Duration::from_millis(100), "{:?}", begun.elapsed());
        assert_eq!(cluster.best_first()[0], &servers[2]);
    }
}
