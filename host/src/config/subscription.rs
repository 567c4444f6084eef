//! `publish` and `subscribe` of a `[service.NAME]`: the topics on which it publishes, and those whose events it
//! handles.

use super::reader::finding::{Span, ValueOrigin};
use super::reader::function::{Callee, CalleeKind};
use super::reader::key::ManifestKey;
use super::reader::kind::{ChoiceKind, CountKind, ListKind, TextKind};
use super::reader::measure::{DurationKind, HOUR};
use super::reader::section::Section;
use super::topic::Topics;
use crate::delivery::SubscriptionSettings;
use crate::events::{Backoff, TopicName};
use toml::Spanned;

/// A subscription of a service.
#[derive(Debug, Clone)]
pub struct SubscriptionConfig {
    /// The topic.
    pub topic: TopicName,
    /// The function of the service that handles its events: `function` or `interface#function`.
    pub function: String,
    /// How its events are delivered.
    pub settings: SubscriptionSettings,
    /// Where the function is written.
    pub(crate) span: Span,
}

/// What a service has to do with topics.
#[derive(Debug, Clone, Default)]
pub struct TopicUse {
    /// The topics on which it may publish, no two the same.
    pub publish: Vec<TopicName>,
    /// Its subscriptions, no two to the same topic.
    pub subscribe: Vec<SubscriptionConfig>,
}

static PUBLISH: ManifestKey<ListKind<TextKind>> = ManifestKey::new(
    "publish",
    ListKind { of: TextKind { min: 1 }, max: 256 },
    "[]",
    "The topics of this manifest on which it may publish. Without one, a component that imports \
     `atoll:events/publisher` is refused.",
);
static TOPIC: ManifestKey<TextKind> =
    ManifestKey::without_default("topic", TextKind { min: 1 }, "The topic. It is required.");
static CALL: ManifestKey<CalleeKind> = ManifestKey::without_default(
    "call",
    CalleeKind,
    "The function of this service that gets each event: its one parameter is the payload. It is required.",
);
static CONCURRENCY: ManifestKey<CountKind<u16>> = ManifestKey::new(
    "concurrency",
    CountKind { min: 1, max: 1000 },
    "8",
    "The most events under way at a time. Of one key it is one.",
);
static TRIES: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "tries",
    CountKind { min: 1, max: 1000 },
    "10",
    "How often an event is tried that the function fails on, or traps on. Then it is a dead letter. A service that \
     cannot be reached costs no try.",
);
static BACKOFF: ManifestKey<DurationKind> = ManifestKey::new(
    "backoff",
    DurationKind { min: 1, max: HOUR },
    r#""1s""#,
    "The longest wait before the second try. It doubles before each try after that. The wait itself is random, from a \
     half of it up.",
);
static BACKOFF_MOST: ManifestKey<DurationKind> = ManifestKey::new(
    "backoff_most",
    DurationKind { min: 1, max: 24 * HOUR },
    r#""1m""#,
    "The longest wait before any try. It is not shorter than `backoff`.",
);
static WAITING: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "waiting",
    CountKind { min: 1, max: 1_000_000 },
    "10000",
    "How many events may be read and not settled: those that wait behind a failing event of their key too. If there \
     are so many, no further ones are read.",
);
static DEAD: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "dead",
    CountKind { min: 0, max: 1_000_000 },
    "10000",
    "How many dead letters are kept. If there are so many, an event that fails is tried again without end.",
);
static FROM: ManifestKey<ChoiceKind<bool>> = ManifestKey::new(
    "from",
    ChoiceKind(&[("beginning", true), ("end", false)]),
    r#""beginning""#,
    "Where a new subscription begins: with the first event that the topic still has, or with the next one.",
);

/// Reads both keys of the service `name`.
pub(super) fn read(service: &mut Section<'_>, name: &str, has_component: bool, topics: &Topics) -> TopicUse {
    let report = service.report;
    let find = |named: Spanned<String>| {
        let span = named.span();
        Some(Spanned::new(span.clone(), topics.find(named.get_ref(), span, report)?))
    };
    let publish = service.get(&PUBLISH).into_iter().filter_map(find).collect();
    let publish = report.distinct(publish, |topic: &TopicName| topic.as_str().to_owned());
    let mut subscribe: Vec<SubscriptionConfig> = Vec::new();
    for mut section in service.list("subscribe") {
        let Some(one) = read_one(&mut section, name, has_component, topics) else {
            section.close();
            continue;
        };
        if subscribe.iter().any(|before| before.topic == one.topic) {
            let message = format!("`{name}` subscribes to `{}` twice", one.topic);
            let help = "one subscription for each topic: let one function call the other";
            report.push_if_whole(ValueOrigin::Text(section.span.clone()), message, help);
        }
        section.close();
        subscribe.push(one);
    }
    TopicUse { publish, subscribe }
}

fn read_one(section: &mut Section<'_>, name: &str, has_component: bool, topics: &Topics) -> Option<SubscriptionConfig> {
    let report = section.report;
    let (topic, call) = (section.find(&TOPIC), section.find(&CALL));
    for (key, example) in [(TOPIC.name, "topic = \"orders.placed\""), (CALL.name, "call = \"mailer/order-placed\"")] {
        if section.lacks(key) {
            let message = format!("a subscription has no `{key}`");
            report.push_if_whole(ValueOrigin::Text(section.span.clone()), message, format!("add {example}"));
        }
    }
    let (first, most) = (section.get_sourced(&BACKOFF), section.get_sourced(&BACKOFF_MOST));
    section.refuse_longer((&BACKOFF, &first), (&BACKOFF_MOST, &most));
    let settings = SubscriptionSettings {
        concurrency: section.get(&CONCURRENCY).into(),
        tries: section.get(&TRIES),
        backoff: Backoff { first: first.value, most: most.value },
        waiting: usize::try_from(section.get(&WAITING)).expect("at most a million"),
        dead: usize::try_from(section.get(&DEAD)).expect("at most a million"),
        from_beginning: section.get(&FROM),
    };
    let (topic, call) = (topic?, call?);
    let topic = topics.find(&topic.value, topic.span()?, report);
    let (Callee { service, function }, span) = (&call.value, call.span()?);
    if service != name {
        let message = format!("`{name}` subscribes with a function of `{service}`");
        let help = format!("name a function of this service: call = \"{name}/{function}\"");
        report.push_if_whole(call.origin.clone(), message, help);
    } else if !has_component {
        let message = format!("service `{name}` has no component, and so no function to call");
        report.push_if_whole(call.origin.clone(), message, "give it a `component`, or leave `subscribe` out");
    }
    Some(SubscriptionConfig { topic: topic?, function: function.clone(), settings, span })
}
