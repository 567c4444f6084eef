//! What is written to an HTTP/2 peer, as far as its frames tell it.
//!
//! h2 answers a header list beyond its bound by itself, with 431, and tells nobody. That answer is the only one that
//! has no field but its status: hyper gives each answer of a service at least a date. So it is found here, on its way
//! to the peer.

use super::frame_meter::{DATA, END_STREAM, FrameCursor, FrameHeader, HEADERS, RST_STREAM};
use std::collections::BTreeSet;

/// The longest block that is looked at: one status, behind two changes of the size of the table of fields.
const STATUS_ALONE: usize = 16;

/// What bytes that were written have begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct WrittenAnswers {
    /// Frames of answers.
    pub(super) frames: u64,
    /// Answers by h2 itself: 431.
    pub(super) refusals: u64,
}

/// Follows the frames that are written to a peer.
#[derive(Debug)]
pub(super) struct WrittenFrames {
    cursor: FrameCursor,
    open: OpenAnswers,
    /// The block of an answer that ends with its head, as far as it was written; `None`: the frame is another one.
    block: Option<Vec<u8>>,
}

/// The streams whose answer has begun and has not ended.
#[derive(Debug)]
struct OpenAnswers {
    streams: BTreeSet<u32>,
    /// The last streams that the peer has reset. What h2 had made of their answers is still written.
    reset: BTreeSet<u32>,
    /// The most that either has, of which the oldest goes.
    most: usize,
}

impl WrittenFrames {
    /// Of a connection with so many streams at a time.
    pub(super) fn new(streams: u32) -> Self {
        // Streams that were reset do not count among those at a time; for some of which the reset was forgotten there
        // is room.
        let most = usize::try_from(streams).unwrap_or(usize::MAX).saturating_mul(2).max(1);
        let open = OpenAnswers { streams: BTreeSet::new(), reset: BTreeSet::new(), most };
        Self { cursor: FrameCursor::default(), open, block: None }
    }

    /// The peer has reset a stream: its answer does not end.
    pub(super) fn forget(&mut self, stream: u32) {
        self.open.streams.remove(&stream);
        self.open.reset.insert(stream);
        if self.open.reset.len() > self.open.most {
            self.open.reset.pop_first();
        }
    }

    /// Takes the next bytes into account.
    pub(super) fn wrote(&mut self, bytes: &[u8]) -> WrittenAnswers {
        let Self { cursor, open, block, .. } = self;
        let mut written = WrittenAnswers::default();
        cursor.follow(bytes, |frame, content| {
            let Some(content) = content else {
                written.frames += u64::from(frame.is_of_answer());
                *block = open.begun(frame);
                return;
            };
            let Some(block) = block else { return };
            block.extend_from_slice(content);
            written.refusals += u64::from(block.len() == frame.length && is_status_alone(block));
        });
        written
    }

    /// Whether the last frame is whole, and no other has begun.
    pub(super) fn is_between(&self) -> bool {
        self.cursor.is_between()
    }
}

impl OpenAnswers {
    /// Notes which answers are under way. Returns an empty block if the frame may be an answer by h2 itself.
    fn begun(&mut self, frame: FrameHeader) -> Option<Vec<u8>> {
        let ends = frame.flags & END_STREAM != 0;
        match frame.kind {
            HEADERS if ends => {
                // Trailers end a stream whose answer has begun, and may have one field too.
                let had_begun = self.streams.remove(&frame.stream) || self.reset.contains(&frame.stream);
                let may_be = !had_begun && (1..=STATUS_ALONE).contains(&frame.length);
                return may_be.then(|| Vec::with_capacity(frame.length));
            }
            HEADERS if self.reset.contains(&frame.stream) => {}
            HEADERS => {
                self.streams.insert(frame.stream);
                if self.streams.len() > self.most {
                    self.streams.pop_first();
                }
            }
            // Most frames: pieces of a content, and what belongs to the connection.
            DATA if !ends => {}
            DATA | RST_STREAM => _ = self.streams.remove(&frame.stream),
            _ => {}
        }
        None
    }
}

/// Whether a block (RFC 7541, section 6) has one field, of which the static table has the name and not the value.
fn is_status_alone(mut block: &[u8]) -> bool {
    // Changes of the size of the table, of at most two integers, come first.
    while let Some((0x20..=0x3f, _)) = block.split_first() {
        let Some(rest) = after_integer(block, 0x1f) else { return false };
        block = rest;
    }
    let Some(first) = block.first() else { return false };
    match first {
        // A field of the dynamic table; one of the static table would be another status.
        0x80.. => first & 0x7f > 61 && after_integer(block, 0x7f).is_some_and(<[u8]>::is_empty),
        // A value of its own, to be remembered or not.
        0x40..=0x7f => is_literal(block, 0x3f),
        _ => is_literal(block, 0x0f),
    }
}

/// Whether the block is one field whose name is `:status` of the static table, and its value.
fn is_literal(block: &[u8], prefix: u8) -> bool {
    const STATUS: std::ops::RangeInclusive<u8> = 8..=14;
    let is_status = block.first().is_some_and(|first| STATUS.contains(&(first & prefix)));
    let value = block.get(1..).filter(|_| is_status);
    // The value is short, so its length is in one byte.
    value.and_then(|value| Some(usize::from(value.first()? & 0x7f) + 1 == value.len())).unwrap_or(false)
}

/// What follows an integer whose first byte has so many bits of it (RFC 7541, section 5.1).
fn after_integer(block: &[u8], prefix: u8) -> Option<&[u8]> {
    let (first, rest) = block.split_first()?;
    if first & prefix < prefix {
        return Some(rest);
    }
    let last = rest.iter().position(|byte| byte & 0x80 == 0)?;
    rest.get(last + 1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    const END_HEADERS: u8 = 0x4;
    /// `:status: 431`, to be remembered, and then as the first field of the dynamic table.
    const LITERAL: &[u8] = &[0x48, 0x83, 0x69, 0x90, 0xff];
    const REMEMBERED: &[u8] = &[0xbe];

    fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
        let [_, length @ ..] = u32::try_from(content.len()).expect("a length").to_be_bytes();
        [&length[..], &[kind, flags], &stream.to_be_bytes(), content].concat()
    }

    fn refusals(frames: &[Vec<u8>]) -> u64 {
        let bytes = frames.concat();
        let found = [1, 3, 7, bytes.len()].map(|cut| {
            let mut written = WrittenFrames::new(100);
            let refusals = bytes.chunks(cut).map(|piece| written.wrote(piece).refusals).sum::<u64>();
            assert!(written.is_between());
            refusals
        });
        assert!(found.iter().all(|count| *count == found[0]), "it depends on the cuts: {found:?}");
        found[0]
    }

    #[test]
    fn an_answer_of_a_status_alone_is_found_in_each_of_its_forms() {
        let refusal = |block: &[u8]| frame(HEADERS, END_STREAM | END_HEADERS, 1, block);
        assert_eq!(refusals(&[refusal(LITERAL), refusal(REMEMBERED), refusal(&[0xff, 0x20])]), 3);
        assert_eq!(refusals(&[refusal(&[&[0x20, 0x3f, 0xe1, 0x1f], LITERAL].concat())]), 1, "behind new table sizes");
        assert_eq!(refusals(&[refusal(b"\x08\x03431"), refusal(b"\x18\x03431")]), 2, "not to be remembered");
    }

    #[test]
    fn answers_of_services_and_trailers_are_none() {
        let whole = |block: &[u8]| frame(HEADERS, END_STREAM | END_HEADERS, 1, block);
        // A status of the static table; with a date; another name; nothing.
        for block in [&[0x88][..], &[0x88, 0xbe], &[0xbf, 0xbe], &[LITERAL, REMEMBERED].concat(), b"\x4f\x01a", b""] {
            assert_eq!(refusals(&[whole(block)]), 0, "{block:?}");
        }
        let begin = frame(HEADERS, END_HEADERS, 1, &[0x88, 0xbe]);
        let trailers = [begin.clone(), frame(DATA, 0, 1, b"data"), whole(REMEMBERED)];
        assert_eq!(refusals(&trailers), 0, "trailers of one field");
        let reset = [begin, frame(RST_STREAM, 0, 1, &[0; 4]), whole(REMEMBERED)];
        assert_eq!(refusals(&reset), 1, "the answer on stream 1 had ended");
    }

    #[test]
    fn a_stream_that_the_peer_resets_is_forgotten_and_none_that_lives() {
        let mut written = WrittenFrames::new(2);
        let begin = |stream| frame(HEADERS, END_HEADERS, stream, &[0x88, 0xbe]);
        written.wrote(&begin(1));
        for stream in (3..10_000).step_by(2) {
            written.wrote(&begin(stream));
            written.wrote(&frame(DATA, 0, stream, b"data"));
            written.forget(stream);
        }
        assert_eq!((&written.open.streams, written.open.reset.len()), (&BTreeSet::from([1]), 4));
        let trailers = |stream| frame(HEADERS, END_STREAM | END_HEADERS, stream, REMEMBERED);
        assert_eq!(written.wrote(&trailers(1)).refusals, 0, "stream 1 has been open all the time");
        // h2 had made these before the reset.
        assert_eq!(written.wrote(&[begin(9_997), trailers(9_999)].concat()).refusals, 0);
        assert!(written.open.streams.is_empty());
        // What never ends here has a bound.
        let mut written = WrittenFrames::new(2);
        for stream in (1..10_000).step_by(2) {
            written.wrote(&begin(stream));
        }
        assert_eq!(written.open.streams, BTreeSet::from([9_993, 9_995, 9_997, 9_999]));
    }

    #[test]
    fn an_answer_ends_with_its_data_its_trailers_or_a_reset() {
        let ends =
            [frame(DATA, END_STREAM, 1, b""), frame(HEADERS, END_STREAM, 1, b"x"), frame(RST_STREAM, 0, 1, b"why!")];
        for end in ends {
            let mut written = WrittenFrames::new(2);
            written.wrote(&frame(HEADERS, END_HEADERS, 1, &[0x88, 0xbe]));
            // A ping with the same flag, of the connection.
            written.wrote(&frame(6, END_STREAM, 0, &[0; 8]));
            assert_eq!(written.open.streams, BTreeSet::from([1]));
            written.wrote(&end);
            assert!(written.open.streams.is_empty(), "{end:?}");
        }
    }
}
