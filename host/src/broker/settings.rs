//! Which broker, and how this host is let in there.

use crate::events::TopicName;
use std::fmt;
use std::path::PathBuf;

/// Which broker it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerKind {
    /// NATS with JetStream.
    JetStream,
    /// RabbitMQ with its streams.
    RabbitMq,
    /// Servers that speak the Kafka protocol.
    Kafka,
}

/// The broker of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerSettings {
    /// Which one.
    pub kind: BrokerKind,
    /// The servers, `host:port`: one is enough, and each may be a member of one cluster. At least one.
    pub servers: Vec<String>,
    /// What the address has behind the servers: the virtual host of RabbitMQ, whose own default is `/`, or what stands
    /// before the names of topics at servers of the Kafka protocol, which may be empty.
    pub namespace: String,
    /// Whether only TLS will do.
    pub tls: bool,
    /// A PEM file of root certificates. `None`: the roots of the system.
    pub ca: Option<PathBuf>,
    /// How this host is let in; `None`: as anybody.
    pub login: Option<BrokerLogin>,
    /// On how many servers of a cluster a stream of NATS, or a topic of the Kafka protocol, is kept that this host
    /// creates: 1 to 5.
    pub replicas: u8,
    /// The most bytes of one topic's events that wait here for the broker.
    pub outbox: u64,
}

impl BrokerSettings {
    /// The address, without who this host is there: `nats://a:4222,b:4222`, `amqp://a:5672/shop`.
    pub fn place(&self) -> String {
        let (scheme, namespace) = match (self.kind, self.tls) {
            (BrokerKind::JetStream, false) => ("nats", ""),
            (BrokerKind::JetStream, true) => ("tls", ""),
            (BrokerKind::RabbitMq, false) => ("amqp", self.namespace.trim_start_matches('/')),
            (BrokerKind::RabbitMq, true) => ("amqps", self.namespace.trim_start_matches('/')),
            (BrokerKind::Kafka, false) => ("kafka", &*self.namespace),
            (BrokerKind::Kafka, true) => ("kafkas", &*self.namespace),
        };
        let slash = if namespace.is_empty() { "" } else { "/" };
        format!("{scheme}://{}{slash}{namespace}", self.servers.join(","))
    }

    /// The whole name of a topic there, among all that the servers have: with the prefix of the Kafka protocol.
    pub fn remote_name(&self, topic: &TopicName) -> String {
        match (self.kind, &*self.namespace) {
            (BrokerKind::Kafka, prefix) if !prefix.is_empty() => format!("{prefix}.{topic}"),
            _ => topic.to_string(),
        }
    }
}

/// Servers of NATS, and how this host is let in there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsServers {
    /// Each is `host:port`: one is enough, and each may be a member of one cluster of NATS. At least one.
    pub servers: Vec<String>,
    /// Whether only TLS will do.
    pub tls: bool,
    /// A PEM file of root certificates. `None`: the roots of the system.
    pub ca: Option<PathBuf>,
    /// How this host is let in; `None`: as anybody.
    pub login: Option<BrokerLogin>,
}

/// How a host is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerLogin {
    /// By a name and a password.
    User(String, LoginSecret),
    /// By a token.
    Token(LoginSecret),
}

/// A password or a token. It does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginSecret(String);

impl LoginSecret {
    /// The secret of this text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LoginSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginSecret(…)")
    }
}
