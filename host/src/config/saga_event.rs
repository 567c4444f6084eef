//! `on` of a `[saga.NAME]`: the topic whose events start it.

use super::reader::finding::{Span, ValueOrigin};
use super::reader::key::ManifestKey;
use super::reader::kind::{ChoiceKind, TextKind};
use super::reader::section::Section;
use super::topic::Topics;
use crate::events::TopicName;

/// The key.
pub(super) const NAME: &str = "on";

/// What starts a saga by itself.
#[derive(Debug, Clone)]
pub struct SagaEvent {
    /// The topic: each of its events starts one saga, with its payload as the input.
    pub topic: TopicName,
    /// Whether it begins with the first event that the topic still has, or with the next one.
    pub from_beginning: bool,
    /// Where the topic is written.
    pub(crate) span: Span,
}

static TOPIC: ManifestKey<TextKind> = ManifestKey::without_default(
    "topic",
    TextKind { min: 1 },
    "The topic. Each of its events starts one saga, whose input is the payload. It is required.",
);
static FROM: ManifestKey<ChoiceKind<bool>> = ManifestKey::new(
    "from",
    ChoiceKind(&[("beginning", true), ("end", false)]),
    r#""end""#,
    "Where it begins when it is new: with the next event, or with the first one that the topic still has.",
);

/// Reads the table; `None` if it is wrong, which was reported.
pub(super) fn read(section: &mut Section<'_>, topics: &Topics) -> Option<SagaEvent> {
    let report = section.report;
    let (topic, from_beginning) = (section.find(&TOPIC), section.get(&FROM));
    if section.lacks(TOPIC.name) {
        let here = ValueOrigin::Text(section.span.clone());
        report.push_if_whole(here, "`on` has no `topic`", "add topic = \"orders.placed\"");
    }
    let topic = topic?;
    let span = topic.span()?;
    Some(SagaEvent { topic: topics.find(&topic.value, span.clone(), report)?, from_beginning, span })
}
