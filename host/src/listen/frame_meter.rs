//! What the frames of an HTTP/2 peer add up to, by their headers alone.
//!
//! hyper and h2 bound the streams at a time, the size of a header block, the number of its CONTINUATION frames, and
//! tiny DATA frames. They have no deadline for the preface and for a header block, and accept a stream that its peer
//! resets at once as often as the peer likes. So the frames are counted here, on their way to hyper.

use super::event_budget::EventBudget;
use std::time::Instant;

/// The preface of a client (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// One frame header (RFC 9113, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl FrameHeader {
    /// Whether the frame is a part of a message.
    pub(super) fn is_of_answer(self) -> bool {
        matches!(self.kind, HEADERS | DATA)
    }
}

/// Follows frames over the cuts between reads or writes.
#[derive(Debug, Default)]
pub(super) struct FrameCursor {
    header: [u8; 9],
    have: usize,
    /// How many bytes of the content of the frame have not come yet.
    left: usize,
}

impl FrameCursor {
    /// Takes the next bytes into account, and tells `begun` of each frame whose header is whole.
    fn pass(&mut self, bytes: &[u8], mut begun: impl FnMut(FrameHeader)) {
        self.follow(bytes, |frame, content| {
            if content.is_none() {
                begun(frame);
            }
        });
    }

    /// Takes the next bytes into account, and tells `found` of each frame: first that its header is whole, and then of
    /// each piece of its content.
    pub(super) fn follow(&mut self, mut bytes: &[u8], mut found: impl FnMut(FrameHeader, Option<&[u8]>)) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let (content, rest) = bytes.split_at(self.left.min(bytes.len()));
                self.left -= content.len();
                bytes = rest;
                found(self.frame(), Some(content));
                continue;
            }
            let taken = (self.header.len() - self.have).min(bytes.len());
            self.header[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == self.header.len() {
                let frame = self.frame();
                (self.have, self.left) = (0, frame.length);
                found(frame, None);
            }
        }
    }

    /// The frame whose header came last.
    fn frame(&self) -> FrameHeader {
        let [a, b, c, kind, flags, stream @ ..] = self.header;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        FrameHeader { length, kind, flags, stream: u32::from_be_bytes(stream) & 0x7fff_ffff }
    }

    /// Whether the last frame is whole, and no other has begun.
    pub(super) fn is_between(&self) -> bool {
        self.have == 0 && self.left == 0
    }
}

/// Why a peer's frames are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameFlood {
    /// It resets streams too often (CVE-2023-44487).
    Resets,
    /// It sends too many frames that carry nothing: pings, settings, empty frames (CVE-2019-9512, -9515 and -9518).
    Empty,
}

/// Counts the frames of one peer.
#[derive(Debug)]
pub(super) struct FrameMeter {
    /// How many bytes of the preface have not come yet.
    preface: usize,
    cursor: FrameCursor,
    /// The kind of the last frame that has begun.
    kind: u8,
    /// Whether a CONTINUATION has to follow.
    continues: bool,
    /// Since when something is under way that has to come soon.
    open_since: Option<Instant>,
    /// The highest stream that the peer has opened.
    last_stream: u32,
    resets: EventBudget,
    empty: EventBudget,
    updates: EventBudget,
}

impl FrameMeter {
    /// A peer that connected at `now`, and of which nothing has come.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            preface: PREFACE.len(),
            cursor: FrameCursor::default(),
            kind: DATA,
            continues: false,
            open_since: Some(now),
            last_stream: 0,
            resets: EventBudget::new(now),
            empty: EventBudget::new(now),
            updates: EventBudget::new(now),
        }
    }

    /// Takes bytes of the peer into account, and tells `ended` of each stream that it resets.
    ///
    /// # Errors
    /// What there is too much of.
    pub(super) fn received(
        &mut self,
        bytes: &[u8],
        now: Instant,
        mut ended: impl FnMut(u32),
    ) -> Result<(), FrameFlood> {
        let preface = self.preface.min(bytes.len());
        self.preface -= preface;
        let Self { cursor, kind, continues, last_stream, resets, empty, updates, .. } = self;
        let mut within = true;
        let mut no_reset = true;
        let mut whole = false;
        cursor.pass(&bytes[preface..], |frame| {
            *kind = frame.kind;
            // A frame began, so those before it were whole.
            whole = true;
            match frame.kind {
                HEADERS | CONTINUATION => {
                    *continues = frame.flags & END_HEADERS == 0;
                    *last_stream = (*last_stream).max(frame.stream);
                    within &= frame.length > 0 || empty.take(now);
                }
                RST_STREAM => {
                    ended(frame.stream);
                    no_reset &= resets.take(now);
                }
                WINDOW_UPDATE => within &= updates.take(now),
                SETTINGS | PING if frame.flags & ACK != 0 => {}
                DATA => within &= frame.length > 0 || frame.flags & END_STREAM != 0 || empty.take(now),
                _ => within &= empty.take(now),
            }
        });
        if !no_reset {
            return Err(FrameFlood::Resets);
        }
        if !within {
            return Err(FrameFlood::Empty);
        }
        self.open_since = match self.is_open() {
            false => None,
            // A header block counts from its first frame on; other frames each by themselves.
            true if whole && !self.continues && self.kind != CONTINUATION => Some(now),
            true => self.open_since.or(Some(now)),
        };
        Ok(())
    }

    /// Notes that the peer got so many bytes, in so many new frames of answers. For them it may send updates of its
    /// windows.
    pub(super) fn sent(&mut self, bytes: usize, frames: u64) {
        // Go's `net/http` sends one for each 4 KiB that it reads, of a stream and of the connection; gRPC's C core some
        // for each answer, however short.
        self.updates.give(bytes as u64 / 1024 + 4 * frames);
    }

    /// Since when the preface, a frame's header, or a frame with anything but DATA is under way.
    pub(super) fn open_since(&self) -> Option<Instant> {
        self.open_since
    }

    /// The highest stream that the peer has opened.
    pub(super) fn last_stream(&self) -> u32 {
        self.last_stream
    }

    fn is_open(&self) -> bool {
        let within_data = self.cursor.have == 0 && self.kind == DATA;
        self.preface > 0 || self.continues || (!self.cursor.is_between() && !within_data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn frame(kind: u8, flags: u8, stream: u32, length: usize) -> Vec<u8> {
        let [_, lengths @ ..] = u32::try_from(length).expect("a length").to_be_bytes();
        let mut bytes = [&lengths[..], &[kind, flags], &stream.to_be_bytes()].concat();
        bytes.extend(vec![0; length]);
        bytes
    }

    impl FrameMeter {
        fn take(&mut self, bytes: &[u8], now: Instant) -> Result<(), FrameFlood> {
            self.received(bytes, now, |_| {})
        }
    }

    fn begun(now: Instant) -> FrameMeter {
        let mut meter = FrameMeter::new(now);
        meter.take(PREFACE, now).expect("a preface");
        assert_eq!(meter.open_since(), None);
        meter
    }

    proptest! {
        #[test]
        fn frames_are_found_however_the_bytes_are_cut(
            frames in prop::collection::vec((0_u8..12, any::<u8>(), 0_u32..1000, 0_usize..300), 0..20),
            cut in 1_usize..400,
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(kind, flags, stream, length)| {
                frame(*kind, *flags, *stream, *length)
            }).collect();
            let (mut cursor, mut found) = (FrameCursor::default(), Vec::new());
            for piece in bytes.chunks(cut) {
                cursor.pass(piece, |frame| found.push((frame.kind, frame.flags, frame.stream, frame.length)));
            }
            prop_assert!(cursor.is_between());
            prop_assert_eq!(found, frames);
        }
    }

    #[test]
    fn what_is_under_way_is_known_since_it_began() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut meter = FrameMeter::new(start);
        meter.take(&PREFACE[..10], at(1)).expect("it is within bounds");
        assert_eq!(meter.open_since(), Some(start), "the preface has not come");
        meter.take(&PREFACE[10..], at(2)).expect("it is within bounds");
        assert_eq!(meter.open_since(), None);
        // A block in three frames, each in time by itself.
        meter.take(&frame(HEADERS, 0, 1, 5), at(3)).expect("it is within bounds");
        meter.take(&frame(CONTINUATION, 0, 1, 5), at(8)).expect("it is within bounds");
        assert_eq!(meter.open_since(), Some(at(3)));
        meter.take(&frame(CONTINUATION, END_HEADERS, 1, 5)[..12], at(9)).expect("it is within bounds");
        assert_eq!(meter.open_since(), Some(at(3)), "its last frame is not whole");
        meter.take(&[0; 2], at(10)).expect("it is within bounds");
        assert_eq!((meter.open_since(), meter.last_stream()), (None, 1));
        // The content of DATA may take as long as it likes: the least rate bounds it.
        meter.take(&frame(DATA, 0, 1, 50)[..20], at(11)).expect("it is within bounds");
        assert_eq!(meter.open_since(), None);
    }

    #[test]
    fn each_stream_that_the_peer_resets_is_told_of() {
        let now = Instant::now();
        let bytes =
            [frame(HEADERS, END_HEADERS, 1, 5), frame(RST_STREAM, 0, 1, 4), frame(RST_STREAM, 0, 7, 4)].concat();
        for cut in [1, 5, bytes.len()] {
            let (mut meter, mut ended) = (begun(now), Vec::new());
            for piece in bytes.chunks(cut) {
                meter.received(piece, now, |stream| ended.push(stream)).expect("it is within bounds");
            }
            assert_eq!(ended, [1, 7], "{cut}");
        }
    }

    #[test]
    fn resets_and_frames_that_carry_nothing_have_a_budget() {
        let now = Instant::now();
        let many = |frame: &[u8], meter: &mut FrameMeter| {
            (0..3000).find_map(|sent| meter.take(frame, now).err().map(|excess| (sent, excess)))
        };
        for (kind, flags, length, excess) in [
            (RST_STREAM, 0, 4, FrameFlood::Resets),
            (PING, 0, 8, FrameFlood::Empty),
            (SETTINGS, 0, 0, FrameFlood::Empty),
            (DATA, 0, 0, FrameFlood::Empty),
            (CONTINUATION, 0, 0, FrameFlood::Empty),
            (2, 0, 5, FrameFlood::Empty),
            (200, 0, 1, FrameFlood::Empty),
            (WINDOW_UPDATE, 0, 4, FrameFlood::Empty),
        ] {
            assert_eq!(many(&frame(kind, flags, 1, length), &mut begun(now)), Some((1000, excess)), "{kind}");
        }
        for (kind, flags, length) in [(PING, ACK, 8), (DATA, 0, 1), (DATA, END_STREAM, 0), (HEADERS, END_HEADERS, 1)] {
            assert_eq!(many(&frame(kind, flags, 1, length), &mut begun(now)), None, "{kind}");
        }
        let mut reader = begun(now);
        reader.sent(1 << 20, 256);
        assert_eq!(many(&frame(WINDOW_UPDATE, 0, 1, 4), &mut reader), None, "it reads what it gets");
    }
}
