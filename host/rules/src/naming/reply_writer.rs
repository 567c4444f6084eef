//! The writing of a reply.

use super::asked_question::{AskedEdns, AskedHeader, AskedQuestion, HEADER, OPT};
use super::name_reply::LARGEST_DATAGRAM;

/// The bytes of a record of EDNS without options.
const EDNS: usize = 11;
/// The class of the Internet.
const IN: u16 = 1;

/// How a reply is meant (RFC 1035, section 4.1.1, and RFC 6891, section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyCode {
    NoError = 0,
    FormatError = 1,
    NameError = 3,
    NotImplemented = 4,
    Refused = 5,
    /// A version of EDNS that is not spoken.
    BadVersion = 16,
}

/// The part of a reply in which a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplySection {
    Answer = 0,
    Authority = 1,
    Additional = 2,
}

/// A reply to a question while it is written.
pub(super) struct ReplyWriter<'a> {
    question: &'a AskedQuestion<'a>,
    bytes: Vec<u8>,
    /// The records of each section, without that of EDNS.
    counts: [u16; 3],
    /// The most bytes, without those of EDNS.
    most: usize,
    is_cut_off: bool,
}

impl<'a> ReplyWriter<'a> {
    /// A reply of at most so many bytes, which repeats the question.
    pub(super) fn new(question: &'a AskedQuestion<'a>, most: usize) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes.extend_from_slice(question.bytes);
        let edns = if question.edns.is_some() { EDNS } else { 0 };
        Self { question, bytes, counts: [0; 3], most: most - edns, is_cut_off: false }
    }

    /// Whether it has no record of an answer.
    pub(super) fn is_empty(&self) -> bool {
        self.counts[ReplySection::Answer as usize] == 0
    }

    pub(super) fn is_cut_off(&self) -> bool {
        self.is_cut_off
    }

    /// Makes it an empty one, after which the client asks by TCP.
    pub(super) fn cut_off(&mut self) {
        self.bytes.truncate(HEADER + self.question.bytes.len());
        (self.counts, self.is_cut_off) = ([0; 3], true);
    }

    /// Adds a record. If it does not fit, one of an answer makes the reply an empty one that is cut off, and one that
    /// nobody has asked for is left out. Returns whether it is there.
    pub(super) fn record(&mut self, section: ReplySection, owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> bool {
        let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
        if self.is_cut_off || self.bytes.len() + owner.len() + 10 + data.len() > self.most {
            if section == ReplySection::Answer {
                self.cut_off();
            }
            return false;
        }
        self.bytes.extend_from_slice(owner);
        for number in [kind, IN] {
            self.bytes.extend_from_slice(&number.to_be_bytes());
        }
        self.bytes.extend_from_slice(&ttl.to_be_bytes());
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(data);
        self.counts[section as usize] += 1;
        true
    }

    /// The whole reply. `is_authority`: whether it is about the domain.
    pub(super) fn finish(mut self, code: ReplyCode, is_authority: bool) -> Vec<u8> {
        let [answers, authorities, mut additional] = self.counts;
        if self.question.edns.is_some() {
            let extended = u8::try_from(code as u16 >> 4).unwrap_or_default();
            self.bytes.push(0);
            for number in [OPT, LARGEST_DATAGRAM] {
                self.bytes.extend_from_slice(&number.to_be_bytes());
            }
            self.bytes.extend_from_slice(&[extended, 0, 0, 0, 0, 0]);
            additional += 1;
        }
        let flags = [(is_authority, 0x04), (self.is_cut_off, 0x02)];
        let flags = flags.into_iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag);
        let counts = [1, answers, authorities, additional];
        self.bytes[..HEADER].copy_from_slice(&header(self.question.header, flags, code, counts));
        self.bytes
    }
}

/// A reply to a message that has no question which could be repeated.
pub(super) fn bare_reply(asked: AskedHeader, code: ReplyCode) -> Vec<u8> {
    header(asked, 0, code, [0; 4]).to_vec()
}

fn header(asked: AskedHeader, flags: u8, code: ReplyCode, counts: [u16; 4]) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..2].copy_from_slice(&asked.id);
    bytes[2] = 0x80 | (asked.opcode << 3) | flags | u8::from(asked.wants_recursion);
    // No recursion is available, ever.
    bytes[3] = code as u8 & 0x0f;
    for (place, count) in bytes[4..].chunks_exact_mut(2).zip(counts) {
        place.copy_from_slice(&count.to_be_bytes());
    }
    bytes
}

/// The most bytes of a datagram for a client that says this by EDNS. Without it they are 512 (RFC 1035, section 2.3.4),
/// and less than that counts as that (RFC 6891, section 6.2.3).
pub(super) fn largest_datagram(edns: Option<AskedEdns>) -> usize {
    usize::from(edns.map_or(512, |edns| edns.size.clamp(512, LARGEST_DATAGRAM)))
}
