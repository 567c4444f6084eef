//! What is written to an HTTP/2 peer, as far as its frames tell it.
//!
//! h2 answers a header list beyond its bound by itself, with 431, and tells nobody. That answer is the only one that
//! has no field but its status: hyper gives each answer of a service at least a date. So it is found here, on its way
//! to the peer.

use super::frame_meter::{END_STREAM, FrameCursor, FrameHeader, HEADERS, RST_STREAM};

/// The longest block that is looked at: one status, behind two changes of the size of the table of fields.
const STATUS_ALONE: usize = 16;
/// The most streams whose answers are under way. Peers reset streams, of which nothing is written, so some are known
/// longer than they live; a hundred at a time are usual.
const MOST_OPEN: usize = 1024;

/// What bytes that were written have begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct WrittenAnswers {
    /// Frames of answers.
    pub(super) frames: u64,
    /// Answers by h2 itself: 431.
    pub(super) refusals: u64,
}

/// Follows the frames that are written to a peer.
#[derive(Debug, Default)]
pub(super) struct WrittenFrames {
    cursor: FrameCursor,
    /// Streams whose answer has begun and has not ended, the oldest first.
    open: Vec<u32>,
    /// The block of an answer that ends with its head, as far as it was written; `None`: the frame is another one.
    block: Option<Vec<u8>>,
}

impl WrittenFrames {
    /// Takes the next bytes into account.
    pub(super) fn wrote(&mut self, bytes: &[u8]) -> WrittenAnswers {
        let Self { cursor, open, block, .. } = self;
        let mut written = WrittenAnswers::default();
        cursor.follow(bytes, |frame, content| {
            let Some(content) = content else {
                written.frames += u64::from(frame.is_of_answer());
                *block = begun(open, frame);
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

/// Notes which answers are under way. Returns an empty block if the frame may be an answer by h2 itself.
fn begun(open: &mut Vec<u32>, frame: FrameHeader) -> Option<Vec<u8>> {
    let ends = frame.flags & END_STREAM != 0 || frame.kind == RST_STREAM;
    let known = open.iter().position(|stream| *stream == frame.stream);
    match known {
        Some(at) if ends => drop(open.remove(at)),
        None if frame.kind == HEADERS && !ends => {
            if open.len() == MOST_OPEN {
                open.remove(0);
            }
            open.push(frame.stream);
        }
        _ => {}
    }
    // Trailers end a stream whose answer has begun, and may have one field too.
    let may_be = known.is_none() && frame.kind == HEADERS && ends && (1..=STATUS_ALONE).contains(&frame.length);
    may_be.then(|| Vec::with_capacity(frame.length))
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
    const DATA: u8 = 0;
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
            let mut written = WrittenFrames::default();
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
    fn the_streams_that_peers_reset_are_forgotten_in_the_end() {
        let mut written = WrittenFrames::default();
        for stream in 0..5_000 {
            written.wrote(&frame(HEADERS, END_HEADERS, 2 * stream + 1, &[0x88, 0xbe]));
        }
        assert_eq!((written.open.len(), written.open.last()), (MOST_OPEN, Some(&9_999)));
    }
}
