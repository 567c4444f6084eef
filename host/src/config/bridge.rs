//! `[bridge.NAME]`: a topic of the host's own database that gets the events of a broker's, or is copied there.

use super::broker::{self, BrokerAddressKind, ConnectionKeys};
use super::reader::finding::{Span, ValueOrigin};
use super::reader::key::ManifestKey;
use super::reader::kind::TextKind;
use super::reader::section::Section;
use super::topic::Topics;
use crate::broker::{BrokerKind, BrokerSettings};
use crate::delivery::BridgeDirection;
use crate::events::TopicName;
use std::path::Path;

/// A bridge of the manifest.
#[derive(Debug, Clone)]
pub struct BridgeConfig {
    /// Its name.
    pub name: String,
    /// The topic of the manifest.
    pub topic: TopicName,
    /// Where its events go.
    pub direction: BridgeDirection,
    /// The broker.
    pub settings: BrokerSettings,
    /// The topic's name there.
    pub remote: TopicName,
    /// Where the broker's address is written.
    pub(crate) span: Span,
}

static TOPIC: ManifestKey<TextKind> = ManifestKey::without_default(
    "topic",
    TextKind { min: 1 },
    "The topic, which is in the host's own database. It is required.",
);
static FROM: ManifestKey<BrokerAddressKind> = ManifestKey::without_default(
    "from",
    BrokerAddressKind,
    "The broker whose events the topic gets. Either this or `to`.",
);
static TO: ManifestKey<BrokerAddressKind> =
    ManifestKey::without_default("to", BrokerAddressKind, "The broker to which the events of the topic are copied.");
static REMOTE: ManifestKey<TextKind> =
    ManifestKey::without_default("remote", TextKind { min: 1 }, "The topic's name at the broker. Absent: as here.");

/// Reads every `[bridge.NAME]`.
pub(super) fn read_all(
    root: &mut Section<'_>,
    topics: &Topics,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Vec<BridgeConfig> {
    let mut sections = root.sections("bridge");
    sections.sort_by_key(|(key, _)| key.span().start);
    let mut all: Vec<BridgeConfig> = Vec::new();
    for (key, mut section) in sections {
        let name = (*key.get_ref()).to_owned();
        let found = read_one(&mut section, (name, key.span()), topics, folder, env);
        if let Some(bridge) = &found
            && let Some(twin) = all.iter().find(|other| is_twin(other, bridge))
        {
            let message = format!("bridge `{}` copies the same events already", twin.name);
            section.report.push(ValueOrigin::Text(bridge.span.clone()), message, "leave one of them out");
        }
        section.close();
        all.extend(found);
    }
    all
}

/// Whether both copy the same events to the same place: each of them would be there twice.
fn is_twin(a: &BridgeConfig, b: &BridgeConfig) -> bool {
    let way = |one: &BridgeConfig| {
        let BridgeConfig { topic, direction, settings, remote, .. } = one;
        // Of the Kafka protocol the prefix is a part of the name: `shop` and `eu.orders` are `shop.eu` and `orders`.
        let host = Some(settings.namespace.clone()).filter(|_| settings.kind != BrokerKind::Kafka);
        (topic.clone(), *direction, settings.remote_name(remote), settings.kind, settings.servers.clone(), host)
    };
    way(a) == way(b)
}

fn read_one(
    section: &mut Section<'_>,
    (name, at): (String, Span),
    topics: &Topics,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<BridgeConfig> {
    let report = section.report;
    let (topic, remote, replicas) = (section.find(&TOPIC), section.find(&REMOTE), section.get(&broker::REPLICAS));
    let (from, to) = (section.find(&FROM), section.find(&TO));
    let (has_from, has_to) = (section.has(FROM.name), section.has(TO.name));
    let (direction, key) = if has_from { (BridgeDirection::In, FROM.name) } else { (BridgeDirection::Out, TO.name) };
    let address = ConnectionKeys { address: key, replicas, outbox: 0 };
    let connected = broker::connection(section, from.or(to), folder, env, address);
    let origin = || ValueOrigin::Text(at.clone());
    if has_from == has_to {
        let message = format!("bridge `{name}` needs either `from` or `to`");
        report.push_if_whole(origin(), message, "say where the events come from: from = \"nats://127.0.0.1:4222\"");
        return None;
    }
    let Some(topic) = topic else {
        if section.lacks(TOPIC.name) {
            let message = format!("bridge `{name}` has no `topic`");
            report.push_if_whole(origin(), message, "name a topic of this manifest: topic = \"orders.placed\"");
        }
        return None;
    };
    let span = topic.span()?;
    let found = topics.find(&topic.value, span, report);
    let remote = match remote {
        None => found.clone(),
        Some(remote) => match TopicName::new(&remote.value) {
            Ok(name) => Some(name),
            Err(invalid) => {
                report.push(
                    remote.origin,
                    invalid.to_string(),
                    "write the name of a topic: remote = \"orders.placed\"",
                );
                None
            }
        },
    };
    let (settings, span) = connected?;
    broker::check_name(&settings, remote.as_ref()?, &span, report);
    Some(BridgeConfig { name, topic: found?, direction, settings, remote: remote?, span })
}

#[cfg(test)]
mod tests {
    use crate::config::Manifest;
    use std::path::Path;

    fn parse(text: &str) -> Result<usize, String> {
        let read = Manifest::parse("atoll.toml", format!("[topic.'a.b']\n{text}"), Path::new(""), &|_| None);
        read.map(|manifest| manifest.bridges.len()).map_err(|errors| errors.to_string())
    }

    fn bridge(name: &str, to: &str, remote: &str) -> String {
        format!("[bridge.{name}]\ntopic = 'a.b'\nto = '{to}'\nremote = '{remote}'\n")
    }

    #[test]
    fn two_bridges_to_one_log_are_twins_however_its_name_is_cut() {
        let both = |to: &str, remote: &str| {
            parse(&(bridge("one", "kafka://h/shop", "eu.orders") + &bridge("two", to, remote)))
        };
        let refused = both("kafka://h/shop.eu", "orders").unwrap_err();
        assert!(refused.contains("bridge `one` copies the same events already"), "{refused}");
        for (to, remote) in
            [("kafka://h/shop.eu", "eu.orders"), ("kafka://h/shop", "orders"), ("nats://h", "eu.orders")]
        {
            assert_eq!(both(to, remote), Ok(2), "{to} {remote}");
        }
        let hosts = bridge("one", "amqp://h/a", "orders") + &bridge("two", "amqp://h/b", "orders");
        assert_eq!(parse(&hosts), Ok(2));
    }

    #[test]
    fn a_name_that_is_too_long_with_its_prefix_is_a_finding() {
        let (prefix, name) = ("p".repeat(121), "n".repeat(127));
        let to = format!("kafka://h/{prefix}");
        assert_eq!(parse(&bridge("one", &to, &name)), Ok(1));
        let refused = parse(&bridge("one", &format!("{to}p"), &name)).unwrap_err();
        assert!(refused.contains("has 250 characters") && refused.contains("a shorter prefix"), "{refused}");
    }
}
