//! `[events]`: the broker that has the logs of topics.

use super::reader::file::{PathKind, RequiredPath};
use super::reader::finding::{Span, ValueOrigin};
use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::{CountKind, KindError, TextKind, ValueKind, refused};
use super::reader::measure::{MIB, SizeKind, TIB};
use super::reader::report::Report;
use super::reader::section::Section;
use super::secret::{self, SecretKind};
use super::topic::TopicConfig;
use crate::broker::{BrokerKind, BrokerLogin, BrokerSettings, LoginSecret};
use crate::events::TopicName;
use std::path::Path;
use toml::Spanned;
use toml::de::DeValue;

/// The broker of the manifest.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// Its settings.
    pub settings: BrokerSettings,
    /// Where its address is written.
    pub(crate) span: Span,
}

/// The servers of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BrokerAddress {
    kind: BrokerKind,
    namespace: String,
    /// Each is `host:port`.
    servers: Vec<String>,
    tls: bool,
}

/// `nats://HOST:PORT`, `amqp://HOST:PORT/VHOST` or `kafka://HOST:PORT/PREFIX`, with more servers of the cluster after
/// commas; `tls://`, `amqps://` and `kafkas://` where only TLS will do.
pub(super) struct BrokerAddressKind;

/// The port of NATS, as IANA has it.
pub(super) const NATS_PORT: u16 = 4222;
/// The schemes: whose they are, whether they want TLS, and the port that IANA has for them.
const SCHEMES: [(&str, BrokerKind, bool, u16); 6] = [
    ("nats", BrokerKind::JetStream, false, NATS_PORT),
    ("tls", BrokerKind::JetStream, true, NATS_PORT),
    ("amqp", BrokerKind::RabbitMq, false, 5672),
    ("amqps", BrokerKind::RabbitMq, true, 5671),
    ("kafka", BrokerKind::Kafka, false, KAFKA_PORT),
    ("kafkas", BrokerKind::Kafka, true, KAFKA_PORT),
];
/// IANA has none; this is what every server takes by default.
const KAFKA_PORT: u16 = 9092;
/// The longest name of a topic of the Kafka protocol.
const LONGEST_NAME: usize = 249;

impl ValueKind for BrokerAddressKind {
    type Value = BrokerAddress;

    fn accepts(&self) -> String {
        "an address of NATS, RabbitMQ or the Kafka protocol, as \"nats://127.0.0.1:4222\", \"tls://a:4222,b:4222\", \
         \"amqps://a/shop\" or \"kafka://a:9092\""
            .into()
    }

    fn help(&self) -> String {
        "write nats:// or tls:// for NATS, amqp:// or amqps:// for RabbitMQ, kafka:// or kafkas:// for the Kafka \
         protocol, a host and perhaps a port; more servers of one cluster follow after commas"
            .into()
    }

    #[cfg(test)]
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<BrokerAddress, Vec<KindError>> {
        let text = value.get_ref().as_str().ok_or_else(|| refused(self, value))?;
        let problem =
            |message: &str, help: String| vec![KindError { span: value.span(), message: message.into(), help }];
        if text.contains('@') {
            // Without the text: it has a secret.
            let help =
                "a manifest is committed: name the user in `user`, and refer to the secret by `password` or `token`";
            return Err(problem("must not hold a user, a password or a token", help.into()));
        }
        let (scheme, hosts) = text.split_once("://").ok_or_else(|| refused(self, value))?;
        let known = SCHEMES.iter().find(|known| known.0 == scheme);
        let (_, kind, tls, port) = *known.ok_or_else(|| refused(self, value))?;
        let (hosts, namespace) = match (hosts.split_once('/'), kind) {
            // Clients of AMQP read this as the virtual host without a name, and nobody means it.
            (Some((_, "")), BrokerKind::RabbitMq) => {
                let help = "leave the `/` at the end out for the virtual host `/`, or name another one behind it";
                return Err(problem("ends with `/`, which names a virtual host without a name", help.into()));
            }
            (Some((hosts, vhost)), BrokerKind::RabbitMq) => {
                (hosts, virtual_host(vhost).ok_or_else(|| refused(self, value))?)
            }
            (None, BrokerKind::RabbitMq) => (hosts, "/".to_owned()),
            (Some((hosts, prefix)), BrokerKind::Kafka) => {
                let help = "write what stands before the topics' names, of letters, digits, `-` and `.`: \
                            kafka://HOST/shop makes the topic `orders` there `shop.orders`";
                let prefix = TopicName::new(prefix).map_err(|_| problem("has no prefix of topics", help.into()))?;
                (hosts, prefix.as_str().to_owned())
            }
            _ => (hosts, String::new()),
        };
        let servers: Option<Vec<_>> = hosts.split(',').map(|text| server(text, port)).collect();
        Ok(BrokerAddress { kind, namespace, servers: servers.ok_or_else(|| refused(self, value))?, tls })
    }
}

/// The name of a virtual host in an address, in which `%2F` is a `/`.
fn virtual_host(text: &str) -> Option<String> {
    if text.contains(['/', '?', '#', ',']) || text.chars().any(char::is_whitespace) {
        return None;
    }
    let mut parts = text.split('%');
    let mut name = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        // `from_str_radix` takes a sign.
        let digits = Some(digits).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        name.push(u8::from_str_radix(digits, 16).ok()?);
        name.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(name).ok()
}

/// One server with its port, or the `default` one; `None` if that is no server.
pub(super) fn server(text: &str, default: u16) -> Option<String> {
    let authority: http::uri::Authority = text.trim().parse().ok()?;
    // `Authority` accepts a port that is not a number, and then says that there is none.
    let port = authority.as_str().strip_prefix(authority.host())?;
    let number = if port.is_empty() { default } else { authority.port_u16().filter(|port| *port > 0)? };
    (!authority.host().is_empty()).then(|| format!("{}:{number}", authority.host()))
}

static BROKER: ManifestKey<BrokerAddressKind> = ManifestKey::without_default(
    "broker",
    BrokerAddressKind,
    "A broker that has the logs of all topics, in place of the host's own database: NATS with JetStream, server 2.11 \
     or later, RabbitMQ with its streams, 3.10 or later, or servers that speak the Kafka protocol as 2.5 to 4 do. The \
     section needs it.",
);
static OUTBOX: ManifestKey<SizeKind> = ManifestKey::new(
    "outbox",
    SizeKind { min: MIB, max: TIB },
    r#""256MiB""#,
    "The most bytes of one topic's events that wait here while the broker is away, or its log is full. Beyond it \
     publishing fails with `unavailable`.",
);
pub(super) static REPLICAS: ManifestKey<CountKind<u8>> = ManifestKey::new(
    "replicas",
    CountKind { min: 1, max: 5 },
    "1",
    "On how many servers of a cluster each stream of NATS, or topic of the Kafka protocol, is kept. It counts when the \
     host creates it.",
);
static CA: ManifestKey<PathKind> = ManifestKey::without_default(
    "ca",
    PathKind,
    "A PEM file of root certificates, against which the broker's certificate is checked. Absent: the roots of the \
     system. Only with `tls://`, `amqps://` or `kafkas://`.",
);
static USER: ManifestKey<TextKind> = ManifestKey::without_default(
    "user",
    TextKind { min: 1 },
    "The name of a user at the server. Only with `password`.",
);
static PASSWORD: ManifestKey<SecretKind> =
    ManifestKey::without_default("password", SecretKind, "The password of `user`: `{ from_env }` or `{ file }`.");
static TOKEN: ManifestKey<SecretKind> = ManifestKey::without_default(
    "token",
    SecretKind,
    "A token by which the server lets this host in: `{ from_env }` or `{ file }`. Not with `user`.",
);

pub(super) const CERTIFICATES: RequiredPath = RequiredPath {
    name: "the certificates",
    is_folder: false,
    wrong_type_help: "name the PEM file itself",
    absent_help: "correct the path, or leave `ca` out to trust what the system trusts",
};

/// Reads `[events]`; `None` without a broker.
pub(super) fn read(
    root: &mut Section<'_>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<BrokerConfig> {
    let (there, report) = (root.has("events"), root.report);
    let mut section = root.section("events");
    let (broker, outbox, replicas) = (section.find(&BROKER), section.get(&OUTBOX), section.get_sourced(&REPLICAS));
    if there && section.lacks(BROKER.name) {
        let origin = ValueOrigin::Text(section.span.clone());
        let help = "add broker = \"nats://127.0.0.1:4222\", or leave the section out";
        report.push_if_whole(origin, "`[events]` has no `broker`, and nothing else to say", help);
    }
    let extra = ConnectionKeys { address: BROKER.name, replicas: replicas.value, outbox };
    let connected = connection(&mut section, broker, folder, env, extra);
    section.close();
    let (settings, span) = connected?;
    if let Some(span) = replicas.span().filter(|_| settings.kind == BrokerKind::RabbitMq) {
        let help = "leave `replicas` out: RabbitMQ keeps a stream on all servers of its cluster, or on as many as \
                    `initial-cluster-size` of a policy of its own says";
        report.push_if_whole(ValueOrigin::Text(span), "`replicas` has no effect with RabbitMQ", help);
    }
    Some(BrokerConfig { settings, span })
}

/// What is known of a connection beside the keys of its section.
pub(super) struct ConnectionKeys {
    /// The key of the address.
    pub(super) address: &'static str,
    pub(super) replicas: u8,
    pub(super) outbox: u64,
}

/// Reads how a broker is reached. Where its address is written comes with it.
pub(super) fn connection(
    section: &mut Section<'_>,
    broker: Option<Sourced<BrokerAddress>>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    keys: ConnectionKeys,
) -> Option<(BrokerSettings, Span)> {
    let report = section.report;
    let ca = section.find(&CA);
    let token = section.first_of(&[TOKEN.name]);
    let login = login(section, folder, env);
    let broker = broker?;
    let span = broker.span()?;
    let BrokerAddress { kind, namespace, servers, tls } = broker.value;
    let without_token = match kind {
        BrokerKind::JetStream => None,
        BrokerKind::RabbitMq => Some(("RabbitMQ lets nobody in by a `token`", "RABBITMQ_PASSWORD")),
        BrokerKind::Kafka => Some(("the Kafka protocol is spoken here without a `token`", "KAFKA_PASSWORD")),
    };
    if let (Some((_, span)), Some((message, variable))) = (token, without_token) {
        let help = format!("write user = \"NAME\" and password = {{ from_env = \"{variable}\" }} in place of it");
        report.push_if_whole(ValueOrigin::Text(span), message, help);
    }
    if let Some(ca) = ca.as_ref().filter(|_| !tls) {
        let message = "`ca` has no effect, since the broker is not tls://, amqps:// or kafkas://";
        let help = format!("write tls://, amqps:// or kafkas:// in `{}`, or leave `ca` out", keys.address);
        report.push_if_whole(ca.origin.clone(), message, help);
    }
    let ca = ca.map(|found| CERTIFICATES.resolve(&found, folder, report));
    let ConnectionKeys { replicas, outbox, .. } = keys;
    Some((BrokerSettings { kind, servers, namespace, tls, ca, login, replicas, outbox }, span))
}

/// Refuses a topic whose whole name at the broker is too long.
pub(super) fn check_name(settings: &BrokerSettings, topic: &TopicName, span: &Span, report: &Report) {
    let name = settings.remote_name(topic);
    if settings.kind == BrokerKind::Kafka && name.len() > LONGEST_NAME {
        report.push(
            ValueOrigin::Text(span.clone()),
            format!("the topic's name there, `{name}`, has {} characters, and may have {LONGEST_NAME}", name.len()),
            "take a shorter prefix, or a shorter name of the topic",
        );
    }
}

/// Refuses what a topic asks of its log and the broker cannot do.
pub(super) fn check_topics(broker: Option<&BrokerConfig>, topics: &[TopicConfig], report: &Report) {
    let Some(BrokerConfig { settings, span }) = broker else { return };
    topics.iter().for_each(|topic| check_name(settings, &topic.name, span, report));
    let kind = settings.kind;
    for (key, span) in topics.iter().flat_map(|topic| &topic.bounds) {
        let (message, help) = match (kind, *key) {
            (BrokerKind::RabbitMq, _) => (
                format!("RabbitMQ cannot remove what all subscribers have settled, as `{key}` wants"),
                format!(
                    "leave `{key}` out: then the stream keeps all events. A policy of RabbitMQ's own (`max-age`, \
                     `max-length-bytes`) bounds it, whatever subscribers have settled"
                ),
            ),
            (BrokerKind::Kafka, "size") => (
                "a server of the Kafka protocol does not tell how many bytes a topic has, as `size` wants".to_owned(),
                "leave `size` out, and bound the topic by `retention`".to_owned(),
            ),
            _ => continue,
        };
        report.push(ValueOrigin::Text(span.clone()), message, help);
    }
}

/// How this host is let in: `user` with `password`, or `token`.
pub(super) fn login(
    section: &mut Section<'_>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<BrokerLogin> {
    let report = section.report;
    let user = section.find(&USER);
    let has_password = section.has(PASSWORD.name);
    let password = secret::read(section, &PASSWORD, folder, env);
    let token = secret::read(section, &TOKEN, folder, env);
    let text = |secret: &str| LoginSecret::new(secret.trim().to_owned());
    if let Some(user) = &user {
        if !has_password {
            report.push_if_whole(
                user.origin.clone(),
                "`user` has no `password`",
                "add password = { from_env = \"NATS_PASSWORD\" }",
            );
        }
        if let Some(token) = &token {
            report.push_if_whole(
                token.origin.clone(),
                "`token` and `user` exclude one another",
                "leave one of them out",
            );
        }
        return Some(BrokerLogin::User(user.value.clone(), text(password?.value.expose())));
    }
    if let Some(password) = &password {
        report.push_if_whole(password.origin.clone(), "`password` has no `user`", "add user = \"NAME\"");
    }
    Some(BrokerLogin::Token(text(token?.value.expose())))
}

#[cfg(test)]
mod tests {
    use crate::broker::{BrokerKind, BrokerLogin, BrokerSettings, LoginSecret};
    use crate::config::Manifest;
    use std::path::Path;

    fn parse(text: &str) -> Result<Option<BrokerSettings>, String> {
        let env = |name: &str| (name == "SECRET").then(|| "s3cret\n".to_owned());
        let read = Manifest::parse("atoll.toml", text.to_owned(), Path::new(""), &env);
        read.map(|manifest| manifest.broker.map(|broker| broker.settings)).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_broker_has_its_port_and_its_bounds_and_its_secret_does_not_print() {
        let read = parse("[events]\nbroker = 'nats://a'\n").unwrap().unwrap();
        let expected = BrokerSettings {
            kind: BrokerKind::JetStream,
            servers: vec!["a:4222".into()],
            namespace: String::new(),
            tls: false,
            ca: None,
            login: None,
            replicas: 1,
            outbox: 256 << 20,
        };
        assert_eq!(read, expected);
        let text = "[events]\nbroker = 'tls://a:1, [::1]:2'\nuser = 'atoll'\npassword = { from_env = 'SECRET' }\n";
        let read = parse(text).unwrap().unwrap();
        assert_eq!((read.servers.clone(), read.tls), (vec!["a:1".to_owned(), "[::1]:2".into()], true));
        assert_eq!(read.login, Some(BrokerLogin::User("atoll".into(), LoginSecret::new("s3cret".into()))));
        assert!(!format!("{read:?}").contains("s3cret"));
        assert_eq!(parse("").unwrap(), None);
        for (address, servers, vhost, tls) in [
            ("amqp://a", vec!["a:5672".to_owned()], "/", false),
            ("amqps://a,b:1/shop", vec!["a:5671".into(), "b:1".into()], "shop", true),
            ("amqp://a/%2Fshop%2f", vec!["a:5672".into()], "/shop/", false),
        ] {
            let read = parse(&format!("[events]\nbroker = '{address}'\n")).unwrap().unwrap();
            assert_eq!((read.kind, &*read.servers), (BrokerKind::RabbitMq, &*servers), "{address}");
            assert_eq!((&*read.namespace, read.tls), (vhost, tls), "{address}");
        }
        for (address, servers, prefix, place) in [
            ("kafka://a", vec!["a:9092".to_owned()], "", "kafka://a:9092"),
            (
                "kafkas://a,[::1]:1/shop.eu",
                vec!["a:9092".into(), "[::1]:1".into()],
                "shop.eu",
                "kafkas://a:9092,[::1]:1/shop.eu",
            ),
        ] {
            let read = parse(&format!("[events]\nbroker = '{address}'\nreplicas = 3\n")).unwrap().unwrap();
            assert_eq!((read.kind, &*read.servers, read.replicas), (BrokerKind::Kafka, &*servers, 3), "{address}");
            assert_eq!((&*read.namespace, &*read.place()), (prefix, place), "{address}");
        }
    }

    #[test]
    fn what_a_broker_cannot_be_or_cannot_keep_is_a_finding() {
        let word = "w".repeat(128);
        let too_long = format!("broker = 'kafka://a/{word}'\n[topic.{word}]\n");
        for (text, message, help) in [
            ("outbox = '1GiB'", "`[events]` has no `broker`", "add broker"),
            ("broker = 'kafka://a/'", "`broker` has no prefix of topics", "`shop.orders`"),
            ("broker = 'kafka://a/Shop'", "`broker` has no prefix of topics", "`shop.orders`"),
            (
                "broker = 'kafka://a'\ntoken = { from_env = 'SECRET' }",
                "is spoken here without a `token`",
                "KAFKA_PASSWORD",
            ),
            (
                "broker = 'kafka://a'\n[topic.t]\nsize = '1GiB'\n",
                "does not tell how many bytes a topic has, as `size` wants",
                "by `retention`",
            ),
            (&*too_long, "has 257 characters, and may have 249", "a shorter prefix"),
            ("broker = 'amqp://a/'", "`broker` ends with `/`, which names a virtual host without", "leave the `/`"),
            ("broker = 'amqp://a/b/c'", "`broker` must be an address of NATS, RabbitMQ or", "after commas"),
            ("broker = 'amqp://a/%2'", "`broker` must be an address of NATS, RabbitMQ or", "after commas"),
            ("broker = 'nats://a/b'", "`broker` must be an address of NATS, RabbitMQ or", "after commas"),
            ("broker = 'amqp://a'\nreplicas = 3", "`replicas` has no effect with RabbitMQ", "initial-cluster-size"),
            ("broker = 'amqp://a'\ntoken = { from_env = 'SECRET' }", "lets nobody in by a `token`", "password"),
            (
                "broker = 'amqp://a'\n[topic.t]\nretention = '1d'\n",
                "RabbitMQ cannot remove what all subscribers have settled, as `retention` wants",
                "max-age",
            ),
            (
                "broker = 'amqp://a'\n[topic.t]\nsize = '1GiB'\n",
                "RabbitMQ cannot remove what all subscribers have settled, as `size` wants",
                "max-age",
            ),
            ("broker = 'nats://u:s3cret@a'", "`broker` must not hold a user, a password", "refer to the secret"),
            ("broker = 'nats://a:0'", "`broker` must be an address of NATS, RabbitMQ or", "after commas"),
            ("broker = 'nats://'", "`broker` must be an address of NATS, RabbitMQ or", "after commas"),
            ("broker = 'http://a'", "`broker` must be an address of NATS, RabbitMQ or", "after commas"),
            ("broker = 'nats://a'\nuser = 'u'", "`user` has no `password`", "from_env"),
            ("broker = 'nats://a'\npassword = { from_env = 'SECRET' }", "`password` has no `user`", "add user"),
            ("broker = 'nats://a'\ntoken = 's3cret'", "`token` must not stand in the manifest", "from_env"),
            (
                "broker = 'nats://a'\nuser = 'u'\npassword = { from_env = 'SECRET' }\ntoken = { from_env = 'SECRET' }",
                "`token` and `user` exclude one another",
                "leave one",
            ),
            ("broker = 'nats://a'\nca = 'x.pem'", "`ca` has no effect", "tls://"),
            ("broker = 'nats://a'\nreplicas = 6", "`replicas` must be a whole number of 1 to 5", "1 to 5"),
        ] {
            let found = parse(&format!("[events]\n{text}\n")).expect_err(text);
            assert!(found.contains(message) && found.contains(help), "{text}: {found}");
            assert!(!found.contains("s3cret"), "{text}: {found}");
        }
    }
}
