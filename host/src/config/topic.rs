//! `[topic."NAME"]`: what is published, and how long it is kept.

use super::reader::finding::{Span, ValueOrigin};
use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::{KindError, ValueKind, refused};
use super::reader::measure::{DAY, DurationKind, MIB, SizeKind, TIB};
use super::reader::report::Report;
use super::reader::section::Section;
use super::reader::suggest::did_you_mean;
use crate::events::{Retention, TopicName};
use toml::Spanned;
use toml::de::DeValue;

/// A topic of the manifest.
#[derive(Debug, Clone)]
pub struct TopicConfig {
    /// Its name.
    pub name: TopicName,
    /// The WIT type of its payloads: `shop:orders/events#order-placed`. `None`: any JSON.
    pub payload: Option<String>,
    /// How long it keeps events.
    pub retention: Retention,
    /// Where the type is written; without one, where the topic is.
    pub(crate) span: Span,
    /// The keys that bound its log, as far as they are written, and where.
    pub(super) bounds: Vec<(&'static str, Span)>,
}

/// A type of an interface: `shop:orders/events#order-placed`.
pub(super) struct TypeNameKind;

impl ValueKind for TypeNameKind {
    type Value = String;

    fn accepts(&self) -> String {
        "a type of WIT with its interface, as \"shop:orders/events#order-placed\"".into()
    }

    fn help(&self) -> String {
        "write package, `/`, interface, `#` and type, with the version of the package if several are in use".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<String, Vec<KindError>> {
        let named = |text: &&str| {
            let (interface, ty) = text.split_once('#')?;
            let (package, interface) = interface.split_once('/')?;
            let (space, package) = package.split_once(':')?;
            let parts = [space, package, interface, ty];
            parts.iter().all(|part| !part.is_empty() && !part.contains(char::is_whitespace)).then_some(())
        };
        let text = value.get_ref().as_str().filter(|text| named(text).is_some());
        text.map(Into::into).ok_or_else(|| refused(self, value))
    }
}

static PAYLOAD: ManifestKey<TypeNameKind> = ManifestKey::without_default(
    "payload",
    TypeNameKind,
    "The WIT type of the payloads. It must be a type that a publisher or a subscriber of the topic imports or exports. \
     A payload that does not fit is refused at the publisher. Absent: any JSON.",
);
static RETENTION: ManifestKey<DurationKind> = ManifestKey::new(
    "retention",
    DurationKind { min: 1000, max: 3650 * DAY },
    r#""7d""#,
    "How long an event is kept. An event that a subscriber has not settled is kept in any case.",
);
static SIZE: ManifestKey<SizeKind> = ManifestKey::new(
    "size",
    SizeKind { min: MIB, max: TIB },
    r#""1GiB""#,
    "How many bytes of events are kept: beyond it the oldest go that every subscriber has settled. If a topic has a \
     quarter more, because a subscriber is behind, further events are refused.",
);

/// The topics of the manifest.
#[derive(Default)]
pub(super) struct Topics {
    /// In the order of the text.
    pub(super) all: Vec<TopicConfig>,
    /// The keys that are no topic names. They were reported.
    misnamed: Vec<String>,
}

/// Reads every `[topic."NAME"]`.
pub(super) fn read_all(root: &mut Section<'_>) -> Topics {
    let report = root.report;
    let mut topics = Topics::default();
    let mut sections = root.sections("topic");
    sections.sort_by_key(|(key, _)| key.span().start);
    for (key, mut section) in sections {
        let payload = section.find(&PAYLOAD);
        let retention = Retention { age: section.get(&RETENTION), size: section.get(&SIZE) };
        let bounds = [RETENTION.name, SIZE.name].into_iter().filter_map(|name| section.first_of(&[name])).collect();
        section.refuse_tables(|below| {
            let (name, help) = (key.get_ref(), "a name with dots stands in quotes");
            (
                format!("`{name}.{below}` is read as `{below}` in `{name}`"),
                format!("{help}: [topic.\"{name}.{below}\"]"),
            )
        });
        section.close();
        match TopicName::new(key.get_ref()) {
            Ok(name) => {
                let span = payload.as_ref().and_then(Sourced::span).unwrap_or_else(|| key.span());
                let payload = payload.map(|found| found.value);
                topics.all.push(TopicConfig { name, payload, retention, span, bounds });
            }
            Err(invalid) => {
                let help = "rename it; a name with dots stands in quotes: [topic.\"orders.placed\"]";
                report.push(ValueOrigin::Text(key.span()), invalid.to_string(), help);
                topics.misnamed.push((*key.get_ref()).into());
            }
        }
    }
    topics
}

impl Topics {
    /// The type of the payloads of a topic, if it has one.
    pub(super) fn payload(&self, name: &TopicName) -> Option<&str> {
        self.all.iter().find(|topic| topic.name == *name)?.payload.as_deref()
    }

    /// The topic `named`, which is written at `span`. If there is none, that is reported.
    pub(super) fn find(&self, named: &str, span: Span, report: &Report) -> Option<TopicName> {
        let found = self.all.iter().find(|topic| topic.name.as_str() == named);
        if found.is_none() && !self.misnamed.iter().any(|misnamed| misnamed == named) {
            let names = self.all.iter().map(|topic| topic.name.as_str());
            let help = if self.all.is_empty() {
                format!("add a section [topic.\"{named}\"]")
            } else {
                did_you_mean(named, names, "the topics of this manifest")
            };
            report.push_if_whole(ValueOrigin::Text(span), format!("there is no topic `{named}`"), help);
        }
        found.map(|topic| topic.name.clone())
    }
}
