//! The latest messages of a stream that were seen, in memory.

use crate::broker::broker_log::{StoredEvent, StoredPage};
use std::collections::VecDeque;

/// The most messages that are remembered.
const MOST: usize = 4096;
/// The most bytes of them: of one page.
const MOST_BYTES: u64 = 1 << 20;

/// The end of a stream: all messages from some number on. Numbers may have gaps: RabbitMQ gives some to what it notes
/// of other clients.
#[derive(Debug, Default)]
pub(super) struct RecentEvents {
    seen: VecDeque<SeenMessage>,
    bytes: u64,
    /// The number of the latest event; 0 if none was seen.
    last_event: u64,
}

/// A message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SeenMessage {
    /// At least 1, and above that of the message before.
    pub(super) number: u64,
    pub(super) id: Option<String>,
    /// `None`: it is a mark, and no event.
    pub(super) event: Option<StoredEvent>,
}

impl RecentEvents {
    /// Adds the next message. The oldest ones are forgotten.
    pub(super) fn push(&mut self, message: SeenMessage) {
        if let Some(event) = &message.event {
            self.last_event = message.number;
            self.bytes += event.bytes;
        }
        self.seen.push_back(message);
        while self.seen.len() > MOST || (self.bytes > MOST_BYTES && self.seen.len() > 1) {
            let Some(oldest) = self.seen.pop_front() else { break };
            self.bytes -= oldest.event.map_or(0, |event| event.bytes);
        }
    }

    /// The number of the oldest message that is remembered; `None` if none was seen.
    pub(super) fn first(&self) -> Option<u64> {
        Some(self.seen.front()?.number)
    }

    /// The number of the latest message; 0 if none was seen.
    pub(super) fn last(&self) -> u64 {
        self.seen.back().map_or(0, |message| message.number)
    }

    /// The number of the latest event; 0 if none was seen.
    pub(super) fn last_event(&self) -> u64 {
        self.last_event
    }

    /// The latest event was found in the stream: it is older than all that was seen.
    pub(super) fn found_last_event(&mut self, number: u64) {
        self.last_event = self.last_event.max(number);
    }

    /// The number of the latest message with this id, if it is remembered.
    pub(super) fn number_of(&self, id: &str) -> Option<u64> {
        Some(self.seen.iter().rev().find(|message| message.id.as_deref() == Some(id))?.number)
    }

    /// At most `most` events whose numbers are above `after`; `None` if older ones than are remembered may be among
    /// them.
    pub(super) fn after(&self, after: u64, most: usize) -> Option<StoredPage> {
        self.first().filter(|first| *first <= after.saturating_add(1))?;
        let skipped = self.seen.partition_point(|message| message.number <= after);
        let later = self.seen.iter().skip(skipped).filter_map(|message| message.event.as_ref());
        let events: Vec<_> = later.take(most).cloned().collect();
        let more = events.last().is_some_and(|last| last.number < self.last_event);
        Some(StoredPage { events, more, ..StoredPage::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::EventRecord;
    use proptest::prelude::*;

    fn message(number: u64, bytes: Option<u64>) -> SeenMessage {
        let record = EventRecord { time: 1, source: "a".into(), key: None, payload: "{}".into(), trace: None };
        let id = Some(format!("id{number}"));
        let event = bytes.map(|bytes| StoredEvent { number, id: id.clone(), record, bytes });
        SeenMessage { number, id, event }
    }

    proptest! {
        /// Against the whole stream in memory: what it answers is right, and it answers for the latest messages.
        #[test]
        fn what_is_remembered_is_what_the_stream_has(
            start in 1..100_u64,
            sizes in proptest::collection::vec((1..3_u64, proptest::option::of(1..400_000_u64)), 0..60),
            after in 0..200_u64,
            most in 1..10_usize,
        ) {
            let mut number = start;
            let next = |(gap, bytes): &(u64, Option<u64>)| (number += gap, message(number, *bytes)).1;
            let all: Vec<_> = sizes.iter().map(next).collect();
            let mut recent = RecentEvents::default();
            all.iter().for_each(|message| recent.push(message.clone()));
            prop_assert!(recent.bytes <= MOST_BYTES || recent.seen.len() == 1);
            let events: Vec<_> = all.iter().filter_map(|message| message.event.clone()).collect();
            let last_event = events.last().map_or(0, |event| event.number);
            prop_assert_eq!((recent.last(), recent.last_event()), (all.last().map_or(0, |one| one.number), last_event));
            match recent.after(after, most) {
                Some(page) => {
                    let mut left = events.iter().filter(|event| event.number > after);
                    let expected: Vec<_> = left.by_ref().take(most).cloned().collect();
                    prop_assert_eq!(page.more, left.next().is_some() && !expected.is_empty());
                    prop_assert_eq!(page.events, expected);
                }
                None => prop_assert!(recent.first().is_none_or(|first| first > after + 1)),
            }
            for message in &recent.seen {
                prop_assert_eq!(recent.number_of(message.id.as_deref().unwrap()), Some(message.number));
            }
        }
    }

    #[test]
    fn only_so_many_messages_are_remembered_and_the_latest_event_is_known_when_marks_follow() {
        let mut recent = RecentEvents::default();
        assert_eq!((recent.after(0, 9), recent.last()), (None, 0));
        recent.push(message(1, Some(10)));
        (2..MOST as u64 + 10).for_each(|number| recent.push(message(number, None)));
        assert_eq!((recent.seen.len(), recent.first(), recent.last_event()), (MOST, Some(10), 1));
        assert_eq!(recent.after(9, 5), Some(StoredPage::default()));
        assert_eq!((recent.after(8, 5), recent.number_of("id9")), (None, None));
        let mut marks = RecentEvents::default();
        marks.push(message(7, None));
        marks.found_last_event(4);
        assert_eq!((marks.last(), marks.last_event()), (7, 4));
    }
}
